"""Pretrain a student: distilled after its transfer, or as a baseline without distillation."""

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
    made.add_argument(
        "--arm",
        choices=("distilled", "tables", "scratch"),
        default="distilled",
        help="distilled; or masked language modelling alone, from the teacher's tables or random weights",
    )
    made.add_argument(
        "--extra-steps",
        type=int,
        default=0,
        help="steps more than the settings say: what a baseline missed in the transfer",
    )
    add_records(made)
    made.add_argument("--teacher", type=Path, nargs="*", help="the checked teacher; scratch needs none")
    made.add_argument(
        "--previous",
        type=Path,
        nargs="*",
        help="the last stage of the transfer (its manifest may follow), if there is one",
    )
    return made


def main(arguments: argparse.Namespace) -> None:
    """Train it and write the model artifact."""
    from mobilebert.distillation import stages  # here, so that --help need not wait for TensorFlow

    chosen = settings.parse(arguments.settings)
    stages.pretrain_student(
        chosen,
        stages.RecordsInput(arguments.records, arguments.tokenizer),
        run_options(arguments),
        student=arguments.student,
        arm=arguments.arm,
        extra_steps=arguments.extra_steps,
        teacher=first(arguments.teacher),
        previous=first(arguments.previous),
        own_shapes=settings.own_shapes(arguments.settings),
    )


if __name__ == "__main__":
    run(main, parser())
