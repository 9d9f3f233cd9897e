"""Take the vocabulary of a vocab.txt, or of a transformers model directory."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from mobilebert import settings
from mobilebert.storage import artifacts
from scripts import command


def main(options: argparse.Namespace) -> None:
    """Find the vocabulary, write the tokenizer artifact."""
    from mobilebert.tokenization import files, importing

    source = importing.find(options.source, settings.parse(options.settings).vocabulary.lowercase)
    sections = settings.load_sections(options.settings) | {
        "files": {path.name: artifacts.sha256(path) for path in importing.files_of(options.source)}
    }
    with artifacts.writing(options.out, "tokenizer", settings=sections, versions=("tokenizers",)) as writer:
        tokenizer = files.write(writer, *source)
    casing = "lower-cased" if source.lowercase else "cased"
    logging.info("took %d tokens of kind %s, %s", tokenizer.size, source.kind, casing)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command.parser(__doc__)
    made.add_argument("--source", type=Path, required=True, help="a vocab.txt, or the teacher's directory")
    return made


if __name__ == "__main__":
    command.run(main, parser())
