"""Rows of Parquet files, so many at a time as do not fill the memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

_BYTES = 1_000_000
_MOST = 16  # more at once are not read faster, and a dictionary holds a text once however many rows have it


def batches(file: Any, groups: Iterable[int], columns: list[str] | None = None) -> Iterator[Any]:
    """The rows of these row groups of a `pq.ParquetFile`, about a megabyte at a time by the mean size of a group's rows; at least one."""
    for group in groups:
        described = file.metadata.row_group(group)
        rows = _BYTES * described.num_rows // max(1, described.total_byte_size)
        yield from file.iter_batches(max(1, min(rows, _MOST)), row_groups=[group], columns=columns)
