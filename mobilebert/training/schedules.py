"""What changes with the step: the learning rate, as BERT's optimization.py computes it, and the length of
the sequences.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import tensorflow as tf

from mobilebert.settings import Optimization


def learning_rate(step: tf.Tensor, optimization: Optimization) -> tf.Tensor:
    """The rate of step s = 0, 1, ..., steps - 1, `()` int -> `()` float32.

    s < warmup_steps: peak * s / warmup_steps. After that "linear": end + (peak - end) * (1 - s / steps) with
    end = end_rate * peak, counted from step 0 and not from the end of the warm-up, so that the rate jumps
    there and a step after the last would have `end`; "constant": peak.
    Sources: google-research/bert optimization.py (polynomial_decay with power 1 and end 0, then the warm-up
    in its place); MobileBERT optimization.py (`end_lr_rate` 0.0001).
    """
    position = tf.cast(step, tf.float32)
    peak = tf.constant(optimization.learning_rate, tf.float32)
    rate = peak
    if optimization.decay == "linear":
        left = 1.0 - tf.minimum(position / float(optimization.steps), 1.0)
        end = peak * (optimization.end_rate or 0.0)
        rate = (peak - end) * left + end
    if optimization.warmup_steps:
        warm = peak * (position / float(optimization.warmup_steps))
        rate = tf.where(position < float(optimization.warmup_steps), warm, rate)
    return rate


def lengths(optimization: Optimization, start: int, stop: int, whole: int) -> dict[int, int]:
    """Which steps from `start` to before `stop` see which sequences: the first step of a phase -> tokens,
    `whole` in the last.
    """
    length_from: dict[int, int] = {}
    share = 0.0
    for one in optimization.phases:
        length_from[start + round(share * (stop - start))] = one.sequence_length
        share += one.share
    return length_from | {start + round(share * (stop - start)): whole}


def tokens(lengths: Mapping[int, int], start: int, stop: int) -> int:
    """What the steps from `start` to before `stop` cost, by the tokens of a sequence in each; without
    `lengths` each costs 1.
    """
    bounds = itertools.pairwise([*(lengths or {0: 1}).items(), (stop, 0)])
    return sum(length * max(0, min(end, stop) - max(first, start)) for (first, length), (end, _) in bounds)


def phase(step: tf.Tensor, steps: int) -> tf.Tensor:
    """Google's factor on the rate within a layer's stage of `steps` steps, `()` int -> `()` float32.

    min(0.9 + 0.1 * sqrt(1 - x), 10 x) with x = step / steps: nothing at the first step, all after a tenth,
    0.9 at the end.
    Source: MobileBERT distill_util.py, get_background_lr.
    """
    done = tf.cast(step, tf.float32) / float(steps)
    return tf.minimum(0.9 + 0.1 * tf.sqrt(1.0 - done), 10.0 * done)
