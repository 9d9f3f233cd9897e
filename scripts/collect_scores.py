"""Collect the scores of all models, tasks and seeds into one table."""

from __future__ import annotations

import argparse
from pathlib import Path

from mobilebert.finetuning import scores
from mobilebert.storage.atomic import write_atomically
from scripts.command import parser as common
from scripts.command import run


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = common(__doc__)
    made.add_argument("--scores", type=Path, nargs="*", default=[], help="score artefacts")
    return made


def main(options: argparse.Namespace) -> None:
    """Write the table."""
    write_atomically(options.out, scores.collect(options.scores).encode())


if __name__ == "__main__":
    run(main, parser())
