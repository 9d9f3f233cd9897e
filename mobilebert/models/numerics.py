"""The number that says how far two computations of the same thing are apart."""

from __future__ import annotations

import math

import numpy as np

NOISE = (
    1e-12  # below it float64 only rounds, and differently with another number of threads (measured: 2e-15)
)


def difference(values: np.ndarray, expected: np.ndarray) -> float:
    """Largest absolute difference, relative to the largest absolute expected value; infinite if anything
    is not finite.
    """
    if values.shape != expected.shape:
        raise ValueError(f"shape {values.shape}, expected {expected.shape}")
    scale = float(np.abs(expected).max())
    worst = float(np.abs(values.astype(np.float64) - expected).max())
    return worst / scale if math.isfinite(worst) and math.isfinite(scale) and scale > 0 else math.inf


def rounded_up(value: float) -> float:
    """To one significant digit, upwards, at least NOISE: the last digits are a machine's, and these
    numbers are published.
    """
    if value <= NOISE:
        return 0.0 if value == 0 else NOISE
    step = 10.0 ** math.floor(math.log10(value))
    return float(f"{math.ceil(value / step - 1e-9) * step:.0e}")
