"""What is done about steps whose loss or gradients are not finite: `steps.Steps` takes none of them, this
says so and decides.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from mobilebert.errors import UserError
from mobilebert.training.steps import LEARNING_RATE

LOG = logging.getLogger(__name__)
MOST_IN_A_ROW = 10  # skipped steps: a bad record is one; weights that have gone astray never recover
SKIPPED, IN_A_ROW = "skipped", "skipped_in_a_row"  # in metrics.jsonl


class Guard:
    """Looks at the rows that a call of several steps brought back."""

    def __init__(
        self,
        name: str,
        skips: bool,
        records: Callable[[int], str] | None,
        lines: Sequence[Mapping[str, float]] = (),
    ) -> None:
        """Begin, or go on after the `lines` of metrics.jsonl.

        Args:
            name: the training's.
            skips: go on without such a step instead of stopping.
            records: step -> which records its batch holds, for people.
            lines: of metrics.jsonl.

        Raises:
            UserError: steps were left out before, and now none may be.
        """
        self._name, self._skips, self._records = name, skips, records
        self._in_a_row = next(
            (int(line.get(IN_A_ROW, 0)) for line in reversed(lines) if LEARNING_RATE in line), 0
        )
        if not skips and any(SKIPPED in line for line in lines):
            raise UserError(
                f"{name}: steps were left out before it was interrupted; set on_nonfinite to skip again to "
                "go on"
            )

    def check(
        self, first: int, names: Sequence[str], rows: np.ndarray
    ) -> tuple[np.ndarray, dict[str, float]]:
        """The rows of the steps that were taken, and what metrics.jsonl tells of the others (nothing where
        there are none).

        Args:
            first: the call's first step.
            names: of the columns.
            rows: `(steps, len(names))`.

        Raises:
            UserError: a step was left out and the training does not skip, or too many in a row were.
        """
        sound = np.isfinite(rows).all(axis=1)
        for row in np.flatnonzero(~sound):
            self._in_a_row = self._in_a_row + 1 if row == 0 or not sound[row - 1] else 1
            problem = self._describe(first + int(row), names, rows[row])
            if not self._skips:
                raise UserError(
                    f"{problem}; the checkpoint before it is whole. Lower the learning rate, warm up "
                    f"longer, look at these records, or let "
                    "such steps be left out (on_nonfinite: skip) and start again: the training goes on "
                    "from that checkpoint"
                )
            if self._in_a_row > MOST_IN_A_ROW:
                raise UserError(
                    f"{problem}; so were the {MOST_IN_A_ROW} steps before it: lower the learning rate, or "
                    "warm up longer"
                )
            LOG.warning("%s; left out, the weights stay as they were", problem)
        if sound[-1]:
            self._in_a_row = 0
        left_out = int((~sound).sum())
        return rows[sound], {SKIPPED: left_out, IN_A_ROW: self._in_a_row} if left_out else {}

    def _describe(self, step: int, names: Sequence[str], row: np.ndarray) -> str:
        figures = ", ".join(f"{name} {value:.6g}" for name, value in zip(names, row, strict=True))
        where = f" of the records {self._records(step)}" if self._records else ""
        return (
            f"{self._name}: the loss or a gradient is not a finite number at step {step + 1}{where}: "
            f"{figures}"
        )
