"""What a training measures on held-out data, when, which measure was the best, and when patience ends."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from mobilebert.settings import Training
from mobilebert.training.accelerators import Accelerator
from mobilebert.training.distributed import ReplicatedFunction
from mobilebert.training.objective import Objective, totals_of

LOG = logging.getLogger(__name__)
PREFIX = "heldout_"  # of the figures in metrics.jsonl


@dataclass(frozen=True)
class Measure:
    """What is measured, and which of it decides.

    Attributes:
        figures: measures the weights as they are; changes nothing. By name.
        decides: the figure that says which weights are best.
        larger: whether a larger one is better.
        every: steps between measures, at most; 0: as the settings say.
    """

    figures: Callable[[], Mapping[str, float]]
    decides: str = "loss"
    larger: bool = False
    every: int = 0


class Curve:
    """The measures of one training. What it knows follows from the lines of metrics.jsonl, so that resuming
    needs nothing else.

    Attributes:
        best_step: where the best measure was made, the first of equal ones; None: none yet.
    """

    def __init__(
        self,
        measure: Measure | None,
        training: Training,
        start: int,
        stop: int,
        lines: Iterable[Mapping[str, Any]] = (),
    ) -> None:
        """Begin, or go on after `lines`; `start` and `stop` are the training's first step and the one
        after its last.
        """
        self._measure, self._start, self._stop = measure, start, stop
        self._patience = training.early_stop
        every = training.evaluate_every
        self._every = min(every, measure.every or every) if measure else 0
        self.best_step: int | None = None
        self._best = math.inf
        self._last, self._worse = start, 0
        for line in lines:
            if any(name.startswith(PREFIX) for name in line):
                self._note(line)

    def due(self, step: int) -> bool:
        """Whether to measure after `step` steps: at every interval's end and at the last step, once."""
        if self._measure is None or step == self._last:
            return False
        return step == self._stop or (bool(self._every) and (step - self._start) % self._every == 0)

    def until(self, step: int) -> int:
        """The step up to which the training goes from `step` without a measure between."""
        if not self._every:
            return self._stop
        return min(self._stop, self._start + ((step - self._start) // self._every + 1) * self._every)

    def measure(self, step: int) -> dict[str, float]:
        """Measure after `step` steps; returns the line for metrics.jsonl.

        A figure that is not finite is warned of and left out.
        """
        assert self._measure is not None
        figures = {name: float(f"{value:.7g}") for name, value in self._measure.figures().items()}
        nonfinite = [name for name, value in figures.items() if not math.isfinite(value)]
        if nonfinite:
            LOG.warning("held out at step %d: %s not finite", step, ", ".join(nonfinite))
        line = {"step": step} | {
            PREFIX + name: value for name, value in figures.items() if name not in nonfinite
        }
        self._note(line)
        return line

    @property
    def ended(self) -> bool:
        """Whether as many measures as the settings' patience in a row were no better than the best."""
        return self._patience is not None and self._worse >= self._patience

    def _note(self, line: Mapping[str, Any]) -> None:
        assert self._measure is not None
        value = line.get(PREFIX + self._measure.decides, math.nan) * (-1 if self._measure.larger else 1)
        self._last = line["step"]
        self._worse += 1
        if value < self._best:
            self.best_step, self._best, self._worse = self._last, value, 0


class LossParts:
    """The loss and its parts on held-out batches, computed as the training computes them, on all its
    devices; nothing is dropped out.
    """

    def __init__(
        self, objective: Objective, batches: Sequence[Mapping[str, np.ndarray]], accelerator: Accelerator
    ) -> None:
        """Take the batches, all of one shape `(B, ...)`, whose B is a multiple of the devices."""
        self._objective, self._batches = objective, batches
        self._names: list[str] = []
        self._spread = ReplicatedFunction(self._parts, accelerator)

    def __call__(self) -> dict[str, float]:
        """Means over the batches, by name."""
        rows = np.concatenate([self._spread(batch) for batch in self._batches])  # (batches * devices, n)
        return dict(zip(self._names, rows.astype(np.float64).mean(axis=0).tolist(), strict=True))

    def _parts(self, batch: dict[str, tf.Tensor]) -> tf.Tensor:
        terms = self._objective.loss(batch, None, totals_of(self._objective, batch))
        self._names = sorted(terms)
        return tf.stack([tf.cast(terms[name], tf.float32) for name in self._names])
