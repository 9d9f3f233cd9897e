"""List the files of all sources, with size, digest and format."""

import argparse
from pathlib import Path

from mobilebert import settings
from mobilebert.corpus.sources import listing
from scripts.command import parser, run


def main(options: argparse.Namespace) -> None:
    """Write the sources artifact."""
    world = options.world[0] if options.world else None
    listing.list_sources(settings.parse(options.settings).sources, options.out, world, options.downloads)


if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.add_argument(
        "--world",
        type=Path,
        nargs="*",
        help="the small world (its manifest may follow), for a source that is it",
    )
    arguments.add_argument(
        "--downloads",
        type=Path,
        nargs="*",
        default=[],
        help="folders of fetched sources, each named like its source",
    )
    run(main, arguments)
