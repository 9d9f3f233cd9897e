"""Losses of knowledge transfer and of pretraining distillation, as plain functions of tensors.

Each returns a scalar with its factor applied. The teacher's tensors never receive gradients. Half precision
is raised to float32 first; float64 stays float64.

Three forms exist (`transfer.losses`, `mobilebert.distillation.loss_variants`), told apart by what is passed
in.

In all three "attention transfer" is a cross-entropy, not a divergence: the teacher's entropy is not
subtracted, so that gradients equal those of the KL divergence and values do not.
"""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from mobilebert.distillation.loss_variants import (
    BERT_EPSILON,
    KERAS_EPSILON,
    LossVariant,
    LossVariantName,
    variant,
)
from mobilebert.models.layers import MASKED_SCORE

__all__ = [
    "BERT_EPSILON",
    "KERAS_EPSILON",
    "LossVariant",
    "LossVariantName",
    "attention_transfer",
    "feature_map_transfer",
    "hidden_transfer",
    "masked_lm_loss",
    "mean_transfer",
    "next_sentence_loss",
    "teacher_masked_lm_loss",
    "value_relation_transfer",
    "variance_transfer",
    "variant",
]
WEIGHT_EPSILON = 1e-5  # run_pretraining.py, get_masked_lm_output: no division by zero without predictions


def feature_map_transfer(
    teacher: Any,
    student: Any,
    mask: Any = None,
    layers: int = 1,
    factor: float = 100.0,
    *,
    epsilon: float = BERT_EPSILON,
) -> Any:
    """Distance of the layer-normalised outputs of a layer.

    factor / layers * mean over B, S, H of (LN(t) - LN(s))^2, LN a layer normalisation over H without
    parameters (MobileBERT run_pretraining.py, `hidden_distill_factor`).

    Args:
        teacher: (B, S, H) output of the teacher's layer.
        student: (B, S, H) output of the student's layer.
        mask: (B, S), 1 for tokens and 0 for padding, which is then left out of the mean; None counts every
            position.
        layers: what the sum over layers is divided by, the model's depth in the published code.
        factor: weight of the term.
        epsilon: added to the variance in LN.
    """
    target, output = _pair(teacher, student)
    return _mean(_normalized_distance(_normalized(target, epsilon)[0], output, epsilon), mask) * (
        factor / layers
    )


def attention_transfer(
    teacher_scores: Any,
    student_scores: Any,
    mask: Any = None,
    layers: int = 1,
    factor: float = 1.0,
    *,
    finite: bool = False,
) -> Any:
    """Cross-entropy of the student's attention distributions against the teacher's.

    factor / layers * mean over B, A, queries of sum over keys of -softmax(zt) log_softmax(zs)
    (MobileBERT run_pretraining.py, `attention_distill_factor`).

    Args:
        teacher_scores: (B, A, S, S) scores before the softmax, scaled, masked keys at -10000 or -inf.
        student_scores: the same of the student.
        mask: (B, S), 1 for tokens and 0 for padding: queries that are padding are then left out. Keys that
            are padding are masked in the scores already; what is not a finite number there has no weight.
            None counts every query.
        layers: what the sum over layers is divided by.
        factor: weight of the term.
        finite: all scores are finite, as models give them: saves looking for what is not.
    """
    queries = None if mask is None else tf.convert_to_tensor(mask)[:, None, :]
    target, scores_of_student = _pair(teacher_scores, student_scores)
    if not finite:
        if mask is not None:
            keys = tf.cast(mask, tf.bool)[:, None, None, :]
            target, scores_of_student = (
                _hidden_keys(scores, keys | tf.math.is_finite(scores))
                for scores in (target, scores_of_student)
            )
        # The lowest finite number instead of -inf: a key without weight would give 0 * inf.
        target, scores_of_student = (
            tf.maximum(scores, scores.dtype.min / 2) for scores in (target, scores_of_student)
        )
        # From the largest on, which changes no share: beside such a number, all that a row has, the others'
        # digits would be lost.
        scores_of_student -= tf.stop_gradient(tf.reduce_max(scores_of_student, axis=-1, keepdims=True))
    return _mean(_cross_entropy(tf.nn.softmax(target), scores_of_student), queries) * (factor / layers)


def mean_transfer(
    teacher: Any, student: Any, mask: Any = None, layers: int = 1, factor: float = 5000.0
) -> Any:
    """Distance of the means over the hidden size: factor / layers * mean over positions of (mu(t) - mu(s))^2.

    (MobileBERT run_pretraining.py, `beta_distill_factor`.) There the teacher's tensor holds all its outputs,
    (L+1, B, S, H), the embeddings' first, so that every student layer is pulled to their average; that is the
    form `published`.

    Args:
        teacher: (B, S, H), or (L+1, B, S, H) for `published`.
        student: (B, S, H).
        mask: (B, S), 1 for tokens and 0 for padding, which is then left out; None counts every position.
        layers: what the sum over layers is divided by.
        factor: weight of the term.
    """
    target, output = _pair(teacher, student, mask)
    difference = tf.math.squared_difference(tf.reduce_mean(target, axis=-1), tf.reduce_mean(output, axis=-1))
    return _mean(difference, mask) * (factor / layers)


def variance_transfer(
    teacher: Any, student: Any, mask: Any = None, layers: int = 1, factor: float = 5.0
) -> Any:
    """Distance of the population variances over the hidden size: factor / layers * mean over positions of
    |var(t) - var(s)|.

    (MobileBERT run_pretraining.py, `gamma_distill_factor`.) Arguments as for `mean_transfer`.
    """
    target, output = _pair(teacher, student, mask)
    difference = tf.abs(tf.math.reduce_variance(target, axis=-1) - tf.math.reduce_variance(output, axis=-1))
    return _mean(difference, mask) * (factor / layers)


def hidden_transfer(
    teacher: Any, student: Any, mask: Any = None, layers: int = 1, factor: float = 1.0
) -> Any:
    """Distance of the outputs as they are: factor / layers * mean over B, S, H of (t - s)^2 (TinyBERT's
    hidden states).

    Arguments as for `feature_map_transfer`.
    """
    target, output = _pair(teacher, student, mask)
    return _mean(tf.reduce_mean(tf.math.squared_difference(target, output), axis=-1), mask) * (
        factor / layers
    )


def value_relation_transfer(
    teacher_values: Any, student_values: Any, mask: Any = None, layers: int = 1, factor: float = 1.0
) -> Any:
    """`attention_transfer` of the scaled products of the values with each other, v v' / sqrt(D) for each
    head.

    (MiniLM, Wang et al. 2020, equation 7; the cross-entropy, which has the divergence's gradients.)

    Args:
        teacher_values: (B, A, S, Dt) values of the teacher's heads.
        student_values: (B, A, S, Ds) of the student's; as many heads, of any width.
        mask: (B, S), 1 for tokens and 0 for padding, which is left out as query and as key; None counts
            everything.
        layers: what the sum over layers is divided by.
        factor: weight of the term.
    """
    heads = None if mask is None else tf.convert_to_tensor(mask)[:, None, :]
    target, output = _pair(teacher_values, student_values, heads)
    theirs, ours = (
        tf.matmul(values, values, transpose_b=True) * (1 / math.sqrt(values.shape[-1]))
        for values in (target, output)
    )
    if mask is not None:
        keys = tf.cast(mask, tf.bool)[:, None, None, :]
        theirs, ours = _hidden_keys(theirs, keys), _hidden_keys(ours, keys)
    return attention_transfer(theirs, ours, mask, layers, factor)


def masked_lm_loss(logits: Any, labels: Any, weights: Any) -> Any:
    """Masked language modelling: sum(w * -log softmax(logits)[label]) / (sum(w) + 1e-5), in nats a
    prediction.

    (BERT and MobileBERT run_pretraining.py, get_masked_lm_output.)

    Args:
        logits: (N, V) at the masked positions.
        labels: (N,) true token ids.
        weights: (N,) 1 for a prediction, 0 for filling, whose logits and labels may be anything.
    """
    labels = tf.where(tf.cast(weights, tf.bool), labels, tf.zeros_like(labels))
    return _weighted(
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=_raised(logits)), weights
    )


def teacher_masked_lm_loss(logits: Any, teacher_logits: Any, weights: Any) -> Any:
    """Cross-entropy against the teacher's distribution: sum(w * -softmax(teacher) log softmax(logits)) /
    (sum(w) + 1e-5).

    MobileBERT's loss (run_pretraining.py, `distill_ground_truth_ratio`) is `ratio` times `masked_lm_loss` and
    1 - `ratio` times this: the cross-entropy is linear in its target.

    Args:
        logits: (N, V) of the student at the masked positions.
        teacher_logits: (N, V) of the teacher.
        weights: (N,) 1 for a prediction, 0 for filling, whose logits may be anything.
    """
    target, output = _pair(teacher_logits, logits)
    return _weighted(_cross_entropy(tf.nn.softmax(target), output), weights)


def next_sentence_loss(logits: Any, labels: Any) -> Any:
    """Next sentence prediction: mean over B of -log softmax(logits)[label], in nats a sequence.

    (BERT and MobileBERT run_pretraining.py, get_next_sentence_output.)

    Args:
        logits: (B, 2).
        labels: (B,) 0 where the second text follows the first, 1 where it was drawn at random.
    """
    return tf.reduce_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=_raised(logits))
    )


def _raised(tensor: Any) -> Any:
    """At least float32: sums over a vocabulary or a hidden size need more than half precision."""
    tensor = tf.convert_to_tensor(tensor)
    return tf.cast(tensor, tf.float32) if tensor.dtype in (tf.float16, tf.bfloat16) else tensor


def _pair(teacher: Any, student: Any, mask: Any = None) -> tuple[Any, Any]:
    """Both in the student's precision; zeros where the mask, of the shape without the last axis, is 0."""
    output = _raised(student)
    return tf.stop_gradient(_kept(tf.cast(teacher, output.dtype), mask)), _kept(output, mask)


def _kept(tensor: Any, mask: Any) -> Any:
    """The tensor with zeros where it is masked.

    It must happen before any arithmetic: 0 * NaN is NaN, in values and in gradients.
    """
    return (
        tensor
        if mask is None
        else tf.where(tf.cast(mask, tf.bool)[..., None], tensor, tf.zeros((), tensor.dtype))
    )


def _hidden_keys(scores: Any, shown: Any) -> Any:
    """Scores (B, A, S, S) with keys of no weight after a softmax where `shown`, broadcast to them, is
    false.
    """
    return tf.where(shown, scores, tf.constant(MASKED_SCORE, scores.dtype))


def _normalized(tensor: Any, epsilon: float) -> tuple[Any, Any]:
    """Layer normalisation over the last axis without parameters, and what the centred tensor was multiplied
    with, (..., 1).

    Population variance, epsilon inside the root.
    """
    mean, variance = tf.nn.moments(tensor, axes=[-1], keepdims=True)
    scale = tf.math.rsqrt(variance + epsilon)
    return (tensor - mean) * scale, scale


# The two losses over the largest tensors of a step come with gradients written out: half of the passes over
# memory, and half of what is kept for them. A row of upstream 0 (padding) has gradient 0 whatever it holds.
@tf.custom_gradient  # type: ignore[untyped-decorator]
def _cross_entropy(shares: Any, scores: Any) -> Any:
    """Cross-entropy -sum(shares * log_softmax(scores)) over the last axis, (..., T) -> (...); shares sum
    to 1 and get no gradient.
    """
    own = tf.nn.softmax(scores)
    # log(sum(exp(scores))), from the largest score and its share: no second pass of exponentials.
    total = tf.reduce_max(scores, axis=-1) - tf.math.log(tf.reduce_max(own, axis=-1))
    difference = own - shares

    def gradient(upstream: Any) -> tuple[None, Any]:
        return None, tf.math.multiply_no_nan(difference, upstream[..., tf.newaxis])

    return total - tf.reduce_sum(shares * scores, axis=-1), gradient


def _normalized_distance(target: Any, output: Any, epsilon: float) -> Any:
    """Mean over the last axis of (target - LN(found))^2, (..., H) -> (...); the target is normalised
    already and gets no gradient.
    """

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def distance(output: Any) -> Any:
        normal, scale = _normalized(output, epsilon)
        difference = normal - target

        def gradient(upstream: Any) -> Any:
            share = tf.reduce_mean(difference * normal, axis=-1, keepdims=True)
            slope = difference - tf.reduce_mean(difference, axis=-1, keepdims=True) - normal * share
            return tf.math.multiply_no_nan(
                slope, tf.math.multiply_no_nan(scale * (2 / output.shape[-1]), upstream[..., tf.newaxis])
            )

        return tf.reduce_mean(tf.square(difference), axis=-1), gradient

    return distance(output)


def _mean(values: Any, mask: Any) -> Any:
    """Mean of (..., B, S) over everything, or over the positions where `mask`, broadcast to it, is not 0."""
    if mask is None:
        return tf.reduce_mean(values)
    weights = tf.broadcast_to(tf.cast(mask, values.dtype), tf.shape(values))
    values = tf.where(tf.not_equal(weights, 0), values, tf.zeros((), values.dtype))
    return tf.math.divide_no_nan(tf.reduce_sum(values * weights), tf.reduce_sum(weights))


def _weighted(values: Any, weights: Any) -> Any:
    weights = tf.cast(weights, values.dtype)
    return tf.reduce_sum(tf.math.multiply_no_nan(values, weights)) / (tf.reduce_sum(weights) + WEIGHT_EPSILON)
