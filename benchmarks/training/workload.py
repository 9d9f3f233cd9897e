"""The work of `make bench-training`, the same for every program: two models, a batch, the losses' weights,
and turns.

A worker is a process that trains one arm. It says on standard output what it is (one JSON line), then takes
as many steps as each line on standard input asks for, says how long each took, and at the end how much memory
it needed. The orchestrator gives the turns.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

VOCABULARY, LAYERS = 21128, 12
BATCH, LENGTH, PREDICTIONS = 8, 128, 20
FEATURE_MAP, ATTENTION = 100.0, 1.0  # MobileBERT's factors; both are divided by the number of layers
LEARNING_RATE, DECAY, CLIP = 1e-5, 0.01, 1.0  # small, so that a hundred steps on one batch stay tame
STUDENT, TEACHER, ARRAYS = "student", "teacher", "batch.npz"


def batch(
    vocabulary: int = VOCABULARY, size: int = BATCH, length: int = LENGTH, predictions: int = PREDICTIONS
) -> dict[str, np.ndarray]:
    """Full sequences of random ids, two segments each, with predictions at places drawn without
    repetition: int32, weights float32.
    """
    numbers = np.random.default_rng(7)
    positions = np.sort(np.stack([numbers.choice(length, predictions, replace=False) for _ in range(size)]))
    return {
        "input_ids": numbers.integers(5, vocabulary, (size, length)).astype(np.int32),
        "segment_ids": np.repeat((np.arange(length) >= length // 2)[None], size, 0).astype(np.int32),
        "input_mask": np.ones((size, length), np.int32),
        "masked_positions": positions.astype(np.int32),
        "masked_ids": numbers.integers(5, vocabulary, (size, predictions)).astype(np.int32),
        "masked_weights": np.ones((size, predictions), np.float32),
    }


def read_batch(folder: Path) -> dict[str, np.ndarray]:
    """The batch that the orchestrator wrote."""
    with np.load(folder / ARRAYS) as stored:
        return {name: stored[name] for name in stored.files}


def say(body: dict[str, Any]) -> None:
    """One JSON line to the orchestrator."""
    print(json.dumps(body), flush=True)


def turns() -> Iterator[int]:
    """What the orchestrator asks for, one after the other: how many steps."""
    for line in sys.stdin:
        if int(line) == 0:
            break
        yield int(line)


def serve(call: Callable[[], float], began: float, **facts: Any) -> None:
    """Take the first step, say so, then take turns until there are none.

    Args:
        call: takes a step and gives the loss before it.
        began: `time.monotonic()` when model and batch were there and nothing was traced or compiled.
        facts: said with the first line.
    """
    loss = call()
    say({"loss": loss, "first_seconds": time.monotonic() - began, **facts})
    for steps in turns():
        seconds, host = [], []
        for _ in range(steps):
            start, own = time.monotonic(), time.thread_time()
            call()
            seconds.append(time.monotonic() - start)
            host.append(time.thread_time() - own)
        say({"seconds": seconds, "host": host})
    goodbye()


def goodbye() -> None:
    """Say the most memory that this process held, MB, and end."""
    say({"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024})
    os._exit(
        0
    )  # at once: threads of an endless dataset were seen to wait for each other when TensorFlow shuts down
