"""The one loop: teacher pretraining, layer transfer, pretraining distillation and tasks.

Resumes by itself from the state folder with bitwise the same result as an unbroken run (same device kind and thread count).
On SIGTERM (a preemption notice, a stopped cluster job) it saves a checkpoint at the end of the running call and leaves with
exit code 143, so that Snakemake retries the job.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from mobilebert import artifacts, settings
from mobilebert.errors import UserError
from mobilebert.training import optimizers
from mobilebert.training.accelerators import Accelerator
from mobilebert.training.objective import Objective
from mobilebert.training.progress import Progress
from mobilebert.training.state import State
from mobilebert.training.steps import LEARNING_RATE, Batches, Steps

LOG = logging.getLogger(__name__)
TERMINATED = 128 + signal.SIGTERM  # the exit code that shells give a process ended by SIGTERM


@dataclass(frozen=True)
class Span:
    """Which steps of a schedule a job takes, where the schedule is longer than the job or other jobs went before.

    Attributes:
        start: the first step.
        stop: the step after the last.
        origin: where step 0 stands in the order of batches and random numbers.
        rate: step `()` int -> rate `()` float32; None: as `optimization` says.
        moments: the optimizer's tensors to start from (`Optimizer.tensors`), by name; those that are not named start from zero.
        counted: names of frozen variables (rate factor 0) whose gradients count in the norm all the same.
    """

    start: int
    stop: int
    origin: int = 0
    rate: Callable[[tf.Tensor], tf.Tensor] | None = None
    moments: Mapping[str, np.ndarray] = field(default_factory=dict)
    counted: Collection[str] = ()


@dataclass(frozen=True)
class Job:
    """One training.

    Attributes:
        name: for people, in the log and on the bar.
        objective: what is minimised; its variables start as they are and end trained.
        batches: start step -> endless dataset of global batches, whose element at step s is a pure function of s (`steps.Batches`).
        optimization: steps, rate, decay.
        training: how every training runs.
        seed: of the objective's random numbers (dropout).
        span: the steps that are taken; None: all of `optimization`, from the first.
        lengths: the first step of each phase -> tokens of its sequences (`schedules.lengths`); None: those of the records.
    """

    name: str
    objective: Objective
    batches: Batches
    optimization: settings.Optimization
    training: settings.Training
    seed: int
    span: Span | None = None
    lengths: Mapping[int, int | None] = field(default_factory=dict)


def train(
    job: Job, accelerator: Accelerator, state: State, metrics_path: Path, checkpoint_seconds: float, log: Path | None
) -> dict[str, np.ndarray]:
    """Train the job's variables to its last step, from the newest checkpoint of `state` if there is one.

    Args:
        job: what to train.
        accelerator: where; the objective's variables were made in its scope.
        state: the locked folder of unfinished work; the caller calls `finish` on it once the artefact is complete.
        metrics_path: where `metrics.jsonl` goes at the end, one line a host call: step, means of the loss parts over the call,
            gradient norm, learning rate of the last step.
        checkpoint_seconds: time between checkpoints; 0: after every call. The end always gets one.
        log: the command's log file, for TensorBoard events beside it.

    Returns:
        The optimizer's tensors at the end by name (`Optimizer.tensors`).

    Raises:
        UserError: when a loss or gradient is not a number, or the batch cannot be split over the devices.
        SystemExit: with 143 after SIGTERM.
    """
    _check_scope(job, accelerator)
    span = job.span or Span(0, job.optimization.steps)
    objective = job.objective
    with accelerator.scope():
        optimizer = optimizers.make(objective.variables, objective.rate_factors, job.optimization, span.counted)
    tensors = optimizer.tensors()
    for name, values in span.moments.items():
        tensors[name].assign(values)
    start = _restore(state, tensors, accelerator.threads, span.start)
    steps = Steps(
        objective,
        optimizer,
        job.optimization,
        job.seed,
        accelerator,
        origin=span.origin,
        rate=span.rate,
        device_batch=job.training.device_batch,
        boundaries=job.lengths,
    )
    batch_size = steps.feed(job.batches, start)
    total = span.stop
    LOG.info("%s: %d steps of %d sequences on %s", job.name, total - span.start, batch_size, accelerator.description)
    with Progress(job.name, start, total, batch_size, log, fresh=start == span.start) as progress, _termination() as terminated:
        saved = time.monotonic()
        for first in range(start, total, job.training.steps_per_call):
            done = min(first + job.training.steps_per_call, total)
            rows = steps.run(first, done - first)
            _guard(job.name, first, steps.names, rows)
            means = _means(steps.names, rows)
            state.add_metrics({"step": done, **means})
            progress.advance(done, means)
            if done == total or terminated.is_set() or time.monotonic() - saved >= checkpoint_seconds:
                state.save(done, {name: variable.numpy() for name, variable in tensors.items()}, accelerator.threads)
                LOG.info("checkpoint at step %d", done)
                saved = time.monotonic()
            if terminated.is_set():
                LOG.warning("%s: stopped by SIGTERM after step %d; run again to go on from there", job.name, done)
                raise SystemExit(TERMINATED)
    artifacts.write_atomically(metrics_path, state.metrics.read_bytes())
    return {name: variable.numpy() for name, variable in tensors.items()}


def _restore(state: State, tensors: dict[str, tf.Variable], threads: int, start: int) -> int:
    """Load the newest checkpoint into the variables; returns the next step, `start` without one. Warns if other `threads` made it."""
    found = state.restore()
    if found is None:
        return start
    expected = {name: tuple(variable.shape) for name, variable in tensors.items()}
    held = {name: array.shape for name, array in found.tensors.items()}
    if held != expected:
        wrong = sorted(name for name in held.keys() | expected.keys() if held.get(name) != expected.get(name))
        raise UserError(
            f"{state.folder}: its checkpoint was written by another version of the program (it differs in {', '.join(wrong[:3])}, "
            f"{len(wrong)} tensors in all); remove that folder to train from the start"
        )
    for name, variable in tensors.items():
        variable.assign(found.tensors[name])
    LOG.info("resuming from step %d", found.step)
    if found.threads != threads:
        LOG.warning(
            "the checkpoint was computed with %d threads, these are %d: sums may round differently from here on, so the result need not "
            "be bit for bit that of an unbroken training",
            *(found.threads, threads),
        )
    return found.step


def _check_scope(job: Job, accelerator: Accelerator) -> None:
    created = accelerator.strategy.extended.variable_created_in_scope
    outside = [name for name, variable in job.objective.variables.items() if not created(variable)]
    if outside:
        raise ValueError(f"variables made outside Accelerator.scope(): {', '.join(sorted(outside)[:5])}")


def _guard(name: str, first: int, names: list[str], rows: np.ndarray) -> None:
    """Stop at numbers that are not finite: the weights are lost from there on, and no checkpoint may hold them."""
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if bad.size:
        parts = ", ".join(f"{part} {value:.6g}" for part, value in zip(names, rows[bad[0]], strict=True))
        where = f"step {first + bad[0] + 1} (steps {first + 1} to {first + len(rows)} ran)"
        raise UserError(
            f"{name}: the loss or a gradient is not a finite number at {where}: {parts}; lower the learning rate, "
            "warm up longer, or look at the input"
        )


def _means(names: list[str], rows: np.ndarray) -> dict[str, float]:
    """Means over a call's steps with 7 digits (float32 has no more); the learning rate is the last step's."""
    means = dict(zip(names, rows.astype(np.float64).mean(axis=0), strict=True))
    means[LEARNING_RATE] = rows[-1, names.index(LEARNING_RATE)]
    return {name: float(f"{value:.7g}") for name, value in means.items()}


@contextmanager
def _termination() -> Iterator[threading.Event]:
    """An event that SIGTERM sets, while the block runs; signals reach Python's main thread only."""
    terminated = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield terminated
        return

    def note(*_: Any) -> None:
        terminated.set()

    previous = signal.signal(signal.SIGTERM, note)
    try:
        yield terminated
    finally:
        signal.signal(signal.SIGTERM, previous)
