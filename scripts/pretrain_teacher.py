"""Pretrain a teacher on the records with plain masked language modelling."""

from __future__ import annotations

import argparse

from mobilebert import settings
from scripts.arguments import add_records
from scripts.command import run, run_options, training_parser


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = training_parser(__doc__)
    add_records(made)
    return made


def main(arguments: argparse.Namespace) -> None:
    """Train it and write the model artifact."""
    from mobilebert.distillation import stages  # here, so that --help need not wait for TensorFlow

    chosen = settings.parse(arguments.settings)
    stages.pretrain_teacher(
        chosen,
        stages.RecordsInput(arguments.records, arguments.tokenizer),
        run_options(arguments),
        own_shapes=settings.own_shapes(arguments.settings),
    )


if __name__ == "__main__":
    run(main, parser())
