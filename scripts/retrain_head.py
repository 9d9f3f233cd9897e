"""Train a teacher's MLM head on the records, its body frozen."""

from __future__ import annotations

import argparse
from pathlib import Path

from scripts.command import run, training_parser


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = training_parser(__doc__)
    made.add_argument("--source", type=Path, required=True, help="the imported teacher")
    made.add_argument("--records", type=Path, required=True, help="the token records")
    made.add_argument("--tokenizer", type=Path, required=True, help="the tokenizer that they were written with")
    made.add_argument("--needs", default="[]", help="what the students ask of it, as JSON: [{'num_hidden_layers': 12, ...}, ...]")
    return made


def main(options: argparse.Namespace) -> None:
    """Train the head and write the model artefact."""
    from mobilebert.distillation import teacher_check  # here, so that --help need not wait for TensorFlow

    teacher_check.retrain_head(options)


if __name__ == "__main__":
    run(main, parser())
