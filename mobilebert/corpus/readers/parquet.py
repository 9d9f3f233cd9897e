"""Parquet, on pyarrow: a row a document, its text in a named column."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from mobilebert.corpus.plan import FileRange
from mobilebert.corpus.readers import byte_lines, streams
from mobilebert.corpus.readers.document import OVERSIZED, RawDocument, shown
from mobilebert.corpus.readers.markup import decoded
from mobilebert.corpus.readers.plain import own_name
from mobilebert.storage import row_groups

# pyarrow decompresses a page as a whole: one of 100 MB (100 rows of 1 MB, zstd or Snappy) takes 250 to 280 MB
# beside all else, the largest that is read 760 MB.
MAX_PAGE_BYTES = 256_000_000
# Writers close a page at 1 MB, but look only after so many rows whether it has them (pyarrow's and
# parquet-rs's write_batch_size).
_PAGE_ROWS = 1024


def parquet(file_range: FileRange) -> Iterator[RawDocument]:
    """The rows of the row groups that begin in the file_range; read in small batches, so that no row group
    fills the memory.
    """
    with streams.open_raw(file_range.path) as stream:
        try:
            file = pq.ParquetFile(stream, buffer_size=1 << 20, page_checksum_verification=True)
            yield from _rows(file_range, stream, file, _columns(file_range, file.schema_arrow))
        except (pa.ArrowException, UnicodeDecodeError) as error:  # the latter by names of columns
            raise streams.Unreadable(f"no readable Parquet: {str(error).splitlines()[0]}") from None


def _columns(file_range: FileRange, schema: Any) -> list[str]:
    """The column of text, and that of ids if there is one that can name the rows."""
    if file_range.text_field not in schema.names:
        raise streams.Unreadable(
            f"it has no column {file_range.text_field} (but {', '.join(schema.names[:20])}); set text_field"
        )
    if schema.names.count(file_range.text_field) > 1:
        raise streams.Unreadable(f"it has several columns {file_range.text_field}; set text_field")
    kind = _plain(schema.field(file_range.text_field).type)
    if not _is_text(kind):
        raise streams.Unreadable(f"its column {file_range.text_field} holds {kind}, not text; set text_field")
    has_id = (
        file_range.text_field != "id" and schema.names.count("id") == 1 and _names(schema.field("id").type)
    )
    return [file_range.text_field, "id"] if has_id else [file_range.text_field]


def _rows(file_range: FileRange, stream: BinaryIO, file: Any, columns: list[str]) -> Iterator[RawDocument]:
    first = 0
    expansion = streams.Expansion(stream)
    for number in range(file.num_row_groups):
        group = file.metadata.row_group(number)
        if file_range.start <= _offset(group) and (file_range.end is None or _offset(group) < file_range.end):
            expansion.add(_checked_size(number, group, columns))
            row = first
            for batch in row_groups.batches(file, [number], columns):
                yield from _documents(file_range, row, [_flat(batch.column(name)) for name in columns])
                row += len(batch)
            if row != first + group.num_rows:
                raise streams.Unreadable(
                    f"no readable Parquet: {row - first} rows in row group {number}, where its footer "
                    f"says "
                    f"{group.num_rows}"
                )
        first += group.num_rows


def _checked_size(number: int, group: Any, columns: list[str]) -> int:
    """The decompressed bytes of these columns of a row group, by its footer.

    Raises:
        Unreadable: its rows are so long, on average, that a page of them may not fit into a worker's memory;
            or it contradicts itself.
    """
    chunks = [
        chunk for chunk in map(group.column, range(group.num_columns)) if chunk.path_in_schema in columns
    ]
    if any(chunk.num_values != group.num_rows for chunk in chunks):
        raise streams.Unreadable(
            f"no readable Parquet: the columns of row group {number} have other numbers of rows than its "
            f"footer says"
        )
    size = sum(chunk.total_uncompressed_size for chunk in chunks)
    page = size * min(_PAGE_ROWS, group.num_rows) // max(1, group.num_rows)
    if page > MAX_PAGE_BYTES:
        raise streams.Unreadable(
            f"row group {number} has {group.num_rows} rows of {size // 1_000_000} MB, so long that a page "
            f"of them may have "
            f"{page // 1_000_000} MB, over {MAX_PAGE_BYTES // 1_000_000}; write the file with fewer rows "
            f"in a row group"
        )
    return size


def _documents(file_range: FileRange, first: int, columns: list[Any]) -> Iterator[RawDocument]:
    """A batch of rows, the first of which has the number `first` in the file."""
    texts, *ids = columns
    for at, text in enumerate(texts):
        own = ids[0][at].as_py() if ids else None
        own = own.decode(errors="backslashreplace") if isinstance(own, bytes) else own
        name = own_name(own, f"{file_range.ordinal:06d}-{first + at}")
        data = text.as_buffer()
        if data is None:
            yield RawDocument(name, "", "no_text_field", 0)
        elif data.size > byte_lines.MAX_LINE_BYTES:
            yield RawDocument(name, shown(data[: byte_lines.SHOWN_BYTES].to_pybytes()), OVERSIZED, data.size)
        else:
            yield decoded(name, data.to_pybytes())


def _flat(column: Any) -> Any:
    """Without a dictionary; texts as bytes, since they may hold what is no UTF-8."""
    column = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
    return column.cast(pa.large_binary()) if _is_text(column.type) else column


def _plain(kind: Any) -> Any:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _names(kind: Any) -> bool:
    """Whether such values may name the rows: not every value of another kind, a date say, is one in
    Python.
    """
    return pa.types.is_integer(_plain(kind)) or _is_text(_plain(kind))


def _is_text(kind: Any) -> bool:
    tests = ("string", "large_string", "string_view", "binary", "large_binary", "binary_view")
    return any(getattr(pa.types, f"is_{name}")(kind) for name in tests)


def _offset(group: Any) -> int:
    """Where a row group begins in the file; never outside it, whatever the file says of itself."""
    column = group.column(0)
    return max(0, min(column.data_page_offset, column.dictionary_page_offset or column.data_page_offset))
