"""Train a teacher's MLM head on the records, its body frozen."""

from __future__ import annotations

import argparse
from pathlib import Path

from mobilebert import settings
from scripts.arguments import add_needs, add_records
from scripts.command import run, run_options, training_parser


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = training_parser(__doc__)
    made.add_argument("--source", type=Path, required=True, help="the imported teacher")
    add_records(made)
    add_needs(made)
    return made


def main(arguments: argparse.Namespace) -> None:
    """Train the head and write the model artifact."""
    from mobilebert.distillation import teacher_check  # here, so that --help need not wait for TensorFlow

    chosen = settings.parse(arguments.settings)
    data = teacher_check.RecordsInput(arguments.records, arguments.tokenizer)
    teacher_check.retrain_head(
        chosen, data, run_options(arguments), source=arguments.source, needs=arguments.needs
    )


if __name__ == "__main__":
    run(main, parser())
