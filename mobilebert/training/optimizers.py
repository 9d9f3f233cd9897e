"""AdamW as BERT trains with it, with global-norm clipping and a rate factor per variable."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from mobilebert.settings import Optimization

LOG = logging.getLogger(__name__)
# google-research/bert optimization.py
BETA_1 = 0.9
BETA_2 = 0.999
EPSILON = 1e-6
NOT_DECAYED = ("bias", "LayerNorm")


def decays(name: str) -> bool:
    """Whether weight decay applies to a variable: not to biases and norms (transformers calls NoNorm LayerNorm too)."""
    return not any(part in name for part in NOT_DECAYED)


class AdamW:
    """Adam without bias correction, epsilon outside the root, decoupled weight decay.

    m = 0.9 m + 0.1 g;  v = 0.999 v + 0.001 g^2;  w = w - rate * factor * (m / (sqrt(v) + 1e-6) + decay * w)

    Variables go in sorted order of their names, so that sums over them have one order. A variable of factor 0 is frozen: it
    gets no gradient, counts in no norm and has no moments.
    """

    def __init__(self, variables: Mapping[str, tf.Variable], factors: Mapping[str, float], optimization: Optimization) -> None:
        """Make the moments (zeros); call inside the accelerator's scope.

        Raises:
            ValueError: when a factor names a variable that is not there, or nothing is left to train.
        """
        unknown = sorted(set(factors) - set(variables))
        if unknown:
            raise ValueError(f"rate factors for variables that are not trained: {', '.join(unknown)}")
        self.names = [name for name in sorted(variables) if factors.get(name, 1.0) != 0.0]
        if not self.names:
            raise ValueError("every variable is frozen: there is nothing to train")
        self.variables = [variables[name] for name in self.names]
        self.first = [tf.Variable(tf.zeros(v.shape, v.dtype), trainable=False, name="m") for v in self.variables]
        self.second = [tf.Variable(tf.zeros(v.shape, v.dtype), trainable=False, name="v") for v in self.variables]
        self._factors = [factors.get(name, 1.0) for name in self.names]
        self._decay = [optimization.weight_decay if decays(name) else 0.0 for name in self.names]
        self._clip_norm = optimization.clip_norm

    def tensors(self) -> dict[str, tf.Variable]:
        """Everything that a checkpoint must hold, by name: weights and both moments."""
        found: dict[str, tf.Variable] = {}
        for name, variable, first, second in zip(self.names, self.variables, self.first, self.second, strict=True):
            found |= {f"variables/{name}": variable, f"first_moments/{name}": first, f"second_moments/{name}": second}
        return found

    def apply(self, gradients: Sequence[tf.Tensor | tf.IndexedSlices | None], rate: tf.Tensor) -> tf.Tensor:
        """Average the gradients over replicas, clip them, and take one step; call in the replica context.

        Args:
            gradients: this replica's, in the order of `self.variables`; None (the loss does not reach it) leaves a variable as it is.
            rate: `()` float32.

        Returns:
            The global norm before clipping, `()`.
        """
        reached = [index for index, gradient in enumerate(gradients) if gradient is not None]
        missing = [name for name, gradient in zip(self.names, gradients, strict=True) if gradient is None]
        if missing:
            LOG.warning("the loss does not reach %d variables, which stay as they are: %s", len(missing), ", ".join(missing))
        context = tf.distribute.get_replica_context()
        dense = [tf.convert_to_tensor(gradients[index]) for index in reached]
        if context.num_replicas_in_sync > 1:
            dense = context.all_reduce(tf.distribute.ReduceOp.MEAN, dense)
        norm = tf.linalg.global_norm(dense)
        clipped, _ = tf.clip_by_global_norm(dense, self._clip_norm, use_norm=norm)
        context.merge_call(self._update, args=(reached, clipped, rate))
        return norm

    def _update(self, strategy: Any, reached: list[int], gradients: list[Any], rate: Any) -> None:
        for index, gradient in zip(reached, gradients, strict=True):
            moments = (self.first[index], self.second[index])
            strategy.extended.update(self.variables[index], self._step_of(index), args=(*moments, gradient, rate), group=False)

    def _step_of(self, index: int) -> Any:
        factor, decay = self._factors[index], self._decay[index]

        def step(variable: Any, first: Any, second: Any, gradient: tf.Tensor, rate: tf.Tensor) -> None:
            own_rate = tf.cast(rate * factor, variable.dtype)
            if decay:
                variable.assign_sub(own_rate * decay * variable, read_value=False)
            # One fused operation: half the time and half the tracing of written-out arithmetic. Its bias correction,
            # sqrt(1 - beta2_power) / (1 - beta1_power), is 1 with both powers 0.
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=first.handle,
                v=second.handle,
                beta1_power=tf.zeros((), variable.dtype),
                beta2_power=tf.zeros((), variable.dtype),
                lr=own_rate,
                beta1=tf.constant(BETA_1, variable.dtype),
                beta2=tf.constant(BETA_2, variable.dtype),
                epsilon=tf.constant(EPSILON, variable.dtype),
                grad=gradient,
                use_locking=True,
            )

        return step
