"""Check a teacher before anything is spent on it: shape, parity with its source, held-out text; and write
it for the students.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mobilebert import settings
from scripts import command
from scripts.arguments import add_needs, add_records


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = command.parser(__doc__)
    made.add_argument(
        "--source",
        type=Path,
        required=True,
        help="the teacher, pretrained here or imported, its head retrained or not",
    )
    add_records(made)
    made.add_argument(
        "--original",
        type=Path,
        nargs="*",
        default=[],
        help="what the teacher was imported from; nothing for one trained here",
    )
    add_needs(made)
    return made


def main(arguments: argparse.Namespace) -> None:
    """Check it and write the model artifact."""
    from mobilebert.distillation import teacher_check  # here, so that --help need not wait for TensorFlow

    chosen = settings.parse(arguments.settings)
    teacher_check.export_teacher(
        chosen,
        teacher_check.RecordsInput(arguments.records, arguments.tokenizer),
        arguments.out,
        source=arguments.source,
        original=command.first(arguments.original),
        needs=arguments.needs,
        threads=arguments.threads,
    )


if __name__ == "__main__":
    command.run(main, parser())
