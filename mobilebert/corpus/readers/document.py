"""What a reader gives for one document."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

NO_MAIN_TEXT, BROKEN_MARKUP, OVERSIZED = "no_main_text", "broken_markup", "oversized"
NO_TEXT_FIELD = "no_text_field"
# Parsers of markup keep up to 40 bytes a character of prose, and 800 to 2,700 a mark; no page or article of
# prose comes near (Wikipedia's limit is 2 MB).
MAX_MARKUP_CHARACTERS = 3_000_000
MAX_MARKS = 50_000
# A longer text becomes several documents: what measures one takes about 60 bytes a character, and a process
# may take 400 MB.
MOST_CHARACTERS = 500_000


class RawDocument(NamedTuple):
    """A document as it was found: its raw text; or a reason and what to show of it instead of text.

    `name` is its own id if it has one; else where in its file it begins, such as `#4711` (a byte, a row, a
    line), or "" where it is the whole file, before which `by_format.documents` puts the file's name.
    """

    name: str
    text: str
    reason: str | None = None
    size: int | None = None  # bytes, where they are not those of `text`
    detail: str = ""  # what the reason refers to
    encoding: str | None = None  # of its file, where the reader knows it


class TooManyMarks(Exception):
    """A text of more marks than `MAX_MARKS`."""


def bounded(text: str, marks: Iterable[str]) -> str:
    """The text, if it has few enough of these marks for a parser. Raises: Oversized."""
    if sum(map(text.count, marks)) > MAX_MARKS:
        raise TooManyMarks
    return text


def shown(data: bytes, most: int = 10_000) -> str:
    """Undecodable bytes as a person can look at them: what is valid UTF-8 as text, the rest as \\xNN."""
    return data[:most].decode("utf-8", "backslashreplace")


def extracted(document: RawDocument, extract: Callable[[str], str]) -> RawDocument:
    """The document with its text taken out of its markup, or the reason why there is none: the page of a
    stranger never stops a run.
    """
    if document.reason:
        return document
    if len(document.text) > MAX_MARKUP_CHARACTERS:
        return document._replace(reason=OVERSIZED)
    try:
        text = extract(document.text)
    except TooManyMarks:
        return document._replace(reason=OVERSIZED)
    except (
        Exception
    ) as error:  # whatever a parser makes of what it was never written for, RecursionError first
        logging.debug("%s: %s: %s", document.name, type(error).__name__, error)
        return document._replace(reason=BROKEN_MARKUP)
    return document._replace(text=text) if text.strip() else document._replace(reason=NO_MAIN_TEXT)


def split_long(document: RawDocument) -> Iterator[RawDocument]:
    """The document; one over `MOST_CHARACTERS` in about equal parts, cut after a line or else a sentence
    where there is one.

    The parts are named by their number, after the document's name if it has one, and hold all of it.
    """
    text, start, number = document.text, 0, 0
    if document.reason or len(text) <= MOST_CHARACTERS:
        yield document
        return
    while start < len(text):
        left = len(text) - start
        end = start + -(-left // -(-left // MOST_CHARACTERS))
        if end < len(text):
            least = start + (end - start) // 2
            end = next((at + 1 for at in (text.rfind(mark, least, end) for mark in "\n。") if at >= 0), end)
        mark = f"{document.name}-{number}" if document.name else f"#{number}"
        yield document._replace(name=mark, text=text[start:end])
        start, number = end, number + 1
