"""Write the generated Chinese world: documents, dirt with known answers, task sets."""

from __future__ import annotations

import argparse
import logging

from mobilebert import settings, smallworld
from mobilebert.storage import artifacts
from scripts.command import parser, run


def main(options: argparse.Namespace) -> None:
    """Generate the world and write its artifact."""
    sections = settings.from_json(options.settings)
    world: settings.SmallWorld = sections["small_world"]
    manifest_settings = {"small_world": world.model_dump(mode="json"), "seed": sections["seed"]}
    with artifacts.writing(options.out, "small_world", settings=manifest_settings) as writer:
        smallworld.generate(
            writer, world, settings.derive_seed(sections["seed"], "make_small_world"), options.threads
        )
    logging.info("%d documents, %.1f MB of text", writer.counts["documents"], writer.counts["bytes"] / 1e6)


if __name__ == "__main__":
    run(main, parser(__doc__))
