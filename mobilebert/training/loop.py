"""The one loop: teacher pretraining, layer transfer, pretraining distillation and tasks.

Resumes by itself from the state folder with bitwise the same result as an unbroken run (same device kind and
thread count). On SIGTERM (a preemption notice, a stopped cluster job) it saves a checkpoint at the end of the
running call and leaves with exit code 143, so that Snakemake retries the job.
"""

from __future__ import annotations

import json
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

from mobilebert import settings
from mobilebert.storage.atomic import write_atomically
from mobilebert.training import banner, multihost, optimizers
from mobilebert.training.accelerators import Accelerator
from mobilebert.training.evaluation import Curve, Measure
from mobilebert.training.nonfinite import SKIPPED, Guard
from mobilebert.training.objective import Objective
from mobilebert.training.progress import Progress
from mobilebert.training.state.train_state import TrainState
from mobilebert.training.state.workspace import Workspace
from mobilebert.training.steps import LEARNING_RATE, Batches, Steps

LOG = logging.getLogger(__name__)
TERMINATED = 128 + signal.SIGTERM  # the exit code that shells give a process ended by SIGTERM


@dataclass(frozen=True)
class Span:
    """Which steps of a schedule a job takes, where the schedule is longer than the job or other jobs went
    before.

    Attributes:
        start: the first step.
        stop: the step after the last.
        origin: where step 0 stands in the order of batches and random numbers.
        rate: step `()` int -> rate `()` float32; None: as `optimization` says.
        moments: the optimizer's tensors to start from (`Optimizer.tensors`), by name; those that are not
            named start from zero.
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
        batches: start step -> endless dataset of global batches, whose element at step s is a pure function
            of s (`steps.Batches`).
        optimization: steps, rate, decay.
        training: how every training runs.
        seed: of the objective's random numbers (dropout).
        span: the steps that are taken; None: all of `optimization`, from the first.
        lengths: the first step of each phase -> tokens of its sequences (`schedules.lengths`); empty: all are
            alike.
        measure: what is measured on held-out data; None: nothing, and the last weights are kept.
        records: step in the order of batches -> which records its batch holds, for people.
        skips: leave out steps that are not finite instead of stopping.
    """

    name: str
    objective: Objective
    batches: Batches
    optimization: settings.Optimization
    training: settings.Training
    seed: int
    span: Span | None = None
    lengths: Mapping[int, int] = field(default_factory=dict)
    measure: Measure | None = None
    records: Callable[[int], str] | None = None
    skips: bool = False


@dataclass(frozen=True)
class Trained:
    """How a training ended; the objective's variables hold the kept weights.

    Attributes:
        step: the step after the last that was taken.
        kept: the step after which the weights were as they are kept: `step`, or that of the best measure.
        skipped: steps that were left out.
        tensors: the optimizer's at the last step, by name (`Optimizer.tensors`), the weights among them the
            kept ones.
    """

    step: int
    kept: int
    skipped: int
    tensors: dict[str, np.ndarray]

    def counts(self) -> dict[str, int]:
        """What a manifest tells of it."""
        return {"last_step": self.step, "kept_step": self.kept, "skipped_steps": self.skipped}


def train(
    job: Job,
    accelerator: Accelerator,
    state: Workspace,
    metrics_path: Path,
    checkpoint_seconds: float,
    log: Path | None,
) -> Trained:
    """Train the job's variables to its last step, from the newest checkpoint of `state` if there is one.

    Args:
        job: what to train.
        accelerator: where; the objective's variables were made in its scope.
        state: the locked folder of unfinished work; the caller calls `finish` on it once the artifact is
            complete.
        metrics_path: where `metrics.jsonl` goes at the end, one line a host call: step, means of the loss
            parts over the call, gradient norm, learning rate of the last step; and one line a measure: step,
            `heldout_` figures.
        checkpoint_seconds: time between checkpoints; 0: after every call. The end always gets one.
        log: the command's log file, for TensorBoard events beside it.

    Raises:
        UserError: when a loss or gradient is not a number (`nonfinite.Guard`), or the batch cannot be split
            over the devices.
        SystemExit: with 143 after SIGTERM.
    """
    _check_scope(job, accelerator)
    span = job.span or Span(0, job.optimization.steps)
    optimizer, steps = _compiled(job, span, accelerator)
    train_state = TrainState(optimizer.tensors(), state, accelerator.threads)
    multihost.align(accelerator, state)
    start = train_state.restore(span.start, span.moments)
    lines = _lines(state)
    curve = Curve(job.measure, job.training, span.start, span.stop, lines)
    records = job.records
    guard = Guard(job.name, job.skips, (lambda step: records(span.origin + step)) if records else None, lines)
    batch_size = steps.feed(job.batches, start)
    _announce(job, span, start, batch_size, accelerator)
    beside = log if accelerator.chief else None
    progress = Progress(
        job.name, start, span.stop, batch_size, beside, fresh=start == span.start, lengths=job.lengths
    )
    with progress, _termination() as terminated:
        done, saved = start, time.monotonic()
        while True:
            leaves = multihost.agreed(accelerator, terminated.is_set())
            if curve.due(done) and not leaves:
                figures = curve.measure(done)
                state.add_metrics(figures)
                progress.measured(done, figures, last=done == span.stop or curve.ended)
                if job.training.keep == "best" and curve.best_step == done:
                    train_state.note_best()
                continue  # a SIGTERM meanwhile comes first
            if leaves:
                train_state.save(done)
                LOG.warning(
                    "%s: stopped by SIGTERM after step %d; run again to go on from there", job.name, done
                )
                raise SystemExit(TERMINATED)
            if done == span.stop or curve.ended:
                train_state.save(done)
                break
            first, done = done, min(done + job.training.steps_per_call, curve.until(done))
            rows = steps.run(first, done - first)
            taken, left_out = guard.check(first, steps.names, rows)
            rate = {LEARNING_RATE: _digits(rows[-1, steps.names.index(LEARNING_RATE)])}
            values = _means(steps.names, taken) | rate | left_out
            state.add_metrics({"step": done, **values})
            progress.advance(done, values)
            # The end is saved before it is measured, which may take a while.
            if done == span.stop or time.monotonic() - saved >= checkpoint_seconds:
                train_state.save(done)
                saved = time.monotonic()
    write_atomically(metrics_path, state.metrics.read_bytes())
    kept = curve.best_step if train_state.keep_best() else done
    if job.training.keep == "best" and curve.best_step is None:
        LOG.warning("%s: no measure on held-out data was finite, so the last weights are kept", job.name)
    return Trained(
        done, kept or done, sum(line.get(SKIPPED, 0) for line in _lines(state)), train_state.arrays()
    )


def _compiled(job: Job, span: Span, accelerator: Accelerator) -> tuple[optimizers.Optimizer, Steps]:
    """The optimizer of the objective's variables, and the steps that it takes."""
    objective = job.objective
    multipliers = objective.learning_rate_multipliers
    with accelerator.scope():
        optimizer = optimizers.make(objective.variables, multipliers, job.optimization, span.counted)
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
        skips=job.skips,
    )
    return optimizer, steps


def _announce(job: Job, span: Span, start: int, batch_size: int, accelerator: Accelerator) -> None:
    """Say what is trained where, before the first step is compiled."""
    length = span.stop - span.start
    LOG.info("%s: %d steps of %d sequences on %s", job.name, length, batch_size, accelerator.description)
    share = batch_size // accelerator.devices
    LOG.info("%s: %s", job.name, banner.describe(job.training, share, start, span.stop, job.lengths))


def _check_scope(job: Job, accelerator: Accelerator) -> None:
    created = accelerator.strategy.extended.variable_created_in_scope
    outside = [name for name, variable in job.objective.variables.items() if not created(variable)]
    if outside:
        raise ValueError(f"variables made outside Accelerator.scope(): {', '.join(sorted(outside)[:5])}")


def _lines(state: Workspace) -> list[dict[str, Any]]:
    return [json.loads(line) for line in state.metrics.read_text(encoding="utf-8").splitlines()]


def _means(names: list[str], rows: np.ndarray) -> dict[str, float]:
    """Means over the steps of `rows`; nothing where there are none."""
    return (
        dict(zip(names, map(_digits, rows.astype(np.float64).mean(axis=0)), strict=True)) if len(rows) else {}
    )


def _digits(value: float) -> float:
    """With 7 digits: float32 has no more."""
    return float(f"{value:.7g}")


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
