"""Fetch the file of one https:// source; a broken download goes on where it stopped."""

import argparse

from mobilebert import settings
from mobilebert.errors import UserError
from mobilebert.storage import download
from scripts.command import parser, run


def main(options: argparse.Namespace) -> None:
    """Write the download artifact."""
    sources = settings.parse(options.settings).sources
    if len(sources) != 1:
        raise UserError(f"settings: one source is expected under sources, found {len(sources)}")
    download.fetch_source(sources[0], options.out)


if __name__ == "__main__":
    run(main, parser(__doc__))
