"""The global shuffle: rows sorted by a hash of their content, in two passes with bounded memory.

Pass one spills the rows of each block, sorted by key, with an index of equal ranges of keys, the cells. Pass
two writes a shard, which is a range of cells, bucket by bucket: some cells that fit into memory, gathered
from all spills. The order depends on the seed and the rows alone, never on blocks or workers.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import repeat

import numpy as np
import xxhash

from mobilebert.records import gzip_blocks
from mobilebert.records.packing import GROUP, Arrangement
from mobilebert.records.record_format import RecordFormat, each
from mobilebert.storage import paths

BUCKET_BYTES = 16_000_000
CELLS = 4096  # about; a cell of more than a bucket begins at 64 GB of records
SPLITS = ("train", "heldout")


def spilled(record_format: RecordFormat) -> np.dtype:
    """A row in a spill: its key, the hash of its document, its ids."""
    return np.dtype(
        [("key", "<u8"), ("document", "<u8"), ("ids", record_format.dtype, (record_format.sequence_length,))]
    )


def spill(
    path: str, rows: np.ndarray, documents: np.ndarray, record_format: RecordFormat, seed: int, shards: int
) -> None:
    """Write rows (n, S) of documents (n,) sorted by key, and `PATH.index`: (cells + 1) uint32, the first
    row of each cell and the end.
    """
    keys = np.fromiter(map(xxhash.xxh3_64_intdigest, each(rows), repeat(seed)), np.uint64, len(rows))
    order = np.argsort(keys, kind="stable")
    made = np.empty(len(rows), spilled(record_format))
    made["key"], made["document"], made["ids"] = keys[order], documents[order], rows[order]
    index = np.append(np.searchsorted(made["key"], _edges(_cells(shards))), len(made)).astype("<u4")
    paths.write(f"{path}.index", index.tobytes())
    paths.write(path, made.tobytes())


def write_shard(
    path: str,
    spills: Sequence[str],
    record_format: RecordFormat,
    arrangement: Arrangement,
    compression: str,
    shard: int,
    shards: int,
) -> Counter[int]:
    """Write one of `shards` equal ranges of keys as a TFRecord file, as arranged and compressed.

    Returns:
        how often each id (without flag) stands in it, and under the key -1 the number of records.
    """
    groups = _cut(_sorted(spills, record_format, shard, shards), GROUP)
    counts = np.zeros(record_format.vocabulary_size, np.int64)
    written = 0
    with gzip_blocks.writing(path, record_format, compression) as sink:
        for rows in _cut(_arranged(groups, arrangement), GROUP):
            sink.write(rows)
            counts += np.bincount(
                (rows & record_format.dtype.type(record_format.word_start - 1)).ravel(), minlength=len(counts)
            )
            written += len(rows)
    return Counter({int(id): int(counts[id]) for id in np.flatnonzero(counts)} | {-1: written})


def _arranged(groups: Iterable[np.ndarray], arrangement: Arrangement) -> Iterator[np.ndarray]:
    yield from map(arrangement.group, groups)
    yield arrangement.rest()


def _sorted(
    spills: Sequence[str], record_format: RecordFormat, shard: int, shards: int
) -> Iterator[np.ndarray]:
    """The spilled rows of a shard in the order of their keys, a bucket at a time."""
    cells = _cells(shards) // shards
    # (spills, cells + 1): where the cells of this shard begin in each spill
    bounds = np.empty(
        (len(spills), cells + 1), np.uint32
    )  # filled row by row: of 4,096 spills in one shard they are 67 MB
    for row, spill in zip(bounds, spills, strict=True):
        row[:] = np.frombuffer(paths.read(f"{spill}.index", 4 * shard * cells, row.nbytes), "<u4")
    before = bounds.sum(axis=0, dtype=np.int64)
    for first, last in _buckets((before - before[0]) * spilled(record_format).itemsize):
        rows = _gathered(spills, bounds[:, first], bounds[:, last], record_format)
        order = np.lexsort(
            (rows["document"], rows["key"])
        )  # equal rows of two documents must not stand as the spills do
        yield from (rows.take(order[start : start + GROUP]) for start in range(0, len(order), GROUP))


def _cut(batches: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """The same rows, `size` at a time; the last time what is left, if anything is."""
    pending: np.ndarray | None = None
    for batch in batches:
        pending = batch if pending is None or not len(pending) else np.concatenate([pending, batch])
        whole = len(pending) // size * size
        yield from (pending[at : at + size] for at in range(0, whole, size))
        pending = pending[whole:]
    if pending is not None and len(pending):
        yield pending


def _cells(shards: int) -> int:
    """How many ranges all keys are cut into: a multiple of the shards."""
    return max(1, CELLS // shards) * shards


@cache
def _edges(cells: int) -> np.ndarray:
    """(cells,) uint64: where each range begins."""
    return np.array([-(-cell * 2**64 // cells) for cell in range(cells)], np.uint64)


def _buckets(bounds: np.ndarray) -> Iterator[tuple[int, int]]:
    """Ranges of cells of about `BUCKET_BYTES`, at least one cell each, from the (cells + 1) bytes that lie
    before each.
    """
    first = 0
    while first < len(bounds) - 1:
        last = max(first + 1, int(np.searchsorted(bounds, bounds[first] + BUCKET_BYTES, "right")) - 1)
        yield first, last
        first = last


def _gathered(
    spills: Sequence[str], first: np.ndarray, last: np.ndarray, record_format: RecordFormat
) -> np.ndarray:
    """Rows `first` to `last` (excluded) of each spill."""
    kind = spilled(record_format)
    rows = np.empty(int((last - first).sum()), kind)
    end = 0
    for spill, start, stop in zip(spills, first.tolist(), last.tolist(), strict=True):
        if start < stop:
            data = paths.read(spill, start * kind.itemsize, (stop - start) * kind.itemsize)
            rows[end : end + stop - start] = np.frombuffer(data, kind)
            end += stop - start
    return rows


def save_counts(path: str, counts: Counter) -> None:
    """Counts as JSON beside the spill or shard that they tell of."""
    paths.write(
        path, json.dumps({str(name): value for name, value in counts.items()}, sort_keys=True).encode()
    )


def sum_counts(files: Sequence[str]) -> Counter[str]:
    """What `save_counts` wrote, added up."""
    total: Counter[str] = Counter()
    for path in files:
        total.update(json.loads(paths.read(path)))
    return total
