"""Parquet, on pyarrow: a row a document, its text in named columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from mobilebert.corpus.plan import FileRange
from mobilebert.corpus.readers import byte_lines, streams, text_fields
from mobilebert.corpus.readers.document import NO_TEXT_FIELD, OVERSIZED, RawDocument, shown
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


class _Columns(NamedTuple):
    """What is read of a file: the names of its columns, and the fields whose text is looked for in rows.

    Without `fields` the first column is the text, which is read without making objects of the rows.
    """

    names: list[str]
    fields: tuple[str, ...] = ()


def _columns(file_range: FileRange, schema: Any) -> _Columns:
    """The columns of text, and that of ids if there is one that can name the rows."""
    fields = text_fields.names(file_range.text_field)
    names = [_column(field, schema) for field in fields]
    flat = names == list(fields) and len(fields) == 1 and _is_text(_plain(schema.field(names[0]).type))
    has_id = "id" not in names and schema.names.count("id") == 1 and _names(schema.field("id").type)
    names = [*dict.fromkeys(names), *(["id"] if has_id else [])]
    return _Columns(names, () if flat else fields)


def _column(field: str, schema: Any) -> str:
    """The column that a field is, or lies in: `a` for `a.b`.

    Raises:
        Unreadable: there is none, there are several, or it can hold no text.
    """
    name = field if field in schema.names else field.partition(".")[0]
    if name not in schema.names:
        raise streams.Unreadable(
            f"it has no column {field} (but {', '.join(schema.names[:20])}); set text_field"
        )
    if schema.names.count(name) > 1:
        raise streams.Unreadable(f"it has several columns {name}; set text_field")
    kind = _plain(schema.field(name).type)
    if not _is_text(kind) and not pa.types.is_nested(kind):
        raise streams.Unreadable(f"its column {name} holds {kind}, not text; set text_field")
    if pa.types.is_struct(kind) and name == field:
        inner = ", ".join(f"{name}.{kind.field(number).name}" for number in range(kind.num_fields))
        raise streams.Unreadable(f"its column {name} has fields; set text_field to one of {inner}")
    return name


def _rows(file_range: FileRange, stream: BinaryIO, file: Any, columns: _Columns) -> Iterator[RawDocument]:
    first = 0
    expansion = streams.Expansion(stream)
    for number in range(file.num_row_groups):
        group = file.metadata.row_group(number)
        if file_range.start <= _offset(group) and (file_range.end is None or _offset(group) < file_range.end):
            expansion.add(_checked_size(number, group, columns.names))
            row = first
            for batch in row_groups.batches(file, [number], columns.names):
                if columns.fields:
                    yield from _nested_documents(row, batch.to_pylist(), columns.fields)
                else:
                    yield from _documents(row, [_flat(batch.column(name)) for name in columns.names])
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
        chunk
        for chunk in map(group.column, range(group.num_columns))
        if chunk.path_in_schema in columns or chunk.path_in_schema.partition(".")[0] in columns
    ]
    # A list has more values than rows.
    if any(chunk.num_values != group.num_rows for chunk in chunks if chunk.path_in_schema in columns):
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


def _nested_documents(
    first: int, rows: list[dict[str, Any]], fields: tuple[str, ...]
) -> Iterator[RawDocument]:
    """The same of rows whose text lies in lists, structures or several columns."""
    for number, row in enumerate(rows, first):
        text = text_fields.text_of(row, fields)
        name = own_name(row.get("id"), f"#{number}")
        yield RawDocument(name, "", NO_TEXT_FIELD, 0) if text is None else RawDocument(name, text)


def _documents(first: int, columns: list[Any]) -> Iterator[RawDocument]:
    """A batch of rows, the first of which has the number `first` in the file."""
    texts, *ids = columns
    for at, text in enumerate(texts):
        own = ids[0][at].as_py() if ids else None
        own = own.decode(errors="backslashreplace") if isinstance(own, bytes) else own
        name = own_name(own, f"#{first + at}")
        data = text.as_buffer()
        if data is None:
            yield RawDocument(name, "", NO_TEXT_FIELD, 0)
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
