"""CSV and TSV, on the standard library's csv: a row a document, its text in named columns."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from typing import TextIO

from mobilebert.corpus.plan import FileRange
from mobilebert.corpus.readers import byte_lines, streams, text_fields, text_streams
from mobilebert.corpus.readers.document import NO_TEXT_FIELD, RawDocument
from mobilebert.corpus.readers.plain import own_name

BROKEN_ROW = "broken_row"
# Characters of a field, and of a line; a mark of quotation that is never closed takes no more than this.
_MAX_CHARACTERS = byte_lines.MAX_LINE_BYTES // 3
_DELIMITERS = {"csv": ",;\t|", "tsv": "\t"}
_SHOWN = 10_000


def table(file_range: FileRange) -> Iterator[RawDocument]:
    """A document a row, named by its column `id` or else the number of its line; the first line names the
    columns.

    A row that has more fields than columns is a `broken_row`: its text has marks that were not quoted.

    Raises:
        Unreadable: no column has the name, or several have.
    """
    csv.field_size_limit(_MAX_CHARACTERS)  # of the process; its default, 131,072, is too few for a book
    fields = text_fields.names(file_range.text_field)
    with text_streams.open_text(file_range.path) as text:
        lines = _Lines(text.stream)
        delimiter, columns = _header(lines, file_range.format, fields)
        at = [columns.index(field) for field in fields if field in columns]
        own = columns.index("id") if columns.count("id") == 1 and "id" not in fields else None
        for number, row, raw in _rows(lines, delimiter, len(columns)):
            if not any(row):
                continue
            cells = [row[index] for index in at if index < len(row)]
            name = own_name(row[own] if own is not None and own < len(row) else None, f"#{number}")
            document = RawDocument(name, "\n".join(filter(None, cells)), encoding=text.encoding)
            if any(row[len(columns) :]):
                document = document._replace(
                    text=raw[:_SHOWN], reason=BROKEN_ROW, size=len(raw.encode("utf-8", "replace")),
                    detail=f"{len(row)} fields for {len(columns)} columns",
                )  # fmt: skip
            elif not cells:
                document = document._replace(text=raw[:_SHOWN], reason=NO_TEXT_FIELD)
            yield document


class _Lines:
    """The lines of a stream with their ends; some may be put back."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._back: deque[str] = deque()
        self.number = 0  # of the last line that was taken, from 1 on
        self.taken: list[str] = []  # since it was emptied

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._back.popleft() if self._back else self._stream.readline(_MAX_CHARACTERS)
        if not line:
            raise StopIteration
        self.number += 1
        self.taken.append(line)
        return line.replace("\0", "")

    def put_back(self, lines: list[str]) -> None:
        """Let these be the next lines."""
        self._back.extendleft(reversed(lines))
        self.number -= len(lines)


def _header(lines: _Lines, format: str, fields: tuple[str, ...]) -> tuple[str, list[str]]:
    """The mark between fields and the names of the columns.

    Raises:
        Unreadable: the first line does not name the columns of text.
    """
    first = next(lines, "")
    delimiters = _DELIMITERS[format]
    if first.lower().startswith("sep=") and len(first.strip()) <= 5:  # Excel's own
        delimiters, first = first.rstrip("\r\n")[4:] or "\t", next(lines, "")
    read = {
        mark: [name.strip() for name in next(csv.reader([first], delimiter=mark), [])] for mark in delimiters
    }
    for mark, columns in read.items():
        if any(field in columns for field in fields):
            if several := next((field for field in fields if columns.count(field) > 1), None):
                raise streams.Unreadable(f"it has several columns '{several}'")
            return mark, columns
    longest: list[str] = max(read.values(), key=len)
    likely = text_fields.keys(dict.fromkeys(longest))
    raise streams.Unreadable(
        f"its first line names no column {text_fields.shown(fields)} (but {likely}); "
        f"set text_field, or give the file a first line with the names of its columns"
    )


def _rows(lines: _Lines, delimiter: str, width: int) -> Iterator[tuple[int, list[str], str]]:
    """The number of the line, the fields and the lines of each row.

    A row that is quoted against the rules is read leniently, and by its first line alone where that does not
    give `width` fields: a mark that is never closed must not swallow the rows after it.
    """
    while True:
        number, lines.taken = lines.number + 1, []
        try:
            row = next(csv.reader(lines, delimiter=delimiter, strict=True), None)
        except csv.Error as error:
            row = [] if str(error) == "unexpected end of data" else _lenient(lines, delimiter)
            if len(row) != width:
                first, *rest = lines.taken
                lines.put_back(rest)
                row = next(csv.reader([first.replace("\0", "")], delimiter=delimiter), [])
                lines.taken = [first]
        if row is None:
            return
        yield number, row, "".join(lines.taken)


def _lenient(lines: _Lines, delimiter: str) -> list[str]:
    lines.put_back(lines.taken)
    lines.taken = []
    try:
        return next(csv.reader(lines, delimiter=delimiter), [])
    except csv.Error:
        return []
