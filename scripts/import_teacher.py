"""Check a teacher's transformers directory and write it again as a model artefact, tokenizer included."""

from __future__ import annotations

import argparse
from pathlib import Path

from scripts.command import parser, run


def main(options: argparse.Namespace) -> None:
    """Read --source, write --out."""
    from mobilebert.models.importing import import_teacher  # TensorFlow: not for --help

    import_teacher(options.source, options.out)


if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.add_argument("--source", type=Path, required=True, help="directory with config.json, model.safetensors, tokenizer files")
    run(main, arguments)
