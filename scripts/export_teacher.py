"""Check a teacher before anything is spent on it: shape, parity with its source, held-out text; and write
it for the students.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from mobilebert import settings
from scripts import command


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = command.parser(__doc__)
    made.add_argument(
        "--source",
        type=Path,
        required=True,
        help="the teacher, pretrained here or imported, its head retrained or not",
    )
    made.add_argument("--records", type=Path, required=True, help="the token records")
    made.add_argument(
        "--tokenizer", type=Path, required=True, help="the tokenizer that they were written with"
    )
    made.add_argument(
        "--original",
        type=Path,
        nargs="*",
        default=[],
        help="what the teacher was imported from; nothing for one trained here",
    )
    made.add_argument(
        "--needs",
        type=json.loads,
        default=[],
        help="what the students ask of it, as JSON: [{'num_hidden_layers': 12, ...}, ...]",
    )
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
