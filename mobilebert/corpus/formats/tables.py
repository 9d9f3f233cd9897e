"""Parquet: a row a document, its text in a named column."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mobilebert.corpus import opening
from mobilebert.corpus.formats.document import Found
from mobilebert.corpus.formats.markup import decoded
from mobilebert.corpus.formats.plain import own_name
from mobilebert.corpus.plan import Piece
from mobilebert.pipelines import rowgroups


def parquet(piece: Piece) -> Iterator[Found]:
    """The rows of the row groups that begin in the piece; read in batches from a buffered stream, so that no row group fills the memory."""
    with opening.raw_bytes(piece.path) as stream:
        try:
            file = pq.ParquetFile(stream, buffer_size=1 << 20)
            yield from _rows(piece, file, _columns(piece, file.schema_arrow))
        except pa.ArrowException as error:
            raise opening.Unreadable(f"no readable Parquet: {str(error).splitlines()[0]}") from None


def _columns(piece: Piece, schema: Any) -> list[str]:
    """The column of text, and that of ids if there is one."""
    if piece.text_field not in schema.names:
        raise opening.Unreadable(f"it has no column {piece.text_field} (but {', '.join(schema.names[:20])}); set text_field")
    if schema.names.count(piece.text_field) > 1:
        raise opening.Unreadable(f"it has several columns {piece.text_field}; set text_field")
    kind = _plain(schema.field(piece.text_field).type)
    if not _is_text(kind):
        raise opening.Unreadable(f"its column {piece.text_field} holds {kind}, not text; set text_field")
    return [piece.text_field, *(["id"] if schema.names.count("id") == 1 and piece.text_field != "id" else [])]


def _rows(piece: Piece, file: Any, columns: list[str]) -> Iterator[Found]:
    first = 0
    for group in range(file.num_row_groups):
        described = file.metadata.row_group(group)
        if piece.start <= _offset(described) and (piece.end is None or _offset(described) < piece.end):
            row = first
            for batch in rowgroups.batches(file, [group], columns):
                yield from _documents(piece, batch, row)
                row += batch.num_rows
        first += described.num_rows


def _documents(piece: Piece, batch: Any, row: int) -> Iterator[Found]:
    texts = _bytes(batch.column(piece.text_field))
    ids = _ids(batch.column("id")) if "id" in batch.schema.names and piece.text_field != "id" else [None] * batch.num_rows
    for place, (value, own) in enumerate(zip(texts, ids, strict=True)):
        name = own_name(own, f"{piece.ordinal:06d}-{row + place}")
        data = value.as_py()
        yield Found(name, "", "no_text_field", 0) if data is None else decoded(name, data)


def _ids(column: Any) -> list[Any]:
    """What may name the rows: text and whole numbers; not every value of another kind, a date say, is one in Python."""
    kind = _plain(column.type)
    if pa.types.is_integer(kind):
        return column.to_pylist()
    if not _is_text(kind):
        return [None] * len(column)
    return [None if data is None else data.decode(errors="backslashreplace") for data in _bytes(column).to_pylist()]


def _bytes(column: Any) -> Any:
    """A column of text as bytes: it may hold what is no UTF-8."""
    return (column.dictionary_decode() if pa.types.is_dictionary(column.type) else column).cast(pa.large_binary())


def _plain(kind: Any) -> Any:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_text(kind: Any) -> bool:
    tests = ("string", "large_string", "string_view", "binary", "large_binary", "binary_view")
    return any(getattr(pa.types, f"is_{name}")(kind) for name in tests)


def _offset(group: Any) -> int:
    """Where a row group begins in the file; never outside it, whatever the file says of itself."""
    column = group.column(0)
    return max(0, min(column.data_page_offset, column.dictionary_page_offset or column.data_page_offset))
