"""What a checkpoint of a training holds, and how it gets there and back."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from mobilebert.errors import UserError
from mobilebert.training.state.workspace import Workspace

LOG = logging.getLogger(__name__)
WEIGHTS, BEST = "variables/", "best/"  # what names of tensors in a checkpoint begin with


class TrainState:
    """The optimizer's tensors and, where they are to be kept, the weights of the best measure.

    Both lie in one file, so that a kill at any moment can neither lose nor mix them.
    """

    def __init__(self, tensors: dict[str, tf.Variable], state: Workspace, threads: int) -> None:
        """Take the tensors by name, the folder, and the number of threads that compute."""
        self._tensors, self._state, self._threads = tensors, state, threads
        self._best: dict[str, np.ndarray] = {}
        self._saved: int | None = None

    def restore(self, start: int, moments: Mapping[str, np.ndarray]) -> int:
        """Load the newest checkpoint, or `moments` where there is none; returns the next step, `start`
        without a checkpoint.

        Warns if another number of threads made the checkpoint.

        Raises:
            UserError: it holds other tensors.
        """
        checkpoint = self._state.restore()
        if checkpoint is None:
            for name, values in moments.items():
                self._tensors[name].assign(values)
            return start
        self._best = {
            name.removeprefix(BEST): array
            for name, array in checkpoint.tensors.items()
            if name.startswith(BEST)
        }
        expected = {name: tuple(variable.shape) for name, variable in self._tensors.items()}
        stored = {
            name: array.shape for name, array in checkpoint.tensors.items() if not name.startswith(BEST)
        }
        if stored != expected:
            conflicts = sorted(
                name for name in stored.keys() | expected.keys() if stored.get(name) != expected.get(name)
            )
            raise UserError(
                f"{self._state.folder}: its checkpoint was written by another version of the program (it "
                f"differs in {', '.join(conflicts[:3])}, {len(conflicts)} tensors in all); remove that "
                "folder to train from the start"
            )
        for name, variable in self._tensors.items():
            variable.assign(checkpoint.tensors[name])
        LOG.info("resuming from step %d", checkpoint.step)
        if checkpoint.threads != self._threads:
            LOG.warning(
                "the checkpoint was computed with %d threads, these are %d: sums may round differently "
                "from here on, so the result need "
                "not be bit for bit that of an unbroken training",
                *(checkpoint.threads, self._threads),
            )
        self._saved = checkpoint.step
        return checkpoint.step

    def arrays(self) -> dict[str, np.ndarray]:
        """The tensors as they are, by name."""
        return {name: variable.numpy() for name, variable in self._tensors.items()}

    def save(self, step: int) -> None:
        """Write the checkpoint after `step` steps, unless it is there."""
        if step != self._saved:
            self._state.save(
                step,
                self.arrays() | {BEST + name: array for name, array in self._best.items()},
                self._threads,
            )
            LOG.info("checkpoint at step %d", step)
            self._saved = step

    def note_best(self) -> None:
        """The weights as they are now are the best."""
        self._best = {name: array for name, array in self.arrays().items() if name.startswith(WEIGHTS)}

    def keep_best(self) -> bool:
        """Put the best weights in place of the last ones, if there are any."""
        for name, array in self._best.items():
            self._tensors[name].assign(array)
        return bool(self._best)
