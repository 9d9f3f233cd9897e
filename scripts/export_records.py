"""Write the records as classic BERT records with static masks, which Google's run_pretraining.py reads."""

from __future__ import annotations

import argparse
from pathlib import Path

from mobilebert import settings
from scripts import command


def main(options: argparse.Namespace) -> None:
    """Write the artifact."""
    from mobilebert.records.bert_format import exporting

    sections = settings.from_json(options.settings)
    seed = settings.derive_seed(sections.get("seed", 0), "export_records")
    masking, dupe_factor = (
        sections.get("masking", settings.Masking()),
        sections.get("records.dupe_factor", settings.Records().dupe_factor),
    )
    exporting.export(options.records, options.out, masking, dupe_factor, seed)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command.parser(__doc__)
    made.add_argument("--records", type=Path, required=True, help="the records artifact")
    return made


if __name__ == "__main__":
    command.run(main, parser())
