"""Write the generated Chinese world: documents, dirt with known answers, task sets."""

from __future__ import annotations

import argparse
import logging

from mobilebert import settings, smallworld
from mobilebert.storage import artifacts
from scripts.command import parser, run


def main(options: argparse.Namespace) -> None:
    """Generate the world and write its artifact."""
    chosen = settings.parse(options.settings)
    shown = settings.sections_of(chosen, "small_world", "seed")
    seed = settings.derive_seed(chosen.seed, "make_small_world")
    with artifacts.writing(options.out, "small_world", settings=shown) as writer:
        smallworld.generate(writer, chosen.small_world, seed, options.threads)
    logging.info("%d documents, %.1f MB of text", writer.counts["documents"], writer.counts["bytes"] / 1e6)


if __name__ == "__main__":
    run(main, parser(__doc__))
