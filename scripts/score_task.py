"""Score a finetuned model on the development set of its task."""

from __future__ import annotations

import argparse
from pathlib import Path

from mobilebert import settings
from scripts.command import parser as common
from scripts.command import run


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = common(__doc__)
    made.add_argument("--task", required=True, help="name of the task")
    made.add_argument("--repeat", type=int, required=True, help="number of the repetition that was finetuned")
    made.add_argument("--name", required=True, help="the model's name in tables")
    made.add_argument("--model", type=Path, required=True, help="finetuned model artifact")
    made.add_argument("--data", type=Path, required=True, help="task artifact")
    return made


def main(arguments: argparse.Namespace) -> None:
    """Write the scores."""
    from mobilebert.finetuning import runs

    chosen = settings.parse(arguments.settings)
    runs.score(
        chosen,
        arguments.out,
        task=arguments.task,
        repeat=arguments.repeat,
        name=arguments.name,
        model=arguments.model,
        data=arguments.data,
        threads=arguments.threads,
    )


if __name__ == "__main__":
    run(main, parser())
