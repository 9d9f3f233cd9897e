"""Readers of files: each yields the documents of a piece of input, or the reason why one has no text."""

from __future__ import annotations

from collections.abc import Iterator

from mobilebert.corpus.formats.document import Found
from mobilebert.corpus.plan import Piece


def documents(piece: Piece) -> Iterator[Found]:
    """The documents that begin in `piece`.

    Raises:
        opening.Unreadable: the file cannot be read further; the documents before that were given.
    """
    # Imported where used: trafilatura, markdown-it and mwparserfromhell each cost a worker's start.
    if piece.format in {"jsonl", "lines", "text"}:
        from mobilebert.corpus.formats import plain

        found = getattr(plain, piece.format)(piece)
        if piece.format != "jsonl" or piece.text_format == "plain":
            return found
        from mobilebert.corpus.formats import markup

        return markup.extracted(found, markup.prose if piece.text_format == "markdown" else markup.main_text)
    if piece.format in {"html", "markdown"}:
        from mobilebert.corpus.formats import markup

        return getattr(markup, piece.format)(piece)
    from mobilebert.corpus.formats import mediawiki

    return mediawiki.mediawiki(piece)
