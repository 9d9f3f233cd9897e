"""Files of HTML, Markdown and reStructuredText, a document each."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mobilebert.corpus.plan import FileRange
from mobilebert.corpus.readers import streams
from mobilebert.corpus.readers.document import RawDocument, extracted, shown
from mobilebert.corpus.readers.html import main_text
from mobilebert.corpus.readers.markdown import prose
from mobilebert.corpus.readers.restructured import rst_prose
from mobilebert.text import decode


def html(file_range: FileRange) -> Iterator[RawDocument]:
    """The main text of a page; `no_main_text` if there is none."""
    yield from _one(file_range, main_text)


def markdown(file_range: FileRange) -> Iterator[RawDocument]:
    """The prose of a Markdown file; `no_main_text` if there is none."""
    yield from _one(file_range, prose)


def rst(file_range: FileRange) -> Iterator[RawDocument]:
    """The prose of a reStructuredText file; `no_main_text` if there is none."""
    yield from _one(file_range, rst_prose)


def _one(file_range: FileRange, extract: Callable[[str], str]) -> Iterator[RawDocument]:
    data = streams.read_document(file_range.path)
    if data:
        yield extracted(decoded("", data), extract)


def decoded(name: str, data: bytes) -> RawDocument:
    """A document's bytes as text, or the reason why not."""
    decoding = decode.decode(data)
    return (
        RawDocument(name, shown(data), decoding.reason, len(data), decoding.encoding or "")
        if decoding.text is None
        else RawDocument(name, decoding.text, encoding=decoding.encoding)
    )


# What `text_format` names.
EXTRACTORS = {"html": main_text, "markdown": prose, "rst": rst_prose}
