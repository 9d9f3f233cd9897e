"""Turn the cleaned corpus into TFRecords of token ids with word starts."""

from __future__ import annotations

import argparse
from pathlib import Path

from mobilebert import settings
from scripts import command


def main(options: argparse.Namespace) -> None:
    """Write the records artifact."""
    from mobilebert.records import writer

    chosen = settings.parse(options.settings)
    seed = settings.derive_seed(chosen.seed, "write_records")
    dictionary = Path(options.dictionary) if options.dictionary else None
    writer.write(
        options.corpus,
        options.tokenizer,
        options.out,
        chosen.records,
        seed,
        options.threads,
        options.beam,
        dictionary,
    )


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command.beam_parser(__doc__)
    made.add_argument("--corpus", type=Path, required=True, help="the corpus artifact")
    made.add_argument("--tokenizer", type=Path, required=True, help="the tokenizer artifact")
    made.add_argument(
        "--dictionary",
        nargs="?",
        const="",
        default="",
        help="words for the segmenter, a line each: word [frequency [tag]]",
    )
    return made


if __name__ == "__main__":
    command.run(main, parser())
