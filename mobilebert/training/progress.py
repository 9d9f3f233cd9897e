"""What a person sees of a training: a bar on a terminal, a line a minute in the log, TensorBoard beside
the log.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from mobilebert.training import schedules
from mobilebert.training.durations import format_duration

LOG = logging.getLogger(__name__)
LOG_SECONDS = 60.0
QUIET = ("gradient_norm", "learning_rate", "skipped_in_a_row")  # in metrics.jsonl and TensorBoard only


class Progress:
    """Tells how far a training is; times and speeds live only here, never in an artifact."""

    def __init__(
        self,
        name: str,
        start: int,
        steps: int,
        batch_size: int,
        log: Path | None,
        *,
        fresh: bool = True,
        lengths: Mapping[int, int] | None = None,
    ) -> None:
        """Open the bar and the event file; a fresh start drops the event files of an earlier one.

        Args:
            name: the job's.
            start: steps done already.
            steps: steps in all.
            batch_size: sequences a step.
            log: the command's log file; TensorBoard events go to a folder beside it.
            fresh: whether no earlier attempt is gone on from.
            lengths: the first step of each phase -> tokens of its sequences: the time that is left goes by
                tokens.
        """
        self._name, self._steps, self._batch_size = name, steps, batch_size
        self._began = self._logged = time.monotonic()
        self._origin, self._calls, self._lengths = start, 0, lengths or {}
        self._stack = contextlib.ExitStack()
        self._bar = self._stack.enter_context(
            tqdm(total=steps, initial=start, desc=name, unit="step", disable=not sys.stderr.isatty())
        )
        if not self._bar.disable:
            self._stack.enter_context(logging_redirect_tqdm())
        self._measured = ""
        self._events: Any = None
        if log is not None:
            folder = log.with_name(log.name.removesuffix(".log") + ".tensorboard")
            if fresh:
                shutil.rmtree(folder, ignore_errors=True)
            with self._for_people_alone():
                self._events = tf.summary.create_file_writer(str(folder))

    def advance(self, step: int, values: Mapping[str, float]) -> None:
        """After `step` steps in all: show the latest means."""
        speed, left = self._speed(step)
        if (
            self._calls == 2 and step < self._steps
        ):  # the first call to be measured, since the one before traced the program
            LOG.info(
                "%s: about %s for the %d steps that are left",
                self._name,
                format_duration(left),
                self._steps - step,
            )
        shown = _text(values)
        self._bar.set_postfix_str(f"{shown}, {speed:.1f} sequences/s", refresh=False)
        self._bar.update(step - self._bar.n)
        self._write(step, {**values, "sequences_per_second": speed})
        if step == self._steps or time.monotonic() - self._logged >= LOG_SECONDS:
            self._logged = time.monotonic()
            values_shown = (
                self._name,
                step,
                self._steps,
                f"{shown}{self._measured}",
                speed,
                format_duration(left),
            )
            LOG.info("%s: step %d of %d, %s, %.1f sequences/s, %s left", *values_shown)
            self._measured = ""

    def measured(self, step: int, values: Mapping[str, float], *, last: bool) -> None:
        """After a measure on held-out data: the log shows it in its next line, or at once if it is the
        last.
        """
        self._write(step, values)
        shown = _text({name.removeprefix("heldout_"): value for name, value in values.items()})
        self._measured = f" (held out at step {step}: {shown})"
        if last:
            LOG.info("%s: held out after %d steps: %s", self._name, step, shown)

    def _write(self, step: int, values: Mapping[str, float]) -> None:
        if self._events is not None:
            with self._for_people_alone(), self._events.as_default():
                for name, value in values.items():
                    if name != "step":
                        tf.summary.scalar(name, value, step=step)

    @contextlib.contextmanager
    def _for_people_alone(self) -> Iterator[None]:
        """Go on without TensorBoard's curves where they cannot be written (a full disk): no result needs
        them.
        """
        try:
            yield
        except tf.errors.OpError as error:
            self._events = None
            LOG.warning(
                "%s: no more curves for TensorBoard (metrics.jsonl has them): %s",
                self._name,
                " ".join(error.message.split()),
            )

    def _speed(self, step: int) -> tuple[float, float]:
        """Sequences a second, since the end of the first call once there was a second (the first one traces
        the program), and seconds that are left.
        """
        now = time.monotonic()
        seconds = max(now - self._began, 1e-9)
        speed = (step - self._origin) * self._batch_size / seconds
        done, left = (
            schedules.tokens(self._lengths, *bounds) for bounds in ((self._origin, step), (step, self._steps))
        )
        if self._calls == 0:
            self._origin, self._began = step, now
        self._calls += 1
        return speed, seconds * left / done

    def close(self) -> None:
        """Close the bar and the event file."""
        self._stack.close()
        if self._events is not None:
            with self._for_people_alone():
                self._events.close()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _text(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items() if name not in ("step", *QUIET))
