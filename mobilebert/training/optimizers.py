"""AdamW and LAMB as BERT and MobileBERT train with them: no bias correction, clipping, a rate factor per
variable.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from mobilebert.settings import Optimization

LOG = logging.getLogger(__name__)
# google-research/bert optimization.py; MobileBERT lamb_optimizer.py has the same
BETA_1 = 0.9
BETA_2 = 0.999
EPSILON = 1e-6
NOT_DECAYED = ("bias", "LayerNorm")
MOMENTS = ("first_moments", "second_moments")


class Step(NamedTuple):
    """What one step goes by: the rate, `()`, and whether the step is taken, `()` bool."""

    rate: Any
    taken: Any


class Scalars:
    """What a step multiplies with, in one type, each `()` and made once a step and not once a variable: the
    rate, and how much of the old and of the new goes into the two moments.

    A step that is left out has the rate 0, all of the old and nothing of the new: the same arithmetic,
    without a branch.
    """

    def __init__(self, step: Step, dtype: tf.DType) -> None:
        def share(taken: float, left_out: float) -> tf.Tensor:
            return tf.where(step.taken, tf.constant(taken, dtype), tf.constant(left_out, dtype))

        self._dtype, self._rate = dtype, tf.where(step.taken, step.rate, tf.zeros_like(step.rate))
        self.old_first, self.new_first = share(BETA_1, 1.0), share(1.0 - BETA_1, 0.0)
        self.old_second, self.new_second = share(BETA_2, 1.0), share(1.0 - BETA_2, 0.0)
        self.zero = tf.zeros((), dtype)
        self._rates: dict[tuple[float, ...], tf.Tensor] = {}

    def rate(self, factor: float, decay: float | None = None) -> tf.Tensor:
        """The rate with a variable's factor on it, and with its decay too where that is given; `()`."""
        key = (factor,) if decay is None else (factor, decay)
        if key not in self._rates:
            self._rates[key] = (
                tf.cast(self._rate * factor, self._dtype) if decay is None else self.rate(factor) * decay
            )
        return self._rates[key]


def decays(name: str) -> bool:
    """Whether weight decay applies to a variable: not to biases and norms (transformers calls NoNorm
    LayerNorm too).
    """
    return not any(word in name for word in NOT_DECAYED)


def make(
    variables: Mapping[str, tf.Variable],
    factors: Mapping[str, float],
    optimization: Optimization,
    counted: Collection[str] = (),
) -> Optimizer:
    """The optimizer that the settings name (AdamW where they name none); arguments as for `Optimizer`."""
    chosen = LAMB if optimization.optimizer == "lamb" else AdamW
    return chosen(variables, factors, optimization, counted)


class Optimizer:
    """What both have in common: moments, clipping, who moves and who does not.

    Variables go in sorted order of their names, so that sums over them have one order. A variable of factor 0
    is frozen: it gets no gradient, counts in no norm and has no moments.

    Attributes:
        names: of the variables that move.
        variables: those whose gradients `apply` takes: what moves, then what is `counted`.
    """

    def __init__(
        self,
        variables: Mapping[str, tf.Variable],
        factors: Mapping[str, float],
        optimization: Optimization,
        counted: Collection[str] = (),
    ) -> None:
        """Make the moments (zeros); call inside the accelerator's scope.

        Args:
            variables: by name.
            factors: factor on the rate by name; 1 where a name is not there.
            optimization: weight decay and clipping.
            counted: names of frozen variables whose gradients count in the norm all the same (Google's
                transfer).

        Raises:
            ValueError: when a factor names a variable that is not there, or nothing is left to train.
        """
        unknown = sorted(set(factors) - set(variables))
        if unknown:
            raise ValueError(f"rate factors for variables that are not trained: {', '.join(unknown)}")
        self.names = [name for name in sorted(variables) if factors.get(name, 1.0) != 0.0]
        if not self.names:
            raise ValueError("every variable is frozen: there is nothing to train")
        moving = [variables[name] for name in self.names]
        self.first = [tf.Variable(tf.zeros(v.shape, v.dtype), trainable=False, name="m") for v in moving]
        self.second = [tf.Variable(tf.zeros(v.shape, v.dtype), trainable=False, name="v") for v in moving]
        only_counted = sorted(set(counted) - set(self.names))
        self.variables = [*moving, *(variables[name] for name in only_counted)]
        self._watched = [*self.names, *only_counted]
        self._factors = [factors.get(name, 1.0) for name in self.names]
        self._decay = [optimization.weight_decay if decays(name) else 0.0 for name in self.names]
        self._clip_norm, self._clips_shares = optimization.clip_norm, optimization.clip == "per_replica"

    def tensors(self) -> dict[str, tf.Variable]:
        """Everything that a checkpoint must hold, by name: weights and both moments."""
        tensors: dict[str, tf.Variable] = {}
        moving = self.variables[: len(self.names)]
        for name, variable, *moments in zip(self.names, moving, self.first, self.second, strict=True):
            tensors[f"variables/{name}"] = variable
            tensors |= {f"{kind}/{name}": moment for kind, moment in zip(MOMENTS, moments, strict=True)}
        return tensors

    def apply(
        self,
        gradients: Sequence[tf.Tensor | tf.IndexedSlices | None],
        rate: tf.Tensor,
        sound: tf.Tensor | bool = True,
    ) -> tf.Tensor:
        """Average the gradients over replicas, clip them (before or after), and take one step; call in the
        replica context.

        The step is left out, weights and moments staying as they are, where the norm is not finite or a
        replica is not sound.

        Args:
            gradients: this replica's, in the order of `self.variables`; None (the loss does not reach it)
                leaves a variable as it is.
            rate: `()` float32.
            sound: `()` bool, whether this replica has nothing against the step.

        Returns:
            The norm of all gradients before clipping, `()`: that of their mean, or with `clip: per_replica`
            this replica's.
        """
        reached = [index for index, gradient in enumerate(gradients) if gradient is not None]
        missing = [name for name, gradient in zip(self._watched, gradients, strict=True) if gradient is None]
        if missing:
            LOG.warning(
                "the loss does not reach %d variables, which stay as they are: %s",
                len(missing),
                ", ".join(missing),
            )
        context = tf.distribute.get_replica_context()
        dense = [tf.convert_to_tensor(gradients[index]) for index in reached]
        norm = None
        if self._clips_shares:
            dense, norm = self._clip(dense)
        if context.num_replicas_in_sync > 1:
            dense = context.all_reduce(tf.distribute.ReduceOp.MEAN, dense)
        if norm is None:
            dense, norm = self._clip(dense)
        taken = tf.logical_and(sound, tf.math.is_finite(norm))
        if context.num_replicas_in_sync > 1:  # all or none
            taken = context.all_reduce(tf.distribute.ReduceOp.MEAN, tf.cast(taken, tf.float32)) >= 1.0
        moving = [position for position, index in enumerate(reached) if index < len(self.names)]
        if moving:
            chosen = [[reached[position] for position in moving], [dense[position] for position in moving]]
            context.merge_call(self._update, args=(*chosen, Step(rate, taken)))
        return norm

    def _clip(self, gradients: list[tf.Tensor]) -> tuple[list[tf.Tensor], tf.Tensor]:
        """tf.clip_by_global_norm, but zeros (and no NaN) where the norm is not finite."""
        norm = tf.linalg.global_norm(gradients)
        scale = self._clip_norm * tf.minimum(1.0 / norm, 1.0 / self._clip_norm)
        scale = tf.where(tf.math.is_finite(norm), scale, tf.zeros_like(scale))
        return [tf.math.multiply_no_nan(gradient, scale) for gradient in gradients], norm

    def _update(self, strategy: Any, reached: list[int], gradients: list[Any], step: Any) -> None:
        chosen = [
            [tensors[index] for index in reached] for tensors in (self.variables, self.first, self.second)
        ]

        def steps(
            _: Any,
            variables: list[Any],
            first: list[Any],
            second: list[Any],
            gradients: list[Any],
            step: Step,
        ) -> None:
            known = {dtype: Scalars(step, dtype) for dtype in {variable.dtype for variable in variables}}
            for index, variable, m, v, gradient in zip(
                reached, variables, first, second, gradients, strict=True
            ):
                self._step(index, variable, m, v, gradient, known[variable.dtype])

        # All variables in one update: each would cost more to trace than the step itself.
        strategy.extended.update(
            self.variables[reached[0]], steps, args=(*chosen, gradients, step), group=False
        )

    def _step(
        self, index: int, variable: Any, first: Any, second: Any, gradient: tf.Tensor, scalars: Scalars
    ) -> None:
        """Take the step of one variable on one device."""
        raise NotImplementedError


class AdamW(Optimizer):
    """Adam without bias correction, epsilon outside the root, decoupled weight decay.

    m = 0.9 m + 0.1 g;  v = 0.999 v + 0.001 g^2;  w = w - rate * factor * (m / (sqrt(v) + 1e-6) + decay * w)
    (google-research/bert optimization.py, AdamWeightDecayOptimizer)
    """

    def _step(
        self, index: int, variable: Any, first: Any, second: Any, gradient: tf.Tensor, scalars: Scalars
    ) -> None:
        factor, decay = self._factors[index], self._decay[index]
        if decay:
            variable.assign_sub(scalars.rate(factor, decay) * variable, read_value=False)
        first_excess, second_excess = _excess(BETA_1, variable.dtype), _excess(BETA_2, variable.dtype)
        root = math.sqrt(second_excess)
        # One fused operation: half the time and half the tracing of written-out arithmetic. Its bias
        # correction, sqrt(1 - beta2_power) / (1 - beta1_power), is 1 with both powers 0.
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=first.handle,
            v=second.handle,
            beta1_power=scalars.zero,
            beta2_power=scalars.zero,
            lr=scalars.rate(factor * root / first_excess),
            beta1=scalars.old_first,
            beta2=scalars.old_second,
            epsilon=tf.constant(EPSILON * root, variable.dtype),
            grad=gradient,
            use_locking=True,
        )


def _excess(beta: float, dtype: tf.DType) -> float:
    """What the fused operation takes of the new against 1 - beta, since it subtracts a rounded beta:
    in float32 1 - 0.999 is short by 1.3e-5. Its moments are off by just that factor, and rate and epsilon
    make up for it.
    """
    return (1.0 - float(dtype.as_numpy_dtype(beta))) / (1.0 - beta)


class LAMB(AdamW):
    """AdamW whose step of a variable has the length rate * factor * |w|; biases and norms step as with AdamW.

    u = m / (sqrt(v) + 1e-6) + decay * w with AdamW's m and v;  w = w - rate * factor * r * u, where r = |w| /
    |u|, or 1 for biases and norms and where either length is 0 (MobileBERT lamb_optimizer.py; You et al.
    2019, without bias correction).
    """

    def _step(
        self, index: int, variable: Any, first: Any, second: Any, gradient: tf.Tensor, scalars: Scalars
    ) -> None:
        if not decays(self.names[index]):
            super()._step(index, variable, first, second, gradient, scalars)
            return
        mean = first.assign(scalars.old_first * first + scalars.new_first * gradient)
        square = second.assign(scalars.old_second * second + scalars.new_second * tf.square(gradient))
        update = mean / (tf.sqrt(square) + EPSILON) + self._decay[index] * variable
        # Half the squared lengths, one operation each: a step has hundreds of them to trace.
        ratio = tf.sqrt(tf.math.divide_no_nan(tf.nn.l2_loss(variable), tf.nn.l2_loss(update)))
        ratio = tf.where(ratio > 0, ratio, tf.ones_like(ratio))
        variable.assign_sub(scalars.rate(self._factors[index]) * ratio * update, read_value=False)
