"""What a training minimises: the one interface between the loop and teachers, transfer, distillation and tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import tensorflow as tf


class Objective(Protocol):
    """A loss over some variables.

    Variables must be created inside `Accelerator.scope()`. `loss` is traced once into the training step, so it holds no Python
    state, files or randomness of its own, and conditions on tensors are `tf.where` or `tf.cond` (no autograph).
    """

    @property
    def variables(self) -> Mapping[str, tf.Variable]:
        """The trained variables by transformers key, float32."""
        ...

    @property
    def rate_factors(self) -> Mapping[str, float]:
        """Factor on the learning rate by variable name; a name that is not there has 1.0, and 0.0 freezes the variable."""
        ...

    def loss(self, batch: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """The loss and its parts on one replica's share of a batch.

        Args:
            batch: tensors `(B, ...)` of this replica, B = global batch / replicas, all shapes static.
            seed: `(2,)` int32, a function of (job seed, step, replica), for stateless random numbers.

        Returns:
            Scalars, float32, by name; "loss" is what is minimised, the others are only reported. Each is a mean over the
            batch (the loop averages over replicas); `weighted_mean` is for means whose weights differ between replicas.
        """
        ...


def weighted_mean(values: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Sum of `values * weights` over the global batch's mean weight per replica, `(...)`, `(...)` -> `()`.

    The average over replicas of what this returns is the weighted mean over the global batch, whatever share of the weights
    each replica has; on one device it is the plain weighted mean. All weights zero gives 0.
    """
    values = tf.cast(values, tf.float32)
    weights = tf.cast(weights, tf.float32)
    total = tf.reduce_sum(weights)
    context = tf.distribute.get_replica_context()
    if context is not None and context.num_replicas_in_sync > 1:
        total = context.all_reduce(tf.distribute.ReduceOp.MEAN, total)
    return tf.math.divide_no_nan(tf.reduce_sum(values * weights), tf.stop_gradient(total))
