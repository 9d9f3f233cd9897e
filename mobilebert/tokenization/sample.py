"""Documents of the corpus artefact that a vocabulary is learned from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from mobilebert.errors import UserError

TEXT = "text"
ROWS_AT_ONCE = 1024


def documents(corpus: Path, megabytes: float, seed: int) -> Iterator[str]:
    """About `megabytes` (10^6 bytes of UTF-8) of documents, in the corpus's order, chosen by a hash of each text.

    The choice depends on the texts and the seed alone, not on how the corpus is cut into files.

    Raises:
        UserError: no Parquet file, or one that cannot be read or has no column `text`.
    """
    files = sorted(corpus.glob("*.parquet"))
    if not files:
        raise UserError(f"{corpus}: no .parquet file there; the corpus has no document")
    total = sum(pc.sum(pc.binary_length(batch.column(0))).as_py() or 0 for batch in _batches(files))
    share = megabytes * 1e6 / max(total, 1)
    for batch in _batches(files):
        for text in batch.column(0).to_pylist():
            if text and (share >= 1 or xxhash.xxh3_64_intdigest(text.encode(), seed) < share * 2**64):
                yield text


def _batches(files: list[Path]) -> Iterator:
    for path in files:
        try:
            yield from pq.ParquetFile(path).iter_batches(ROWS_AT_ONCE, columns=[TEXT])
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: cannot read its column '{TEXT}': {error}") from None
