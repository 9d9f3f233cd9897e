"""Export a model: a transformers directory, a TFLite file that is run and compared before it counts, or a
TF1 checkpoint.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mobilebert import settings
from scripts.command import parser, run


def arguments() -> argparse.ArgumentParser:
    """--model, --format."""
    made = parser(__doc__)
    made.add_argument("--model", type=Path, required=True, help="the model artifact")
    made.add_argument(
        "--format", choices=["transformers", "tflite", "tf1"], required=True, help="what to write"
    )
    return made


def main(options: argparse.Namespace) -> None:
    """Write the export artifact."""
    from mobilebert.exporting import network, writing

    export = settings.parse(options.settings).export
    network.prepare(options.threads)
    writing.export(options.model, options.format, export, options.out)


if __name__ == "__main__":
    run(main, arguments())
