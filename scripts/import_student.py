"""Import an original (TensorFlow 1) Chinese MobileBERT checkpoint: a transformers directory without the
teacher inside it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mobilebert import settings
from scripts import command


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = command.parser(__doc__)
    made.add_argument(
        "--checkpoint",
        type=Path,
        required=True,
        metavar="PREFIX",
        help="model.ckpt for model.ckpt.index and its data file; or its folder",
    )
    made.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="its configuration, such as student_base_f2.json; else the one beside it",
    )
    made.add_argument("--vocab", type=Path, metavar="FILE", help="its vocab.txt; else the one beside it")
    return made


def main(options: argparse.Namespace) -> None:
    """Read the checkpoint, write the model artifact."""
    from mobilebert.models.checkpoints.import_student import import_student  # TensorFlow: not for --help

    import_student(
        options.checkpoint,
        options.config,
        options.vocab,
        options.out,
        lowercase=settings.parse(options.settings).vocabulary.lowercase,
    )


if __name__ == "__main__":
    command.run(main, parser())
