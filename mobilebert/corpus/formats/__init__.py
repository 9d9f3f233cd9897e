"""Readers of files: each yields the documents of a piece of input, or the reason why one has no text."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from importlib import import_module

from mobilebert.corpus.formats import document
from mobilebert.corpus.formats.document import Found
from mobilebert.corpus.plan import Piece

# Imported where used: trafilatura, markdown-it, mwparserfromhell and docutils each cost a worker's start.
_READERS = {
    "text": "plain",
    "lines": "plain",
    "jsonl": "plain",
    "parquet": "tables",
    "html": "markup",
    "markdown": "markup",
    "rst": "markup",
}


def documents(piece: Piece) -> Iterator[Found]:
    """The documents that begin in `piece`, long ones in parts.

    Raises:
        opening.Unreadable: the file cannot be read further; the documents before that were given.
    """
    module = import_module(f"mobilebert.corpus.formats.{_READERS.get(piece.format, piece.format)}")
    found = getattr(module, piece.format)(piece)
    if piece.format not in {"jsonl", "parquet"} or piece.text_format == "plain":
        return itertools.chain.from_iterable(map(document.parts, found))
    from mobilebert.corpus.formats import markup

    extracted = (document.extracted(each, markup.EXTRACTORS[piece.text_format]) for each in found)
    return itertools.chain.from_iterable(map(document.parts, extracted))
