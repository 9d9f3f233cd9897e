"""Readers of files: each yields the documents of a piece of input, or the reason why one has no text."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

from mobilebert.corpus.plan import FileRange
from mobilebert.corpus.readers import document, markup, mediawiki, parquet, plain, warc
from mobilebert.corpus.readers.document import RawDocument

# Each imports its parser where that is slow to import.
READERS: dict[str, Callable[[FileRange], Iterator[RawDocument]]] = {
    "text": plain.text,
    "lines": plain.lines,
    "jsonl": plain.jsonl,
    "parquet": parquet.parquet,
    "html": markup.html,
    "markdown": markup.markdown,
    "rst": markup.rst,
    "mediawiki": mediawiki.mediawiki,
    "warc": warc.warc,
}


def documents(file_range: FileRange) -> Iterator[RawDocument]:
    """The documents that begin in `file_range`, long ones in parts.

    Raises:
        streams.Unreadable: the file cannot be read further; the documents before that were given.
    """
    read = READERS[file_range.format](file_range)
    if file_range.format in {"jsonl", "parquet"} and file_range.text_format != "plain":
        extract = markup.EXTRACTORS[file_range.text_format]
        read = (document.extracted(each, extract) for each in read)
    return itertools.chain.from_iterable(map(document.split_long, read))
