"""Several processes, one a host, train one model: the first is the chief and writes; the others start from
what it has.

Which hosts there are says TF_CONFIG, as for any program of `tf.distribute.MultiWorkerMirroredStrategy`. All
run the same command. With one process nothing here does anything.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import tensorflow as tf

from mobilebert.training.accelerators import Accelerator
from mobilebert.training.options import RunOptions
from mobilebert.training.state import checkpoints, workspace

NEVER = "no checkpoint yet"
CHUNK = 2**26  # bytes that are sent at once; the checkpoint of a large teacher has 4 GB


@contextmanager
def opened(
    accelerator: Accelerator, options: RunOptions, name: str, fingerprint: str
) -> Iterator[workspace.Workspace]:
    """The state folder (`workspace.open_state`) that the options name; hosts that do not write have a scratch
    one, and wait at the end.
    """
    with tempfile.TemporaryDirectory() as scratch:
        root, bucket = (options.state, options.state_bucket) if accelerator.chief else (scratch, "")
        with workspace.open_state(root, name, fingerprint, bucket=bucket) as run_state:
            yield run_state
        agreed(accelerator, False)


def align(accelerator: Accelerator, run_state: workspace.Workspace) -> None:
    """Bring the chief's newest checkpoint, and the metrics that belong to it, to the others' state
    folders.
    """
    if accelerator.hosts == 1:
        return
    received = run_state.restore() if accelerator.chief else None
    path = checkpoints.path_of(run_state.folder, received.step) if received else None
    name, content, metrics = (
        _from_chief(accelerator, data)
        for data in (
            (path.name.encode(), path.read_bytes(), run_state.metrics.read_bytes())
            if path
            else (NEVER.encode(), b"", b"")
        )
    )
    if not accelerator.chief and name.decode() != NEVER:
        (run_state.folder / name.decode()).write_bytes(content)
        run_state.metrics.write_bytes(metrics)


def agreed(accelerator: Accelerator, wish: bool) -> bool:
    """Whether any host wishes it; all must ask at the same moment, so that none waits for another that
    left.
    """
    return wish if accelerator.hosts == 1 else bool(_sum(accelerator, np.array([wish], np.int32))[0])


def _from_chief(accelerator: Accelerator, data: bytes) -> bytes:
    """The chief's bytes, on every host."""
    count, rest = _sum(
        accelerator, np.array(divmod(len(data), CHUNK) if accelerator.chief else (0, 0), np.int32)
    ).tolist()
    received = []
    for number, size in enumerate([CHUNK] * count + [rest] * bool(rest)):
        words = np.zeros(-(-size // 4), np.int32)
        if accelerator.chief:
            words.view(np.uint8)[:size] = np.frombuffer(data, np.uint8, size, number * CHUNK)
        received.append(_sum(accelerator, words).tobytes()[:size])
    return b"".join(received)


def _sum(accelerator: Accelerator, numbers: np.ndarray) -> np.ndarray:
    """The sum of every host's numbers (n,) int32; exact, and the others' zeros leave the chief's bits."""
    totals: np.ndarray = accelerator.strategy.experimental_local_results(
        _summing(accelerator)(tf.constant(numbers))
    )[0].numpy()
    return totals


@cache
def _summing(accelerator: Accelerator) -> Any:
    """`_sum` of tensors, traced once for each length: hosts ask each other before every call of several
    steps.
    """
    devices = accelerator.devices // accelerator.hosts

    def own(numbers: tf.Tensor) -> tf.Tensor:
        context = tf.distribute.get_replica_context()
        first = tf.equal(context.replica_id_in_sync_group % devices, 0)  # one replica of each host speaks
        return context.all_reduce(
            tf.distribute.ReduceOp.SUM, tf.where(first, numbers, tf.zeros_like(numbers))
        )

    @tf.function(autograph=False)
    def total(numbers: tf.Tensor) -> Any:
        return accelerator.strategy.run(own, args=(numbers,))

    return total
