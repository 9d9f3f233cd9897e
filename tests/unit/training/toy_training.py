"""A tiny training for the tests: a linear regression whose batch is a function of the step. Also a program,
to be killed.

    python toy_training.py FOLDER single|all|host [wait]

trains to the end (`wait`: after step 20 only once its standard input is closed, so that a test can stop it),
resuming in FOLDER, and writes FOLDER/single.npz and, with `all`, FOLDER/unbroken.npz, the same training from
its start, FOLDER/mirrored.npz from two logical CPU devices, FOLDER/rounds.npz from two that take one example
at a time, FOLDER/clipped.npz from six steps of LAMB there, with each device's gradient clipped by itself,
FOLDER/poisoned.npz from twelve steps there, of which two are left out, and FOLDER/spread.npz, a function of a
batch on one device and on two. A `host` that is told to leave goes on at once, as the same command started
again would.
"""

from __future__ import annotations

import dataclasses
import logging
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from mobilebert.settings import Optimization, Training
from mobilebert.training import accelerators, loop, multihost, objective
from mobilebert.training.distributed import ReplicatedFunction
from mobilebert.training.evaluation import LossParts, Measure
from mobilebert.training.options import RunOptions

FINGERPRINT = "ab" * 32
SIZE, FEATURES = 8, 4


class Regression:
    """y = x kernel + bias with weighted squares; weights differ much between the halves of a batch, and
    noise uses the seed.
    """

    def __init__(self) -> None:
        self.variables = {
            "dense.weight": tf.Variable(tf.zeros((FEATURES, 1))),
            "dense.bias": tf.Variable(tf.zeros((1,))),
        }
        self.learning_rate_multipliers: dict[str, float] = {}
        self.weighted_by = ("weight",)

    def loss(
        self, batch: dict[str, tf.Tensor], seed: tf.Tensor, totals: Mapping[str, tf.Tensor] | None = None
    ) -> dict[str, tf.Tensor]:
        predicted = tf.matmul(batch["x"], self.variables["dense.weight"]) + self.variables["dense.bias"]
        squares = tf.squeeze(tf.square(predicted - batch["y"]), 1)
        noise = 0.0 if seed is None else tf.reduce_mean(tf.random.stateless_normal((3,), seed))
        return {
            "loss": objective.weighted_mean(squares, batch["weight"], totals["weight"] if totals else None),
            "noise": noise,
        }


def batch_at(step: tf.Tensor) -> dict[str, tf.Tensor]:
    """The batch of a step: x (8, 4), y (8, 1), weight (8,)."""
    x = tf.random.stateless_normal((SIZE, FEATURES), tf.stack([5, tf.cast(step, tf.int32)]))
    weight = tf.constant([1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.5, 0.0])
    return {"x": x, "y": tf.reduce_sum(x, 1, keepdims=True) + 0.5, "weight": weight}


def batches(start: int, share: tuple[int, int] = (0, 1)) -> tf.data.Dataset:
    """Batches from `start` on, without end, or a host's rows of them."""
    host, hosts = share
    rows = slice(host * SIZE // hosts, (host + 1) * SIZE // hosts)
    return tf.data.Dataset.range(start, 2**31).map(
        lambda step: {name: values[rows] for name, values in batch_at(step).items()}
    )


def poisoned(*steps: int) -> Callable[[int], tf.data.Dataset]:
    """`batches`, but the seventh example of these steps is infinite."""

    def poison(step: tf.Tensor) -> dict[str, tf.Tensor]:
        batch = batch_at(step)
        hit = tf.logical_and(tf.reduce_any(step == tf.constant(steps, tf.int64)), tf.range(SIZE) == 6)
        return batch | {"x": tf.where(hit[:, tf.newaxis], tf.constant(np.inf, tf.float32), batch["x"])}

    return lambda start: tf.data.Dataset.range(start, 2**31).map(poison)


def numpy_training(
    steps: int, without: Collection[int] = (), stop: int | None = None
) -> tuple[np.ndarray, np.ndarray, list[float]]:
    """The toy's training in NumPy float64, some steps left out, up to `stop`: weight (4, 1), bias (1,),
    the losses of the steps taken.
    """
    weight, bias, losses = np.zeros((4, 1)), np.zeros(1), []
    m, v = np.zeros(5), np.zeros(5)
    for step in sorted(set(range(stop or steps)) - set(without)):
        batch = {name: value.numpy().astype(float) for name, value in batch_at(tf.constant(step)).items()}
        error = batch["x"] @ weight + bias - batch["y"]
        share = batch["weight"][:, None] / batch["weight"].sum()
        losses.append(float((share * error**2).sum()))
        gradient = np.concatenate([(batch["x"].T @ (2 * share * error)).ravel(), [(2 * share * error).sum()]])
        gradient /= max(1.0, np.linalg.norm(gradient))
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        rate = 0.05 * (step / 3 if step < 3 else 1 - step / steps)
        update = m / (np.sqrt(v) + 1e-6)
        weight = weight - rate * (update[:4, None] + 0.01 * weight)
        bias = bias - rate * update[4:]
    return weight, bias, losses


def job(made: objective.Objective, steps: int = 23, per_call: int = 5, **settings: Any) -> loop.Job:
    """The job of the tests: 23 steps in calls of 5, the last one shorter."""
    optimization = Optimization(
        **({"steps": steps, "learning_rate": 0.05, "warmup_steps": 3, "batch_size": SIZE} | settings)
    )
    return loop.Job("toy", made, batches, optimization, Training(steps_per_call=per_call), seed=7)


def heldout(made: objective.Objective, accelerator: accelerators.Accelerator) -> Measure:
    """The loss parts on two batches that no training here comes to."""
    return Measure(
        LossParts(
            made,
            [{name: value.numpy() for name, value in batch_at(step).items()} for step in (7000, 7001)],
            accelerator,
        )
    )


def train(
    folder: Path,
    name: str,
    accelerator: accelerators.Accelerator,
    changes: Mapping[str, Any],
    waits: bool = False,
    **options: Any,
) -> None:
    """Train in FOLDER, resuming, with a checkpoint after every call; weights go to NAME.npz, metrics to
    NAME.jsonl (of a host that is not the chief, metrics to NAME-HOST.jsonl alone).
    """
    with accelerator.scope():
        made = Regression()
    metrics = folder / (f"{name}.jsonl" if accelerator.chief else f"{name}-{accelerator.host}.jsonl")
    run_options = RunOptions(folder / name, folder / "state")
    with multihost.opened(accelerator, run_options, name, FINGERPRINT) as workspace:
        append = workspace.add_metrics
        if waits:
            workspace.add_metrics = lambda line: (  # type: ignore[method-assign]
                append(line),
                line["step"] > 20 and sys.stdin.read(),
            )
        task = dataclasses.replace(job(made, **options), measure=heldout(made, accelerator), **changes)
        loop.train(task, accelerator, workspace, metrics, 0.0, metrics.with_suffix(".log"))
        if not accelerator.chief:
            return
        np.savez(
            folder / f"{name}.npz", **{key: variable.numpy() for key, variable in made.variables.items()}
        )
        workspace.finish()


def main(folder: Path, which: str, waits: bool) -> None:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    curve = {"training": Training(steps_per_call=5, evaluate_every=20, keep="best")}
    if which == "host":
        multihost.CHUNK = 700  # so that a checkpoint goes in several
        accelerator = accelerators.find("cpu", 2)
        try:
            train(folder, "hosts", accelerator, curve, waits, steps=103)
        except SystemExit as left:
            logging.getLogger().info("left with %s", left.code)
            train(folder, "hosts", accelerator, curve, steps=103)
        return
    device = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(device, [tf.config.LogicalDeviceConfiguration()] * 2)
    single = accelerators.find("cpu", 2)
    train(folder, "single", single, curve, waits, steps=103)
    if which == "all":
        train(folder, "unbroken", single, curve, steps=103)
        mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
        two = accelerators.Accelerator(mirrored, "2 logical CPUs", 2)
        train(folder, "mirrored", two, curve, steps=103)
        spread = {
            name: ReplicatedFunction(lambda batch: tf.math.log(batch["x"]), accelerator)
            for name, accelerator in (("one", None), ("two", two))
        }
        np.savez(
            folder / "spread.npz", **{name: function(batch_at(7000)) for name, function in spread.items()}
        )
        rounds = {"training": Training(steps_per_call=5, device_batch=1)}
        train(folder, "rounds", two, rounds, steps=103)
        train(folder, "clipped", two, {}, steps=6, optimizer="lamb", clip="per_replica", clip_norm=0.5)
        train(folder, "poisoned", two, {"batches": poisoned(2, 9), "skips": True}, steps=12)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:] == ["wait"])
