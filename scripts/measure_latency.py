"""Time an export on one thread of this machine."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from mobilebert import settings
from mobilebert.storage import artifacts
from mobilebert.storage.atomic import canonical_json
from scripts.command import parser, run


def arguments() -> argparse.ArgumentParser:
    """--export, --format."""
    made = parser(__doc__)
    made.add_argument("--export", type=Path, required=True, help="the export artifact")
    made.add_argument(
        "--format", choices=["transformers", "tflite"], required=True, help="what the export is"
    )
    return made


def main(options: argparse.Namespace) -> None:
    """Write the timings as JSON; --threads is taken and unused, since one thread is what is measured."""
    from mobilebert.exporting import latency, network, writing

    chosen = settings.parse(options.settings).export
    network.prepare(1)
    timing = latency.measure(options.export, options.format, chosen)
    sections = {"export": chosen.model_dump(mode="json", include=writing.SHAPING)}
    artifacts.write_file(
        options.out, canonical_json(timing), "timings", settings=sections, inputs={"export": options.export}
    )
    logging.info(
        "%s: %.2f ms an input of %d tokens (%s)",
        options.export,
        timing["median_ms"],
        timing["sequence_length"],
        timing["engine"],
    )


if __name__ == "__main__":
    run(main, arguments())
