"""The global shuffle: rows sorted by a hash of their content, in two passes with bounded memory.

Pass one spills the rows of each block, sorted by key. Pass two writes a shard, which is a range of keys, bucket by bucket: a narrower
range that fits into memory, gathered from all spills. The order depends on the seed and the rows alone, never on blocks or workers.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xxhash

from mobilebert.records.form import Form

BUCKET_BYTES = 64_000_000
SPLITS = ("train", "heldout")


def spilled(form: Form) -> np.dtype:
    """A row in a spill: its key and its ids."""
    return np.dtype([("key", "<u8"), ("ids", form.dtype, (form.sequence_length,))])


def spill(path: Path, rows: np.ndarray, form: Form, seed: int) -> None:
    """Write rows (n, S) sorted by key."""
    data, step = rows.tobytes(), form.sequence_length * form.dtype.itemsize
    made = np.empty(len(rows), spilled(form))
    made["key"] = np.array([xxhash.xxh3_64_intdigest(data[at : at + step], seed) for at in range(0, len(data), step)], np.uint64)
    made["ids"] = rows
    made[np.argsort(made["key"], kind="stable")].tofile(path)


def write_shard(path: Path, spills: Sequence[Path], form: Form, shard: int, shards: int) -> Counter[int]:
    """Write one of `shards` equal ranges of keys as a TFRecord file.

    Returns:
        how often each id (without flag) stands in it, and under the key -1 the number of records.
    """
    sources = [np.memmap(spill, spilled(form), "r") for spill in spills if spill.stat().st_size]
    keys = [source["key"] for source in sources]
    first, last = shard * 2**64 // shards, (shard + 1) * 2**64 // shards
    size = sum(_slice(key, first, last).stop - _slice(key, first, last).start for key in keys) * spilled(form).itemsize
    buckets = -(-size // BUCKET_BYTES) or 1
    found: Counter[int] = Counter()
    temporary = path.with_name(f".{path.name}.partial")
    with temporary.open("wb") as stream:
        for bucket in range(buckets):
            low, high = (first + (last - first) * edge // buckets for edge in (bucket, bucket + 1))
            parts = [source[_slice(key, low, high)] for source, key in zip(sources, keys, strict=True)]
            rows = np.concatenate(parts) if parts else np.empty(0, spilled(form))
            ids = rows["ids"][np.argsort(rows["key"], kind="stable")]
            stream.write(form.pack(ids))
            counts = np.bincount((ids & form.dtype.type(~form.word_start & (2 * form.word_start - 1))).ravel())
            found.update({int(id): int(counts[id]) for id in np.flatnonzero(counts)})
            found[-1] += len(ids)
    temporary.replace(path)
    return found


def save_counts(path: Path, counts: Counter) -> None:
    """Counts as JSON beside the spill or shard that they tell of."""
    path.write_text(json.dumps({str(name): value for name, value in counts.items()}, sort_keys=True), encoding="utf-8")


def sum_counts(paths: Sequence[Path]) -> Counter[str]:
    """What `save_counts` wrote, added up."""
    total: Counter[str] = Counter()
    for path in paths:
        total.update(json.loads(path.read_text(encoding="utf-8")))
    return total


def _slice(keys: np.ndarray, low: int, high: int) -> slice:
    """The rows with low <= key < high; `high` may be 2**64."""
    start = int(np.searchsorted(keys, np.uint64(low)))
    return slice(start, len(keys) if high >= 2**64 else int(np.searchsorted(keys, np.uint64(high))))
