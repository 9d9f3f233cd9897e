"""Readers of files: each yields the documents of a piece of input, or the reason why one has no text."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

from mobilebert.corpus.plan import FileRange
from mobilebert.corpus.readers import (
    document,
    json_rows,
    markup,
    mediawiki,
    parquet,
    plain,
    streams,
    tables,
    text_streams,
    warc,
)
from mobilebert.corpus.readers.document import RawDocument

# Each imports its parser where that is slow to import.
READERS: dict[str, Callable[[FileRange], Iterator[RawDocument]]] = {
    "text": plain.text,
    "lines": plain.lines,
    "jsonl": plain.jsonl,
    "json": json_rows.json_rows,
    "csv": tables.table,
    "tsv": tables.table,
    "parquet": parquet.parquet,
    "html": markup.html,
    "markdown": markup.markdown,
    "rst": markup.rst,
    "mediawiki": mediawiki.mediawiki,
    "warc": warc.warc,
}


ROWS = {"jsonl", "json", "csv", "tsv", "parquet"}  # formats with a text in a field or column
_LINES = {"jsonl", "lines"}  # whose readers judge the encoding by some lines at a time


def documents(file_range: FileRange) -> Iterator[RawDocument]:
    """The documents that begin in `file_range`, long ones in parts; those without an id of their own are
    named by their file, `novel.txt` or `novel.txt#4711`.

    Raises:
        streams.Unreadable: the file cannot be read further; the documents before that were given.
    """
    read = READERS[file_range.format](file_range)
    if file_range.format in ROWS and file_range.text_format != "plain":
        extract = markup.EXTRACTORS[file_range.text_format]
        read = (document.extracted(each, extract) for each in read)
    if file_range.format in _LINES and not file_range.start:
        read = _with_encoding(file_range, read)
    for each in itertools.chain.from_iterable(map(document.split_long, read)):
        own = each.name and not each.name.startswith("#")
        yield each if own else each._replace(name=f"{file_range.name}{each.name}")


def _with_encoding(file_range: FileRange, read: Iterator[RawDocument]) -> Iterator[RawDocument]:
    """The documents, the first one with the encoding of the file's head."""
    for each in itertools.islice(read, 1):
        with streams.open_decompressed(file_range.path) as stream:
            encoding = text_streams.encoding_of(text_streams.read_head(stream)[0])
        yield each._replace(encoding=encoding)
    yield from read
