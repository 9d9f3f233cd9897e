"""Finetune a model on a task."""

from __future__ import annotations

import argparse
from pathlib import Path

from mobilebert import settings
from scripts.command import run, run_options, training_parser


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = training_parser(__doc__)
    made.add_argument("--task", required=True, help="name of the task")
    made.add_argument(
        "--repeat", type=int, required=True, help="number of the repetition, 0, 1, ...: each has its own seed"
    )
    made.add_argument("--model", type=Path, required=True, help="model artifact to finetune")
    made.add_argument("--data", type=Path, required=True, help="task artifact")
    return made


def main(arguments: argparse.Namespace) -> None:
    """Write the finetuned model."""
    from mobilebert.finetuning import runs

    chosen = settings.parse(arguments.settings)
    runs.finetune(
        chosen,
        run_options(arguments),
        task=arguments.task,
        repeat=arguments.repeat,
        model=arguments.model,
        data=arguments.data,
    )


if __name__ == "__main__":
    run(main, parser())
