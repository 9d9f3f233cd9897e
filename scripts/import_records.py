"""Turn classic BERT records (TFRecord files of seven features) into the records artifact; their masks stay
as they are.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mobilebert import settings
from scripts import command


def main(options: argparse.Namespace) -> None:
    """Write the records artifact."""
    from mobilebert.records.bert_format import importing

    chosen = settings.parse(options.settings)
    seed = settings.derive_seed(chosen.seed, "import_records")
    importing.write(options.source, options.tokenizer, options.out, chosen.records, seed)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command.parser(__doc__)
    made.add_argument("--source", required=True, help="a file, folder or glob of TFRecord files, GZIP or not")
    made.add_argument(
        "--tokenizer", type=Path, required=True, help="the tokenizer artifact that their ids belong to"
    )
    return made


if __name__ == "__main__":
    command.run(main, parser())
