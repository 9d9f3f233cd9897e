"""Hashes of character n-grams, whole texts at once in NumPy."""

from __future__ import annotations

import numpy as np

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio: mixes well in a polynomial hash


def ngrams(codes: np.ndarray, n: int) -> np.ndarray:
    """(max(N - n + 1, 0),) uint64: a polynomial hash of each n-gram of the code points (N,), by doubling window lengths."""
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


def _joined(first: np.ndarray, second: np.ndarray, first_width: int, second_width: int) -> np.ndarray:
    """Hashes of windows of first_width + second_width from those of their two parts."""
    factor = np.uint64(pow(int(_MULTIPLIER), second_width, 2**64))
    count = max(min(len(first), len(second) - first_width), 0)
    joined = first[:count] * factor
    joined += second[first_width : first_width + count]
    return joined
