"""The training step on the device, several of them in one host call."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from mobilebert.errors import UserError, unwrapped
from mobilebert.settings import Optimization
from mobilebert.training import schedules
from mobilebert.training.accelerators import Accelerator
from mobilebert.training.objective import Objective, totals_of
from mobilebert.training.optimizers import Optimizer

GRADIENT_NORM = "gradient_norm"
LEARNING_RATE = "learning_rate"
# Start step -> endless dataset of global batches; with (host, hosts) of that host's rows of them, (B / hosts,
# ...).
Batches = Callable[..., tf.data.Dataset]
MOST_PARTS = (
    32  # room for the parts of a loss, since a traced loop must know its sizes before it knows its body
)


class Steps:
    """Runs steps `first .. first + count - 1` on the device and brings back every step's loss parts.

    The program is traced once for each shape of batches: steps and counts are tensors. Step s sees the batch
    and the seed f(job seed, place, replica) of its place = origin + s, so what a step does depends on nothing
    but the weights, the moments and s.

    A device that cannot hold its share of a batch computes it in rounds: gradients are summed in float32, and
    clipped and applied once. What is averaged is weighted over the global batch (`objective.weighted_mean`),
    so a step is the same but for rounding.
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
        device_batch: int | None = None,
        boundaries: Collection[int] = (),
    ) -> None:
        """Take what is trained.

        Args:
            objective, optimizer, optimization, seed, accelerator: of the training.
            origin: where step 0 stands in the order of batches.
            rate: replaces the settings' own schedule.
            skips: go on after a step whose loss parts or gradients are not finite; else no later step of the
                call is taken either.
            device_batch: sequences that a device computes at once, at most; None: its whole share of a batch.
            boundaries: the steps from which on batches have another shape than before.
        """
        self.names: list[str] = []
        self._parts: list[str] = []
        self._objective, self._optimizer, self._seed, self._origin = objective, optimizer, seed, origin
        self._rate = rate or (lambda step: schedules.learning_rate(step, optimization))
        self._skips = skips
        self._strategy, self._devices = accelerator.strategy, accelerator.devices
        self._device_batch, self._boundaries = device_batch, boundaries
        self._fed_here = accelerator.fed_here
        # No jit_compile: TPUStrategy compiles anyway, and XLA made bfloat16 on the CPU slower (measured in
        # the design's reference). No autograph: converting a model's Python took more than half of the time
        # to the first step (4.7 s against 2.2 s, mini).
        self._looped = accelerator.loops
        self._call = tf.function(self._loop if self._looped else self._at, autograph=False)

    def feed(self, batches: Batches, start: int) -> int:
        """Take batches from step `start` on; returns the global batch size.

        Raises:
            UserError: when the batch cannot be split over the devices.
        """
        self._source, self._fed = batches, start
        position = self._origin + start
        whole = batches(position)
        size = _batch_size(whole)
        if size % self._devices:
            raise UserError(
                f"batch size {size} cannot be split over {self._devices} devices; make it a multiple of "
                f"{self._devices}"
            )

        def share(context: tf.distribute.InputContext) -> tf.data.Dataset:
            host, hosts = context.input_pipeline_id, context.num_input_pipelines
            own = whole if hosts == 1 else batches(position, (host, hosts))
            # Of a dataset that is known to be endless an iterator over several hosts keeps the static shapes.
            return _per_replica(own, self._devices // hosts).repeat().prefetch(2)

        # Batches are made in Python, which other hosts' TensorFlow cannot call: there they are sent from
        # here, a step's at a time.
        self._batches = iter(
            whole.prefetch(2) if self._fed_here else self._strategy.distribute_datasets_from_function(share)
        )
        return size

    def run(self, first: int, count: int) -> np.ndarray:
        """Take `count` steps; returns `(count, len(names))` float32: loss, its parts, gradient norm, learning
        rate.

        A step whose row is not finite throughout changed nothing, neither weights nor moments. Without
        `skips` the rows may end with such a step: no later one is taken.

        Raises:
            UserError: a file of records is damaged.
        """
        rows: list[np.ndarray] = []
        inside = sorted(step for step in self._boundaries if first < step < first + count)
        for begin, end in itertools.pairwise([first, *inside, first + count]):
            if begin in self._boundaries and begin != self._fed:
                self.feed(self._source, begin)
            with unwrapped():
                rows.append(self._taken(begin, end - begin))
            if not (self._skips or np.isfinite(rows[-1]).all()):
                break
        return np.concatenate(rows)

    def _taken(self, first: int, count: int) -> np.ndarray:
        """Take `count` steps whose batches have one shape; as `run`."""
        if self._looped:
            return np.asarray(
                self._call(self._batches, tf.constant(first, tf.int32), tf.constant(count, tf.int32))
            )
        rows, sound = [], tf.constant(True)
        for step in range(first, first + count):
            row, sound = self._call(self._batches, tf.constant(step, tf.int32), sound)
            rows.append(row.numpy())
            if not sound:
                break  # no later one would be taken
        return np.stack(rows)

    def _loop(self, batches: Any, first: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        """Steps first to first + count - 1 on the device: (count, len(names))."""

        def step_at(
            index: tf.Tensor, sound: tf.Tensor, rows: tf.TensorArray
        ) -> tuple[tf.Tensor, tf.Tensor, tf.TensorArray]:
            row, sound = self._at(batches, first + index, sound)
            return index + 1, sound, rows.write(index, row)

        rows = tf.TensorArray(tf.float32, size=count, element_shape=None)
        # One step after the other: each needs the weights of the one before.
        start = (tf.constant(0), tf.constant(True), rows)
        return tf.while_loop(lambda index, *_: index < count, step_at, start, parallel_iterations=1)[
            -1
        ].stack()

    def _at(self, batches: Any, step: tf.Tensor, sound: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """One step of all devices, taken if all before were sound: its row (len(names),), and whether the
        next is to be taken.
        """
        rate = self._rate(step)
        seed = tf.random.experimental.stateless_fold_in(
            tf.constant([self._seed, 0], tf.int32), self._origin + step
        )
        batch = self._dealt(batches.get_next()) if self._fed_here else batches.get_next()
        per_replica = self._strategy.run(self.step, args=(batch, seed, rate, sound))
        row = self._strategy.reduce(tf.distribute.ReduceOp.MEAN, per_replica, axis=None)
        if not self._skips:
            sound = tf.logical_and(sound, tf.reduce_all(tf.math.is_finite(row)))
        return tf.concat([row, rate[tf.newaxis]], 0), sound

    def _dealt(self, batch: dict[str, tf.Tensor]) -> Any:
        """Each replica's rows of a global batch."""

        def rows(context: tf.distribute.ValueContext) -> dict[str, tf.Tensor]:
            number = context.replica_id_in_sync_group
            return {name: tf.split(tensor, self._devices)[number] for name, tensor in batch.items()}

        return self._strategy.experimental_distribute_values_from_function(rows)

    def step(
        self, batch: dict[str, tf.Tensor], seed: tf.Tensor, rate: tf.Tensor, sound: tf.Tensor | bool = True
    ) -> tf.Tensor:
        """One replica's step, taken if `sound` and all is finite; returns its loss parts and the gradient
        norm, `(len(names) - 1,)`.
        """
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        seed = tf.random.experimental.stateless_fold_in(seed, tf.cast(replica, tf.int32))
        count = rounds(_rows(batch), self._device_batch)
        totals = totals_of(self._objective, batch, count)
        gradients, terms = (
            self._gradients(batch, seed, totals)
            if count == 1
            else self._accumulated(batch, seed, totals, count)
        )
        norm = self._optimizer.apply(
            gradients, rate, tf.logical_and(sound, tf.reduce_all(tf.math.is_finite(terms)))
        )
        self.names = [*self._parts, GRADIENT_NORM, LEARNING_RATE]
        return tf.concat([terms, tf.reshape(tf.cast(norm, tf.float32), (1,))], 0)

    def _gradients(
        self, batch: dict[str, tf.Tensor], seed: tf.Tensor, totals: Mapping[str, tf.Tensor]
    ) -> tuple[list[Any], tf.Tensor]:
        """Gradients of the optimizer's variables (None: not reached), and the loss and its parts, `(n,)`."""
        # Only what is trained is watched: a teacher or a frozen layer keeps no activations for a backward
        # pass.
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self._optimizer.variables)
            terms = self._objective.loss(batch, seed, totals)
        gradients = tape.gradient(terms["loss"], self._optimizer.variables)
        self._parts = ["loss", *sorted(terms.keys() - {"loss"})]
        return gradients, tf.stack(
            [tf.ensure_shape(tf.cast(terms[name], tf.float32), ()) for name in self._parts]
        )

    def _accumulated(
        self, batch: dict[str, tf.Tensor], seed: tf.Tensor, totals: Mapping[str, tf.Tensor], count: int
    ) -> tuple[list[Any], tf.Tensor]:
        """As `_gradients`, in `count` rounds of neighbouring rows."""
        split = {name: tf.reshape(tensor, (count, -1, *tensor.shape[1:])) for name, tensor in batch.items()}
        reached = [False] * len(self._optimizer.variables)

        def one(
            index: tf.Tensor, sums: list[tf.Tensor], total: tf.Tensor
        ) -> tuple[tf.Tensor, list[tf.Tensor], tf.Tensor]:
            rows = {name: tf.gather(tensor, index) for name, tensor in split.items()}
            gradients, terms = self._gradients(
                rows, tf.random.experimental.stateless_fold_in(seed, index), totals
            )
            reached[:] = [gradient is not None for gradient in gradients]
            sums = [
                sum_so_far if gradient is None else sum_so_far + tf.convert_to_tensor(gradient)
                for sum_so_far, gradient in zip(sums, gradients, strict=True)
            ]
            return index + 1, sums, total + tf.pad(terms, [[0, MOST_PARTS - len(self._parts)]])

        nothing = [tf.zeros(variable.shape, variable.dtype) for variable in self._optimizer.variables]
        start = (tf.constant(0), nothing, tf.zeros((MOST_PARTS,)))
        _, sums, total = tf.while_loop(
            lambda index, *_: index < count, one, start, parallel_iterations=1, maximum_iterations=count
        )
        means = [
            sum_so_far / count if is_reached else None
            for sum_so_far, is_reached in zip(sums, reached, strict=True)
        ]
        return means, total[: len(self._parts)] / count


def rounds(share: int, device_batch: int | None) -> int:
    """In how many equal parts a device computes its share of a batch, so that none has more than
    `device_batch` sequences.
    """
    return next(
        count
        for count in range(1, share + 1)
        if share % count == 0 and share // count <= (device_batch or share)
    )


def at_once_of(batch_size: int, devices: int, most: int | None) -> int:
    """Sequences that all devices together compute at once, of global batches of `batch_size` and at most
    `most` a device.
    """
    share = max(1, batch_size // devices)
    return devices * (share // rounds(share, most))


def _rows(batch: Mapping[str, tf.Tensor]) -> int:
    return int(next(iter(batch.values())).shape[0])


def _batch_size(dataset: tf.data.Dataset) -> int:
    shapes = [tuple(spec.shape) for spec in tf.nest.flatten(dataset.element_spec)]
    if any(None in shape for shape in shapes) or len({shape[0] for shape in shapes}) != 1:
        raise ValueError(f"batches must have static shapes and one batch size, found {shapes}")
    return int(shapes[0][0])


def _per_replica(dataset: tf.data.Dataset, replicas: int) -> tf.data.Dataset:
    """Global batches (B, ...) -> the replicas' shares (B / replicas, ...) in turn; the strategy deals them
    out in this order.
    """
    if replicas == 1:
        return dataset

    def split(tensor: tf.Tensor) -> tf.Tensor:
        return tf.reshape(tensor, (replicas, tensor.shape[0] // replicas, *tensor.shape[1:]))

    return dataset.map(lambda batch: tf.nest.map_structure(split, batch)).unbatch()
