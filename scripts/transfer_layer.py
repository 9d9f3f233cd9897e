"""Transfer one layer of the teacher into a student, or all layers at once."""

from __future__ import annotations

import argparse
from pathlib import Path

from mobilebert import settings
from scripts.arguments import add_records
from scripts.command import first, run, run_options, training_parser


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = training_parser(__doc__)
    made.add_argument("--student", required=True, help="the student's shape by name: mini, base-f2, ...")
    made.add_argument("--stage", required=True, help="layer01, layer02, ..., or joint")
    add_records(made)
    made.add_argument(
        "--teacher", type=Path, nargs="+", required=True, help="the checked teacher (its manifest may follow)"
    )
    made.add_argument(
        "--previous",
        type=Path,
        nargs="*",
        help="the stage before this one (its manifest may follow); nothing for the first",
    )
    return made


def main(arguments: argparse.Namespace) -> None:
    """Train the stage and write the model artifact."""
    from mobilebert.distillation import stages  # here, so that --help need not wait for TensorFlow

    chosen = settings.parse(arguments.settings)
    stages.transfer_layer(
        chosen,
        stages.RecordsInput(arguments.records, arguments.tokenizer),
        run_options(arguments),
        student=arguments.student,
        stage=arguments.stage,
        teacher=arguments.teacher[0],
        previous=first(arguments.previous),
        own_shapes=settings.own_shapes(arguments.settings),
    )


if __name__ == "__main__":
    run(main, parser())
