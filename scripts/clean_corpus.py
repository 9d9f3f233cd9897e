"""Read, clean and deduplicate the sources into documents."""

import argparse
from pathlib import Path

from mobilebert import settings
from scripts.command import beam_parser, run


def main(options: argparse.Namespace) -> None:
    """Write the corpus artifact."""
    from mobilebert.corpus import pipeline

    corpus = settings.parse(options.settings).corpus
    pipeline.clean_corpus(
        options.sources,
        options.out,
        corpus,
        options.threads,
        options.beam,
        next(iter(options.test_world), None),
    )


if __name__ == "__main__":
    arguments = beam_parser(__doc__)
    arguments.add_argument("--sources", type=Path, required=True, help="the sources artifact")
    arguments.add_argument(
        "--test-world",
        type=Path,
        nargs="*",
        default=[],
        help="the small world, if corpus.decontaminate names it",
    )
    run(main, arguments)
