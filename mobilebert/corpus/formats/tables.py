"""Parquet: a row a document, its text in a named column."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from mobilebert.corpus import opening
from mobilebert.corpus.formats import pages, parts
from mobilebert.corpus.formats.document import OVERSIZED, Found, shown
from mobilebert.corpus.formats.markup import decoded
from mobilebert.corpus.formats.plain import own_name
from mobilebert.corpus.plan import Piece

_MOST_BYTES = 24_000_000  # of a page that has to be unpacked as a whole


def parquet(piece: Piece) -> Iterator[Found]:
    """The rows of the row groups that begin in the piece; read in batches from a buffered stream, so that no row group fills the memory."""
    with opening.raw_bytes(piece.path) as stream:
        try:
            file = pq.ParquetFile(stream, buffer_size=1 << 20)
            yield from _rows(piece, stream, file, _columns(piece, file.schema_arrow))
        except (pa.ArrowException, UnicodeDecodeError) as error:  # the latter by names of columns
            raise opening.Unreadable(f"no readable Parquet: {str(error).splitlines()[0]}") from None


def _columns(piece: Piece, schema: Any) -> list[str]:
    """The column of text, and that of ids if there is one that can name the rows."""
    if piece.text_field not in schema.names:
        raise opening.Unreadable(f"it has no column {piece.text_field} (but {', '.join(schema.names[:20])}); set text_field")
    if schema.names.count(piece.text_field) > 1:
        raise opening.Unreadable(f"it has several columns {piece.text_field}; set text_field")
    kind = _plain(schema.field(piece.text_field).type)
    if not _is_text(kind):
        raise opening.Unreadable(f"its column {piece.text_field} holds {kind}, not text; set text_field")
    return [
        piece.text_field,
        *(["id"] if piece.text_field != "id" and schema.names.count("id") == 1 and _names(schema.field("id").type) else []),
    ]


def _rows(piece: Piece, stream: BinaryIO, file: Any, columns: list[str]) -> Iterator[Found]:
    first = 0
    expansion = opening.Expansion(stream)
    for group in range(file.num_row_groups):
        described = file.metadata.row_group(group)
        if piece.start <= _offset(described) and (piece.end is None or _offset(described) < piece.end):
            read = [_column(stream, file, group, name) for name in columns]
            expansion.add(read[0].unpacked)
            at_once = min(column.at_once for column in read)  # pyarrow's last call decides for all that read the file
            texts, *ids = (_values(stream, file, group, column, at_once) for column in read)
            owns = ids[0] if ids else itertools.repeat(None)
            row = first
            for data in texts:  # nothing here holds one, which may be long, while the next one is read
                own = next(owns, None)
                own = own.decode(errors="backslashreplace") if isinstance(own, bytes) else own
                found = _document(own_name(own, f"{piece.ordinal:06d}-{row}"), data)
                del data
                yield found
                del found
                row += 1
            if row < first + described.num_rows:
                raise pages.damaged(f"{row - first} rows where {described.num_rows} are named")
        first += described.num_rows


def _column(stream: BinaryIO, file: Any, group: int, name: str) -> pages.Column:
    """A column that can be read, with all of its rows."""
    column = pages.column(stream, file, group, name)
    told = file.metadata.row_group(group).num_rows
    if not column.rows == column.chunk.num_values == told:
        raise opening.Unreadable(f"no readable Parquet: {column.rows} rows in the pages of its column {name}, where its footer says {told}")
    if column.largest > _MOST_BYTES and not column.in_parts:
        ways = ", ".join((column.chunk.compression, *column.chunk.encodings))
        raise opening.Unreadable(
            f"its column {name} has a page of {column.largest // 1_000_000} MB, packed and unpacked, which has to be unpacked as a whole "
            f"({ways}); write it with pages of at most {_MOST_BYTES // 1_000_000} MB"
        )
    return column


def _values(stream: BinaryIO, file: Any, group: int, column: pages.Column, at_once: int) -> Iterator[Any]:
    """A column's values, texts as bytes: they may hold what is no UTF-8."""
    if column.is_large and column.in_parts:
        yield from parts.texts(stream, column)
        return
    for batch in file.iter_batches(at_once, row_groups=[group], columns=[column.name], use_threads=False):
        values = _flat(batch.column(column.name))
        del batch
        for place in range(len(values)):
            yield values[place].as_py()
        del values


def _document(name: str, data: bytes | None) -> Found:
    if data is None:
        return Found(name, "", "no_text_field", 0)
    if isinstance(data, opening.Oversized):
        return Found(name, shown(data), OVERSIZED, data.size)
    return decoded(name, data)


def _flat(column: Any) -> Any:
    column = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
    return column.cast(pa.large_binary()) if _is_text(column.type) else column


def _plain(kind: Any) -> Any:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _names(kind: Any) -> bool:
    """Whether such values may name the rows: not every value of another kind, a date say, is one in Python."""
    return pa.types.is_integer(_plain(kind)) or _is_text(_plain(kind))


def _is_text(kind: Any) -> bool:
    tests = ("string", "large_string", "string_view", "binary", "large_binary", "binary_view")
    return any(getattr(pa.types, f"is_{name}")(kind) for name in tests)


def _offset(group: Any) -> int:
    """Where a row group begins in the file; never outside it, whatever the file says of itself."""
    column = group.column(0)
    return max(0, min(column.data_page_offset, column.dictionary_page_offset or column.data_page_offset))
