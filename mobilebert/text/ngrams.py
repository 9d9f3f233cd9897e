"""Hashes of character n-grams, whole texts at once in NumPy."""

from __future__ import annotations

import numpy as np

from mobilebert.text import characters

SEPARATOR = np.uint32(characters.CODE_POINTS)  # no code point; stands for the NUL after a text
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio: mixes well in a polynomial hash


def ngrams(codes: np.ndarray, n: int) -> np.ndarray:
    """(max(N - n + 1, 0),) uint64: a polynomial hash of each n-gram of the code points (N,), by doubling
    window lengths.
    """
    # hash of length a+b at i = hash_a[i] * M**b + hash_b[i + a]: log2(n) passes over the text instead of n.
    hashes = codes.astype(np.uint64)
    hashes *= _MULTIPLIER
    hashes ^= hashes >> np.uint64(29)
    made, width = hashes, 1
    result: np.ndarray | None = None
    covered = 0
    with np.errstate(over="ignore"):
        while True:
            if n & width:
                result = made if result is None else _joined(result, made, covered, width)
                covered += width
            width *= 2
            if width > n:
                break
            made = _joined(made, made, width // 2, width // 2)
    if result is None or len(codes) < n:
        return np.zeros(0, np.uint64)
    return result[: len(codes) - n + 1]


def of_texts(codes: np.ndarray, folding: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The n-grams of each of some texts, none of which reaches over the end of its text.

    Args:
        codes: (N,) uint32 code points of all texts, a NUL after each.
        folding: (0x110000,) uint32, what stands for each code point: 0 for what is left out, `SEPARATOR` for
            NUL.
        n: characters that are not left out.

    Returns:
        (M,) uint64 hashes and (D + 1,) int64: those of text d are `hashes[bounds[d] : bounds[d + 1]]`.
    """
    folded = folding.take(codes)
    folded = folded.take(np.flatnonzero(folded != 0))  # in half the time of a choice by truth values
    ends = np.flatnonzero(folded == SEPARATOR)
    hashes = ngrams(folded, n)
    inside = np.ones(len(folded), bool)
    for before in range(n):  # the n-grams that begin here reach over the end of their text
        inside[np.maximum(ends - before, 0)] = False
    bounds = np.zeros(len(ends) + 1, np.int64)
    np.cumsum(np.maximum(np.diff(ends, prepend=-1) - n, 0), out=bounds[1:])
    return hashes[inside[: len(hashes)]], bounds


def _joined(first: np.ndarray, second: np.ndarray, first_width: int, second_width: int) -> np.ndarray:
    """Hashes of windows of first_width + second_width from those of their two parts."""
    factor = np.uint64(pow(int(_MULTIPLIER), second_width, 2**64))
    count = max(min(len(first), len(second) - first_width), 0)
    joined = first[:count] * factor
    joined += second[first_width : first_width + count]
    return joined
