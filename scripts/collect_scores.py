"""Collect the scores of all models, tasks and seeds into one table."""

from __future__ import annotations

import argparse
from pathlib import Path

from mobilebert.finetuning import scores
from mobilebert.storage import artifacts
from scripts.command import parser as common
from scripts.command import run


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = common(__doc__)
    made.add_argument("--scores", type=Path, nargs="*", default=[], help="score artifacts")
    return made


def main(options: argparse.Namespace) -> None:
    """Write the table."""
    inputs = {"/".join(folder.parts[-3:]): folder for folder in options.scores}
    artifacts.write_file(
        options.out, scores.collect(options.scores).encode(), "scores_table", settings={}, inputs=inputs
    )


if __name__ == "__main__":
    run(main, parser())
