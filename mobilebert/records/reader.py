"""Records as TensorFlow datasets.

Element s of a training dataset is the batch of its step, so resuming is a seek.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from mobilebert.errors import UserError
from mobilebert.records.dataset import RecordSet
from mobilebert.records.masking import Batch
from mobilebert.settings import Masking

__all__ = ["Leaving", "RecordSet", "heldout_batches", "train_batches"]

NAMES = (
    "input_ids",
    "segment_ids",
    "input_mask",
    "masked_positions",
    "masked_ids",
    "masked_weights",
    "next_sentence_labels",
)
CALLS_AT_ONCE = 1  # more would only wait for Python's lock
SECONDS_OF_REST = 0.2
# several steps are made in one call: NumPy is slow on small arrays, and on those beyond a processor's cache
RECORDS_AT_ONCE = 1536


def train_batches(
    records: RecordSet,
    masking: Masking,
    batch_size: int,
    seed: int,
    start_step: int,
    length: int | None = None,
    share: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """The global batches of steps `start_step`, `start_step + 1`, ... without end.

    Batch s is a pure function of (records, seed, s). Each is a dict of static shapes (B sequences, S tokens,
    P predictions): `input_ids segment_ids input_mask` (B, S) int32, `masked_positions masked_ids` (B, P)
    int32, `masked_weights` (B, P) float32, and `next_sentence_labels` (B,) int32 where the records have them.

    Args:
        records, masking, batch_size, seed, start_step: what a batch depends on.
        length: S of pieces cut out of the records, whose P shrinks with it; None: whole records.
        share: (host, hosts): only that host's rows of each batch, (B / hosts, ...), are read and masked.

    Raises:
        UserError: there are fewer records than one batch has, or they cannot be cut.
    """
    if batch_size > records.train_count:
        raise UserError(
            f"{records.folder}: its {records.train_count} training records do not fill one batch of "
            f"{batch_size}; "
            "give more text, shorten records.sequence_length, or lower the training's batch_size"
        )
    if length is not None:
        records.check_length(length)
    at_once = max(1, RECORDS_AT_ONCE // batch_size)
    steps = tf.data.Dataset.range(start_step, np.iinfo(np.int64).max - at_once, at_once)

    def make(step: np.ndarray) -> Batch:
        return records.train_batches(masking, batch_size, seed, int(step), at_once, length, share)

    shape = length or records.sequence_length, records.predictions(masking, length)
    return _batches(steps, make, records, shape, batch_size // share[1], at_once)


def heldout_batches(records: RecordSet, masking: Masking, batch_size: int, seed: int) -> tf.data.Dataset:
    """All held-out records once, in order, always with the same masks; the last batch is filled up with
    rows of zero weight.
    """
    steps = tf.data.Dataset.range(-(-records.heldout_count // batch_size))

    def make(step: np.ndarray) -> Batch:
        return records.heldout_batch(masking, batch_size, seed, int(step))

    return _batches(
        steps, make, records, (records.sequence_length, records.predictions(masking)), batch_size, 1
    )


def _batches(
    steps: tf.data.Dataset,
    make: Callable[[np.ndarray], Batch],
    records: RecordSet,
    sizes: tuple[int, int],
    batch_size: int,
    at_once: int,
) -> tf.data.Dataset:
    """The dataset of what `make` gives for each of `steps`: `at_once` batches of `batch_size`; `sizes` are
    S and P.
    """
    widths = [sizes[0]] * 3 + [sizes[1]] * 3
    shapes: list[tuple[int, ...]] = [(width,) for width in widths]
    types = [tf.int32] * 5 + [tf.float32]
    if records.next_sentence:
        shapes, types = [*shapes, ()], [*types, tf.int32]
    names = NAMES[: len(types)]

    def made_now(step: np.ndarray) -> list[np.ndarray]:
        batch = make(step)
        return [batch[name] for name in names]

    maker = Leaving(made_now)

    def fetch(step: tf.Tensor) -> dict[str, tf.Tensor]:
        values = tf.numpy_function(maker, [step], types, stateful=False)
        shaped = (
            tf.reshape(value, (at_once, batch_size, *shape))
            for value, shape in zip(values, shapes, strict=True)
        )
        return dict(zip(names, shaped, strict=True))

    options = tf.data.Options()
    # An element is the global batch: a strategy may split it, never deal out shards of the dataset.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    made = steps.map(fetch, num_parallel_calls=CALLS_AT_ONCE, deterministic=True).unbatch()
    return made.prefetch(2).with_options(options)


class Leaving:
    """A Python function that datasets call; lets the interpreter end only when TensorFlow's threads ask for
    nothing more.

    Batches are made ahead of need. A thread of TensorFlow that asks for Python's lock while the interpreter
    ends never returns, and the iterator's destructor waits for it for ever (seen). Ahead means a few batches,
    so a moment after the last use all threads rest.
    """

    def __init__(self, make: Callable[..., list[np.ndarray]]) -> None:
        """Take the function; from now on the interpreter's end waits for it."""
        self._make = make
        self._lock = threading.Lock()
        self._inside = 0
        self._last_use = 0.0
        self._ending: list[np.ndarray] | None = None
        self._made: list[np.ndarray] | None = None
        atexit.register(self.close)

    def __call__(self, *arguments: np.ndarray) -> list[np.ndarray]:
        """What the function gives; once the interpreter ends, what it gave last."""
        with self._lock:
            self._inside += 1
        try:
            if self._ending is not None:
                return self._ending
            made = self._made = self._make(*arguments)
            return made
        finally:
            with self._lock:
                self._inside -= 1
                self._last_use = time.monotonic()

    def close(self) -> None:
        """Answer at once from now on, and wait until nobody asks."""
        self._ending = self._made
        while self._inside or time.monotonic() - self._last_use < SECONDS_OF_REST:
            time.sleep(SECONDS_OF_REST / 10)
