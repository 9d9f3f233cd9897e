"""Write the records as classic BERT records with static masks, which Google's run_pretraining.py reads."""

from __future__ import annotations

import argparse
from pathlib import Path

from mobilebert import settings
from scripts import command


def main(options: argparse.Namespace) -> None:
    """Write the artifact."""
    from mobilebert.records.bert_format import exporting

    chosen = settings.parse(options.settings)
    seed = settings.derive_seed(chosen.seed, "export_records")
    exporting.export(options.records, options.out, chosen.masking, chosen.records.dupe_factor, seed)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command.parser(__doc__)
    made.add_argument("--records", type=Path, required=True, help="the records artifact")
    return made


if __name__ == "__main__":
    command.run(main, parser())
