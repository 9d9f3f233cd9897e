"""The training step on the device, several of them in one host call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from mobilebert.errors import UserError
from mobilebert.settings import Optimization
from mobilebert.training import schedules
from mobilebert.training.accelerators import Accelerator
from mobilebert.training.objective import Objective
from mobilebert.training.optimizers import Optimizer

GRADIENT_NORM = "gradient_norm"
LEARNING_RATE = "learning_rate"


class Steps:
    """Runs steps `first .. first + count - 1` on the device and brings back every step's loss parts.

    The program is traced once: first and count are tensors. Step s sees the batch and the seed f(job seed, place, replica) of its
    place = origin + s, so what a step does depends on nothing but the weights, the moments and s.
    """

    def __init__(
        self,
        objective: Objective,
        optimizer: Optimizer,
        optimization: Optimization,
        seed: int,
        accelerator: Accelerator,
        *,
        origin: int = 0,
        rate: Callable[[tf.Tensor], tf.Tensor] | None = None,
        skips: bool = False,
    ) -> None:
        """Take what is trained.

        Args:
            objective, optimizer, optimization, seed, accelerator: of the training.
            origin: where step 0 stands in the order of batches.
            rate: replaces the settings' own schedule.
            skips: go on after a step whose loss parts or gradients are not finite; else no later step of the call is taken either.
        """
        self.names: list[str] = []
        self._objective, self._optimizer, self._seed, self._origin = objective, optimizer, seed, origin
        self._rate = rate or (lambda step: schedules.learning_rate(step, optimization))
        self._skips = skips
        self._strategy, self._devices = accelerator.strategy, accelerator.devices
        # No jit_compile: TPUStrategy compiles anyway, and XLA made bfloat16 on the CPU slower (measured in the design's reference).
        # No autograph: converting a model's Python took more than half of the time to the first step (4.7 s against 2.2 s, mini).
        self._call = tf.function(self._run, autograph=False)

    def feed(self, batches: Callable[[int], tf.data.Dataset], start: int) -> int:
        """Take batches from step `start` on; returns the global batch size.

        Raises:
            UserError: when the batch cannot be split over the devices.
        """
        dataset = batches(self._origin + start)
        size = _batch_size(dataset)
        if size % self._devices:
            raise UserError(f"batch size {size} cannot be split over {self._devices} devices; make it a multiple of {self._devices}")
        share = _per_replica(dataset, self._devices).prefetch(2)
        self._batches = iter(self._strategy.distribute_datasets_from_function(lambda _: share))
        return size

    def run(self, first: int, count: int) -> np.ndarray:
        """Take `count` steps; returns `(count, len(names))` float32: loss, its parts, gradient norm, learning rate.

        A step whose row is not finite throughout changed nothing, neither weights nor moments.
        """
        values = self._call(self._batches, tf.constant(first, tf.int32), tf.constant(count, tf.int32))
        return values.numpy()

    def _run(self, batches: Any, first: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        def step_at(index: tf.Tensor, sound: tf.Tensor, rows: tf.TensorArray) -> tuple[tf.Tensor, tf.Tensor, tf.TensorArray]:
            step = first + index
            rate = self._rate(step)
            seed = tf.random.experimental.stateless_fold_in(tf.constant([self._seed, 0], tf.int32), self._origin + step)
            per_replica = self._strategy.run(self.step, args=(batches.get_next(), seed, rate, sound))
            row = self._strategy.reduce(tf.distribute.ReduceOp.MEAN, per_replica, axis=None)
            if not self._skips:
                sound = tf.logical_and(sound, tf.reduce_all(tf.math.is_finite(row)))
            return index + 1, sound, rows.write(index, tf.concat([row, rate[tf.newaxis]], 0))

        rows = tf.TensorArray(tf.float32, size=count, element_shape=None)
        # One step after the other: each needs the weights of the one before.
        start = (tf.constant(0), tf.constant(True), rows)
        return tf.while_loop(lambda index, *_: index < count, step_at, start, parallel_iterations=1)[-1].stack()

    def step(self, batch: dict[str, tf.Tensor], seed: tf.Tensor, rate: tf.Tensor, sound: tf.Tensor | bool = True) -> tf.Tensor:
        """One replica's step, taken if `sound` and all is finite; returns its loss parts and the gradient norm, `(len(names) - 1,)`."""
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        seed = tf.random.experimental.stateless_fold_in(seed, tf.cast(replica, tf.int32))
        # Only what is trained is watched: a teacher or a frozen layer keeps no activations for a backward pass.
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self._optimizer.variables)
            parts = self._objective.loss(batch, seed)
        gradients = tape.gradient(parts["loss"], self._optimizer.variables)
        finite = tf.reduce_all(tf.math.is_finite(tf.stack([tf.cast(part, tf.float32) for part in parts.values()])))
        norm = self._optimizer.apply(gradients, rate, tf.logical_and(sound, finite))
        values = {"loss": parts["loss"]} | {name: parts[name] for name in sorted(parts)} | {GRADIENT_NORM: norm}
        self.names = [*values, LEARNING_RATE]
        return tf.stack([tf.ensure_shape(tf.cast(value, tf.float32), ()) for value in values.values()])


def _batch_size(dataset: tf.data.Dataset) -> int:
    shapes = [tuple(spec.shape) for spec in tf.nest.flatten(dataset.element_spec)]
    if any(None in shape for shape in shapes) or len({shape[0] for shape in shapes}) != 1:
        raise ValueError(f"batches must have static shapes and one batch size, found {shapes}")
    return int(shapes[0][0])


def _per_replica(dataset: tf.data.Dataset, replicas: int) -> tf.data.Dataset:
    """Global batches (B, ...) -> the replicas' shares (B / replicas, ...) in turn; the strategy deals them out in this order."""
    if replicas == 1:
        return dataset

    def split(tensor: tf.Tensor) -> tf.Tensor:
        return tf.reshape(tensor, (replicas, tensor.shape[0] // replicas, *tensor.shape[1:]))

    return dataset.map(lambda batch: tf.nest.map_structure(split, batch)).unbatch()
