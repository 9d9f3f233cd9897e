"""What a training minimises: the interface between loop and teachers, transfer, distillation, tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import tensorflow as tf


class Objective(Protocol):
    """A loss over some variables.

    Variables must be created inside `Accelerator.scope()`. `loss` is traced once into the training step, so
    it holds no Python state, files or randomness of its own, and conditions on tensors are `tf.where` or
    `tf.cond` (no autograph).
    """

    @property
    def variables(self) -> Mapping[str, tf.Variable]:
        """The trained variables by transformers key, float32."""
        ...

    @property
    def learning_rate_multipliers(self) -> Mapping[str, float]:
        """Factor on the learning rate by variable name; a name that is not there has 1.0, and 0.0 freezes
        the variable.
        """
        ...

    @property
    def weighted_by(self) -> Sequence[str]:
        """Names of the batch's tensors that weigh means of `loss` (masked tokens, padding); () where all
        sequences count alike.
        """
        ...

    def loss(
        self,
        batch: dict[str, tf.Tensor],
        seed: tf.Tensor | None,
        totals: Mapping[str, tf.Tensor] | None = None,
    ) -> dict[str, tf.Tensor]:
        """The loss and its parts on one part of a batch: what one replica computes at once.

        Args:
            batch: tensors `(B, ...)`, B = global batch / number of parts, all shapes static.
            seed: `(2,)` int32, a function of (job seed, step, replica, part), for stateless random numbers;
                None: nothing is dropped out.
            totals: for each name of `weighted_by` the sum over the global batch / number of parts, `()`;
                None: these are all.

        Returns:
            Scalars, float32, by name; "loss" is what is minimised, the others are only reported. The average
            of each over all parts is its mean over the global batch: `weighted_mean` sees to that where
            weights differ between parts.
        """
        ...


def totals_of(objective: Objective, batch: Mapping[str, tf.Tensor], count: int = 1) -> dict[str, tf.Tensor]:
    """`Objective.loss`'s totals, where a replica computes its share `batch` in so many parts; outside of
    loops, in which replicas cannot meet.
    """
    sums = {name: tf.reduce_sum(tf.cast(batch[name], tf.float32)) / count for name in objective.weighted_by}
    context = tf.distribute.get_replica_context()
    return (
        context.all_reduce(tf.distribute.ReduceOp.MEAN, sums)
        if sums and context.num_replicas_in_sync > 1
        else sums
    )


def weighted_mean(values: tf.Tensor, weights: tf.Tensor, total: tf.Tensor | None = None) -> tf.Tensor:
    """Sum of `values * weights` over `total`, `(...)`, `(...)`, `()` -> `()`; None: over the sum of
    `weights`. A total of zero gives 0.

    With the total of `Objective.loss` the average over all parts is the weighted mean over the global batch,
    whatever share of the weights each part has (a mean of the parts' own means would not be).
    """
    weights = tf.cast(weights, tf.float32)
    total = tf.reduce_sum(weights) if total is None else total
    return tf.math.divide_no_nan(tf.reduce_sum(tf.cast(values, tf.float32) * weights), total)
