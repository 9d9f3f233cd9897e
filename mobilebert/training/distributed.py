"""A function of batches on all devices at once, outside of training steps: measures and predictions.

What a TPU is to compute must go through its strategy: a plain function of the same variables would run on the
host's CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from mobilebert.training.accelerators import Accelerator


class ReplicatedFunction:
    """A function of a batch, traced once for each shape; every device computes it on its share of the rows.

    Several hosts must call it together, with the same batches; each gets the whole result.
    """

    def __init__(
        self, function: Callable[[dict[str, tf.Tensor]], tf.Tensor], accelerator: Accelerator | None = None
    ) -> None:
        """Take the function, a batch of tensors `(B / devices, ...)` -> one numeric tensor, and where it
        runs; None: one device.
        """
        self._function = function
        self._strategy = accelerator.strategy if accelerator else tf.distribute.get_strategy()
        self._devices = accelerator.devices if accelerator else 1
        self._call = tf.function(
            lambda batch: self._strategy.run(self._placed, args=(batch,)), autograph=False
        )

    def __call__(self, batch: Mapping[str, Any]) -> np.ndarray:
        """What the function gives for the rows of each device of a batch `(B, ...)`: `(devices, ...)`, in
        the order of the rows.
        """
        results: np.ndarray = self._strategy.experimental_local_results(self._call(self._dealt(batch)))[
            0
        ].numpy()
        return results

    def whole(self, rows: int) -> int:
        """The least number of rows that all devices can share evenly, no less than `rows`."""
        return -(-rows // self._devices) * self._devices

    def _dealt(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        if self._devices == 1:
            return {name: tf.convert_to_tensor(rows) for name, rows in batch.items()}

        def share(rows: Any) -> Callable[[tf.distribute.experimental.ValueContext], tf.Tensor]:
            return lambda context: tf.split(rows, self._devices)[context.replica_id_in_sync_group]

        return {
            name: self._strategy.experimental_distribute_values_from_function(share(rows))
            for name, rows in batch.items()
        }

    def _placed(self, batch: dict[str, tf.Tensor]) -> tf.Tensor:
        """This device's result in its place among all, which is a sum whose other terms are zero: exact,
        and known to every host.
        """
        result = self._function(batch)[tf.newaxis]
        if self._devices == 1:
            return result
        context = tf.distribute.get_replica_context()
        here = tf.equal(tf.range(self._devices), tf.cast(context.replica_id_in_sync_group, tf.int32))
        here = tf.reshape(here, (-1, *[1] * (result.shape.rank - 1)))
        return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.where(here, result, tf.zeros_like(result)))
