"""The learning rate follows the written formula at every step."""

from __future__ import annotations

import pytest
import tensorflow as tf

from mobilebert.settings import Optimization
from mobilebert.training.schedules import learning_rate


def rates(optimization: Optimization, steps: list[int]) -> list[float]:
    return [float(learning_rate(tf.constant(step), optimization)) for step in steps]


def test_linear_decay_goes_from_the_peak_to_a_last_small_rate() -> None:
    optimization = Optimization(steps=1000, learning_rate=2e-3, decay="linear")
    assert rates(optimization, [0, 250, 999, 1000]) == pytest.approx([2e-3, 1.5e-3, 2e-6, 0.0], rel=1e-4)


def test_warm_up_rises_linearly_and_decay_counts_from_step_zero_as_in_bert() -> None:
    optimization = Optimization(steps=100, learning_rate=1.0, warmup_steps=10, decay="linear")
    assert rates(optimization, [0, 1, 9, 10, 50]) == pytest.approx([0.0, 0.1, 0.9, 0.9, 0.5], rel=1e-6)


def test_a_constant_rate_stays_at_the_peak_after_the_warm_up() -> None:
    optimization = Optimization(steps=20, learning_rate=3e-4, warmup_steps=4, decay="constant")
    assert rates(optimization, [2, 4, 19]) == pytest.approx([1.5e-4, 3e-4, 3e-4], rel=1e-6)
