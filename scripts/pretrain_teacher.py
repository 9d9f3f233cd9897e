"""Pretrain a teacher on the records with plain masked language modelling."""

from __future__ import annotations

import argparse
from pathlib import Path

from scripts.command import run, training_parser


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = training_parser(__doc__)
    made.add_argument("--records", type=Path, required=True, help="the token records")
    made.add_argument("--tokenizer", type=Path, required=True, help="the tokenizer that they were written with")
    return made


def main(options: argparse.Namespace) -> None:
    """Train it and write the model artefact."""
    from mobilebert.distillation import stages  # here, so that --help need not wait for TensorFlow

    stages.pretrain_teacher(options)


if __name__ == "__main__":
    run(main, parser())
