"""Rows of Parquet files, so many at a time as do not fill the memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

BYTES = 1_000_000  # that are read together
MOST = 16  # rows: a dictionary holds a text once however many rows have it
# Bytes of a row group that is read at once, in half the time, if it has no dictionary: as those of our
# corpus.
_WHOLE = 4_000_000
_ROW = 100  # bytes that a row takes beside its values, about
_PLAIN = {"PLAIN", "RLE", "BIT_PACKED"}  # RLE: of what is null and what is not


def batches(file: Any, groups: Iterable[int], columns: list[str] | None = None) -> Iterator[Any]:
    """The rows of these row groups of a `pq.ParquetFile`: all of a small one, else about a megabyte at a time
    by the mean size of the group's rows; at least one.
    """
    for group in groups:
        described = file.metadata.row_group(group)
        rows = min(BYTES * described.num_rows // max(1, described.total_byte_size), MOST)
        if described.total_byte_size + _ROW * described.num_rows <= _WHOLE and _is_plain(described):
            rows = described.num_rows
        yield from file.iter_batches(max(1, rows), row_groups=[group], columns=columns)


def _is_plain(group: Any) -> bool:
    return all(_PLAIN.issuperset(group.column(number).encodings) for number in range(group.num_columns))
