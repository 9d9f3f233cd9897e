"""SplitMix64's finalizer, for hashes that are spread and for random numbers by computation."""

from __future__ import annotations

import numpy as np


def mixed(values: np.ndarray) -> np.ndarray:
    """Every bit of the input reaches every bit of the output: uint64 in and out, any shape.

    (Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014.)
    """
    made = values ^ (values >> np.uint64(30))
    made *= np.uint64(0xBF58476D1CE4E5B9)
    made ^= made >> np.uint64(27)
    made *= np.uint64(0x94D049BB133111EB)
    made ^= made >> np.uint64(31)
    return made
