"""Check a teacher's transformers directory or TF1 checkpoint, and write it as a model artifact, tokenizer
included.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mobilebert import settings
from scripts import command


def main(options: argparse.Namespace) -> None:
    """Read --source, write --out."""
    from mobilebert.models.checkpoints.import_teacher import import_teacher  # TensorFlow: not for --help

    chosen = settings.parse(options.settings)
    kind = None if chosen.teacher.kind == "pretrain" else chosen.teacher.kind  # by default what is there
    import_teacher(
        options.source,
        options.out,
        kind=kind,
        without_head=chosen.teacher.retrain_head,
        lowercase=chosen.vocabulary.lowercase,
    )


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command.parser(__doc__)
    made.add_argument(
        "--source", type=Path, required=True, help="the directory, or the TF1 checkpoint's folder or prefix"
    )
    return made


if __name__ == "__main__":
    command.run(main, parser())
