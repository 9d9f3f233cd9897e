"""Check an export against its model by another way than it was written, and write check.json."""

from __future__ import annotations

import argparse
from pathlib import Path

from mobilebert import settings
from scripts.command import parser, run


def arguments() -> argparse.ArgumentParser:
    """--model, --export, --format."""
    made = parser(__doc__)
    made.add_argument("--model", type=Path, required=True, help="the model artifact that was exported")
    made.add_argument("--export", type=Path, required=True, help="the export artifact")
    made.add_argument(
        "--format", choices=["transformers", "tflite", "tf1"], required=True, help="what the export is"
    )
    return made


def main(options: argparse.Namespace) -> None:
    """Write the check artifact."""
    from mobilebert.exporting import checking, network

    chosen = settings.parse(options.settings).export
    network.prepare(options.threads)
    checking.check(
        options.model,
        options.export,
        options.format,
        chosen,
        options.out,
    )


if __name__ == "__main__":
    run(main, arguments())
