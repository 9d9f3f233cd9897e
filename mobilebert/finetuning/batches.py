"""Features -> tf.data: shuffled batches of a training by step, and batches in order for predictions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from mobilebert.finetuning.features import Features


def steps_of(examples: int, batch_size: int, epochs: float) -> int:
    """Optimizer steps: int(N / batch * epochs), as the published finetuning code counts them, at least
    one.
    """
    return max(1, int(examples / batch_size * epochs))


def training(features: Features, batch_size: int, seed: int) -> Callable[..., tf.data.Dataset]:
    """Start step -> endless dataset of batches; the batch of a step is a pure function of (features,
    batch_size, seed, step).

    Every epoch has its own order over all N examples, and epochs follow each other without a gap, so a batch
    may hold the end of one and the begin of the next. Starting at a step is a computation, not a replay.

    Returns:
        Datasets of dicts: `input_ids`, `segment_ids`, `input_mask` (B, S) int32, and the targets (B,) int32;
        with a second argument (host, hosts) of that host's rows of each batch.
    """
    row = _rows(features)

    def batches(start_step: int, share: tuple[int, int] = (0, 1)) -> tf.data.Dataset:
        host, hosts = share
        own = slice(host * batch_size // hosts, (host + 1) * batch_size // hosts)
        return _indices(len(features), batch_size, seed, start_step).map(lambda numbers: row(numbers[own]))

    return batches


def examples_of(count: int, batch_size: int, seed: int, step: int) -> list[int]:
    """The examples in the batch of a step of `training`, by their place among the `count` features, (B,)."""
    indices: list[int] = next(iter(_indices(count, batch_size, seed, step))).numpy().tolist()
    return indices


def _indices(count: int, batch_size: int, seed: int, start_step: int) -> tf.data.Dataset:
    """The examples (B,) of the batches from a step on, without end."""
    epoch, position = divmod(start_step * batch_size, count)

    def order(number: tf.Tensor) -> tf.data.Dataset:
        key = tf.stack([tf.cast(seed, tf.int64), number])
        shuffled = tf.random.experimental.stateless_shuffle(tf.range(count), key, alg="philox")
        return tf.data.Dataset.from_tensor_slices(shuffled[tf.where(number == epoch, position, 0) :])

    return (
        tf.data.Dataset.range(epoch, np.iinfo(np.int64).max)
        .flat_map(order)
        .batch(batch_size, drop_remainder=True)
    )


def in_order(features: Features, batch_size: int) -> tf.data.Dataset:
    """All examples once, in order; the last batch is filled up with copies of the first example, to be cut
    off by the caller.
    """
    padding = -len(features) % batch_size
    indices = np.concatenate([np.arange(len(features)), np.zeros(padding, np.int64)]).astype(np.int32)
    return tf.data.Dataset.from_tensor_slices(indices.reshape(-1, batch_size)).map(_rows(features))


def _rows(features: Features) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """A function from indices (B,) to their batch; segments and masks follow from the lengths."""
    with tf.device("CPU:0"):  # the arrays stay on the host
        ids, first, length = (tf.constant(array) for array in (features.ids, features.first, features.length))
        targets = {name: tf.constant(values) for name, values in features.targets.items()}
    positions = tf.range(features.ids.shape[1])[tf.newaxis, :]

    def row(indices: tf.Tensor) -> dict[str, tf.Tensor]:
        begin, end = tf.gather(first, indices)[:, tf.newaxis], tf.gather(length, indices)[:, tf.newaxis]
        mask = tf.cast(positions < end, tf.int32)
        batch = {
            "input_ids": tf.gather(ids, indices),
            "segment_ids": tf.cast(positions >= begin, tf.int32) * mask,
            "input_mask": mask,
        }
        return batch | {name: tf.gather(values, indices) for name, values in targets.items()}

    return row
