"""The learning rate follows the written formula at every step."""

from __future__ import annotations

import pytest
import tensorflow as tf

from mobilebert.settings import Optimization
from mobilebert.training.schedules import learning_rate, phase


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


def test_the_chinese_schedule_jumps_after_warm_up_and_ends_at_a_ten_thousandth() -> None:
    optimization = Optimization(
        steps=2_000_000, learning_rate=1e-4, warmup_steps=10_000, decay="linear", end_rate=1e-4
    )
    found = rates(optimization, [9_999, 10_000, 1_000_000, 2_000_000])
    end = 1e-8
    assert found == pytest.approx(
        [1e-4 * 0.9999, end + (1e-4 - end) * 0.995, end + (1e-4 - end) * 0.5, end], rel=2e-5
    )
    assert found[1] == pytest.approx(9.95e-5, rel=1e-4)


def test_googles_phase_starts_at_nothing_and_ends_at_nine_tenths() -> None:
    found = [float(phase(tf.constant(step), 10_000)) for step in (0, 1, 500, 1_000, 5_000, 9_999)]
    assert found == pytest.approx(
        [0.0, 0.001, 0.5, 0.9 + 0.1 * 0.9**0.5, 0.9 + 0.1 * 0.5**0.5, 0.9 + 0.1 * 0.0001**0.5], rel=1e-3
    )
