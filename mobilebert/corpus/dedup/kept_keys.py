"""The keys that a corpus keeps, so that another one can leave out what it has (`other_corpora`).

`keys/part-NNNNN.parquet` has 15 keys of each document (its text's hash and 14 bands), each with the
document's row in the corpus. They ascend over all files; file n of N has those from n/N to (n + 1)/N of all
numbers of 64 bits.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mobilebert.corpus.cleaning import CleaningContext
from mobilebert.corpus.dedup import block_store, near_duplicates
from mobilebert.storage import paths

KEYS = pa.schema([("key", pa.uint64()), ("row", pa.uint64())])
_KEYS_AT_ONCE = 1 << 17  # a row group of KEYS
_ROWS_AT_ONCE = 1 << 20  # of the file of rows, 8 MB
_ROW = np.dtype("<u8")
_NO_ROW = np.uint64(np.iinfo(np.uint64).max)


def write_rows(shards: Sequence[str], context: CleaningContext) -> None:
    """Write the row of each document in the corpus (`rows`, uint64 by count; the largest number: none).

    Args:
        shards: files with a byte a document, whether it is in the corpus, in order.
        context: of the cleaning.
    """
    path, before = _rows_file(context), np.uint64(0)
    if paths.exists(path):
        return
    with paths.writing(path) as stream:
        for shard in shards:
            kept = np.frombuffer(paths.read(shard), bool)
            rows = before + np.cumsum(kept, dtype=np.uint64) - np.uint64(1)
            stream.write(np.where(kept, rows, _NO_ROW).tobytes())
            before += np.uint64(np.count_nonzero(kept))


def files(folder: str) -> list[str]:
    """The files that `keep` wrote, in order."""
    partitions = block_store.Blocks(folder).partitions
    return [paths.join(folder, f"kept-{partition:06d}") for partition in range(partitions)]


def keep(partition: int, context: CleaningContext) -> int:
    """Write the keys of a partition that documents of the corpus have (`kept-NNNNNN`, Parquet of KEYS,
    ascending); returns it.
    """
    out = near_duplicates.file_of(context, "kept", partition)
    if paths.exists(out):
        return partition
    blocks = block_store.Blocks(context.folder)
    encodings = dict.fromkeys(KEYS.names, "DELTA_BINARY_PACKED")
    with (
        paths.writing(out) as stream,
        pq.ParquetWriter(
            stream, KEYS, compression="none", use_dictionary=False, column_encoding=encodings
        ) as writer,
    ):
        for keys in near_duplicates.slices(partition, blocks, context):
            rows = _rows(blocks.counted(keys["document"]), blocks.documents, context)
            key, rows = keys["key"][rows != _NO_ROW], rows[rows != _NO_ROW]
            order = np.lexsort((rows, key))
            table = pa.Table.from_arrays([pa.array(key[order]), pa.array(rows[order])], schema=KEYS)
            if len(table):  # a row group without rows has no smallest key
                writer.write_table(table, _KEYS_AT_ONCE)
    return partition


def _rows(documents: np.ndarray, count: int, context: CleaningContext) -> np.ndarray:
    """(M,) uint64: the rows of (M,) documents by count, of which there are `count`."""
    rows = np.empty(len(documents), np.uint64)
    order = np.argsort(documents)
    bounds = np.searchsorted(documents[order], np.arange(0, count + _ROWS_AT_ONCE, _ROWS_AT_ONCE))
    for chunk, (start, end) in enumerate(itertools.pairwise(bounds.tolist())):
        if start < end:
            first = chunk * _ROWS_AT_ONCE
            data = paths.read(_rows_file(context), first * _ROW.itemsize, _ROWS_AT_ONCE * _ROW.itemsize)
            rows[order[start:end]] = np.frombuffer(data, _ROW)[documents[order[start:end]] - first]
    return rows


def _rows_file(context: CleaningContext) -> str:
    return paths.join(context.folder, "rows")
