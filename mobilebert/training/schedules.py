"""The learning rate at a step, as BERT's optimization.py computes it."""

from __future__ import annotations

import tensorflow as tf

from mobilebert.settings import Optimization


def learning_rate(step: tf.Tensor, optimization: Optimization) -> tf.Tensor:
    """The rate of step s = 0, 1, ..., steps - 1, `()` int -> `()` float32.

    s < warmup_steps: peak * s / warmup_steps. After that "linear": peak * (1 - s / steps), counted from step 0 and not from the
    end of the warm-up, so the last step has peak / steps and a step after it would have 0; "constant": peak.
    Source: google-research/bert optimization.py (polynomial_decay with power 1 and end 0, then the warm-up in its place).
    """
    position = tf.cast(step, tf.float32)
    peak = tf.constant(optimization.learning_rate, tf.float32)
    rate = peak
    if optimization.decay == "linear":
        rate = peak * (1.0 - tf.minimum(position / float(optimization.steps), 1.0))
    if optimization.warmup_steps:
        warm = peak * (position / float(optimization.warmup_steps))
        rate = tf.where(position < float(optimization.warmup_steps), warm, rate)
    return rate
