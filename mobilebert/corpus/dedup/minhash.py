"""MinHash of character 5-grams by one-permutation hashing, in NumPy.

One hash of each shingle fills 112 bins with their smallest values (Li, Owen, Zhang 2012); empty bins borrow
from others by a fixed random order of bins (Shrivastava 2017, "Optimal Densification"). Five times the
fastest library tried, at equal recall (benchmarks/results/data.md); 14 bands of 8 find pairs of Jaccard
similarity 0.7 and more (docs/corpus.md).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np

from mobilebert.splitmix import mixed
from mobilebert.text import characters
from mobilebert.text.ngrams import SEPARATOR, of_texts

SHINGLE = 5
BANDS = 14
ROWS = 8
BINS = BANDS * ROWS
_BATCH_CHARACTERS = 50_000
_EMPTY = np.uint32(0xFFFFFFFF)


def band_keys(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Keys by which near-duplicates meet.

    Returns:
        (M,) int64 the index of the text and (M,) uint64 the key, 14 for each text that has a shingle, none
        for the others.
    """
    signature = np.concatenate([signatures(batch) for batch in _batches(texts)])
    whole = np.flatnonzero((signature != _EMPTY).any(axis=1))
    banded = np.moveaxis(signature[whole].reshape(-1, BANDS, ROWS), 2, 0).astype(
        np.uint64, order="C"
    )  # (ROWS, D, BANDS)
    keys = np.arange(1, BANDS + 1, dtype=np.uint64)[None, :].repeat(
        len(whole), axis=0
    )  # equal rows in another band are another key
    for row in banded:
        keys = mixed(keys ^ row)
    return whole.repeat(BANDS), keys.reshape(-1)


def _batches(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """The texts, so many at a time that their arrays fit into a processor's cache; at least one batch."""
    start = size = 0
    for end, text in enumerate(texts, 1):
        size += len(text)
        if size >= _BATCH_CHARACTERS:
            yield texts[start:end]
            start, size = end, 0
    if start < len(texts) or not start:
        yield texts[start:]


def signatures(texts: Sequence[str]) -> np.ndarray:
    """(D, 112) uint32: the share of equal columns of two rows estimates their Jaccard similarity; a row
    without shingles is all ones.
    """
    hashes, bounds = _shingles(texts)
    flat = np.full(len(texts) * BINS, _EMPTY, np.uint32)
    bins = (((hashes >> np.uint64(32)) * np.uint64(BINS)) >> np.uint64(32)).astype(np.int64)
    bins += np.repeat(np.arange(0, len(flat), BINS), np.diff(bounds))
    np.minimum.at(flat, bins, hashes.astype(np.uint32))
    return _densified(flat.reshape(len(texts), BINS))


def shingle_sets(texts: Sequence[str]) -> list[np.ndarray]:
    """Of each text (K,) uint64, sorted and unique: its hashed 5-grams, for exact Jaccard similarities."""
    sets: list[np.ndarray] = []
    for batch in _batches(texts):
        hashes, bounds = _shingles(batch)
        sets += (np.unique(hashes[start:end]) for start, end in itertools.pairwise(bounds.tolist()))
    return sets


def jaccard(first: np.ndarray, second: np.ndarray) -> float:
    """Jaccard similarity of two `shingle_sets`; 0 if both are empty."""
    common = len(np.intersect1d(first, second, assume_unique=True))
    total = len(first) + len(second) - common
    return common / total if total else 0.0


def _shingles(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """(M,) uint64 hash of each 5-gram of letters, digits and Han in lower case; (D + 1,) int64, where those
    of each text begin.

    Punctuation and spaces are left out: texts that differ in them alone are the same.
    """
    hashes, bounds = of_texts(
        characters.codes("\0".join([*(text.replace("\0", "") for text in texts), ""])), _forms(), SHINGLE
    )
    return mixed(hashes), bounds


def _densified(signature: np.ndarray) -> np.ndarray:
    empty = signature == _EMPTY
    row, hole = np.nonzero(empty & ~empty.all(axis=1, keepdims=True))
    lenders = _lenders()
    for turn in range(BINS):  # each hole asks its next bin, until all have found one that is not empty
        lender = lenders[hole, turn]
        filled = ~empty[row, lender]
        signature[row[filled], hole[filled]] = signature[row[filled], lender[filled]]
        row, hole = row[~filled], hole[~filled]
        if not row.size:
            break
    return signature


@cache
def _lenders() -> np.ndarray:
    """(112, 112) int64: for each bin, all bins in a random order of its own."""
    return np.random.Generator(np.random.PCG64(2017)).permuted(
        np.arange(BINS)[None, :].repeat(BINS, axis=0), axis=1
    )


@cache
def _forms() -> np.ndarray:
    """(0x110000,) uint32: what stands for each code point in a shingle: lower case, 0 for what is left
    out, a separator for NUL.
    """
    table = characters.letters().copy()
    table[0] = SEPARATOR
    return table
