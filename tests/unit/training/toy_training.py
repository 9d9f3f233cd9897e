"""A tiny training for the tests: a linear regression whose batch is a function of the step. Also a program, to be killed.

    python toy_training.py FOLDER single|both [SECONDS]

trains to the end (SECONDS: pause after every call, so that a test can kill it), resuming in FOLDER, and writes FOLDER/single.npz
and, with `both`, FOLDER/mirrored.npz from two logical CPU devices,
and FOLDER/clipped.npz from six steps of LAMB there, with each device's gradient clipped by itself.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from mobilebert.settings import Optimization, Training
from mobilebert.training import accelerators, loop, objective, state

FINGERPRINT = "ab" * 32
SIZE, FEATURES = 8, 4


class Regression:
    """y = x kernel + bias with weighted squares; weights differ much between the halves of a batch, and noise uses the seed."""

    def __init__(self) -> None:
        self.variables = {"dense.weight": tf.Variable(tf.zeros((FEATURES, 1))), "dense.bias": tf.Variable(tf.zeros((1,)))}
        self.rate_factors: dict[str, float] = {}
        self.weighted_by = ("weight",)

    def loss(self, batch: dict[str, tf.Tensor], seed: tf.Tensor, totals: Mapping[str, tf.Tensor] | None = None) -> dict[str, tf.Tensor]:
        predicted = tf.matmul(batch["x"], self.variables["dense.weight"]) + self.variables["dense.bias"]
        squares = tf.squeeze(tf.square(predicted - batch["y"]), 1)
        noise = tf.reduce_mean(tf.random.stateless_normal((3,), seed))
        return {"loss": objective.weighted_mean(squares, batch["weight"], totals["weight"] if totals else None), "noise": noise}


def batch_at(step: tf.Tensor) -> dict[str, tf.Tensor]:
    """The batch of a step: x (8, 4), y (8, 1), weight (8,)."""
    x = tf.random.stateless_normal((SIZE, FEATURES), tf.stack([5, tf.cast(step, tf.int32)]))
    weight = tf.constant([1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.5, 0.0])
    return {"x": x, "y": tf.reduce_sum(x, 1, keepdims=True) + 0.5, "weight": weight}


def batches(start: int) -> tf.data.Dataset:
    """Batches from `start` on, without end."""
    return tf.data.Dataset.range(start, 2**31).map(batch_at)


def job(made: objective.Objective, steps: int = 23, per_call: int = 5, **settings: Any) -> loop.Job:
    """The job of the tests: 23 steps in calls of 5, the last one shorter."""
    optimization = Optimization(**({"steps": steps, "learning_rate": 0.05, "warmup_steps": 3, "batch_size": SIZE} | settings))
    return loop.Job("toy", made, batches, optimization, Training(steps_per_call=per_call), seed=7)


def train(folder: Path, name: str, accelerator: accelerators.Accelerator, pause: float = 0.0, **options: Any) -> None:
    """Train in FOLDER, resuming, with a checkpoint after every call; weights go to NAME.npz, metrics to NAME.jsonl."""
    with accelerator.scope():
        made = Regression()
    with state.open(folder / "state", name, FINGERPRINT) as work:
        append = work.add_metrics
        work.add_metrics = lambda line: (append(line), time.sleep(pause))  # type: ignore[method-assign]
        loop.train(job(made, **options), accelerator, work, folder / f"{name}.jsonl", 0.0, folder / f"{name}.log")
        np.savez(folder / f"{name}.npz", **{key: variable.numpy() for key, variable in made.variables.items()})
        work.finish()


def main(folder: Path, which: str, pause: float) -> None:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    device = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(device, [tf.config.LogicalDeviceConfiguration()] * 2)
    single = accelerators.find("cpu", 2)
    train(folder, "single", single, pause, steps=103)
    if which == "both":
        mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
        two = accelerators.Accelerator(mirrored, "2 logical CPUs", 2)
        train(folder, "mirrored", two, steps=103)
        train(folder, "clipped", two, steps=6, optimizer="lamb", clip="per_replica", clip_norm=0.5)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]) if len(sys.argv) > 3 else 0.0)
