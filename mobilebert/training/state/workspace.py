"""Unfinished work: a locked folder named by the fingerprint of everything that shaped it (docs/resume.md).

    with state.open_state(root, "transfer_layer-mini-layer01", state.fingerprint(...)) as work:
        loop.train(job, accelerator, work, ...)
        ...write the artifact...
        work.finish()

Same fingerprint: go on from the last whole checkpoint. Anything changed: another folder.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel

from mobilebert.storage import artifacts
from mobilebert.storage.locks import locked
from mobilebert.training.state import checkpoints

if TYPE_CHECKING:
    from mobilebert.training.state.remote_checkpoints import RemoteCheckpoints

LOG = logging.getLogger(__name__)
FINGERPRINT_DIGITS = 12


class Workspace:
    """A locked state folder: checkpoints and the metrics file of one piece of work."""

    def __init__(self, folder: Path, fingerprint: str, remote: RemoteCheckpoints | None = None) -> None:
        self.folder = folder
        self.fingerprint = fingerprint
        self.metrics = folder / checkpoints.METRICS
        self.finished = False
        self._remote = remote

    def restore(self) -> checkpoints.Checkpoint | None:
        """The newest whole checkpoint, here or in the bucket, or None for a fresh start; the metrics file
        is cut back to it.
        """
        newest = checkpoints.newest(self.folder, self.fingerprint, self.metrics)
        if self._remote:
            newest = self._remote.fetch(newer_than=newest.step if newest else -1) or newest
        with self.metrics.open("ab") as stream:
            stream.truncate(newest.metrics_size if newest else 0)
            os.fsync(stream.fileno())
        if self._remote and newest and newest.step not in self._remote.steps():
            self._send(newest.step)  # the process that wrote it may have died before it was sent
        return newest

    def save(self, step: int, tensors: Mapping[str, np.ndarray], threads: int = 0) -> None:
        """Write the checkpoint after `step` steps, made with so many threads; what `add_metrics` wrote
        before belongs to it.
        """
        checkpoints.save(self.folder, self.fingerprint, step, tensors, self.metrics, threads)
        self._send(step)

    def add_metrics(self, line: Mapping[str, Any]) -> None:
        """Append one JSON line to the metrics. Raises PassingError as `save` does."""
        with checkpoints.writing(self.metrics), self.metrics.open("ab") as stream:
            stream.write((json.dumps(line) + "\n").encode())

    def finish(self) -> None:
        """Remove the folder, and at the end of the block its copies: call it once the artifact is complete.

        It goes under another name first, so that a successor never meets half of it, and `open_state` takes
        it back if this was killed: the caller never ended then, and what it made counts for nothing.
        """
        leaving = _leaving(self.folder)
        shutil.rmtree(leaving, ignore_errors=True)
        self.folder.rename(leaving)
        shutil.rmtree(leaving)
        self.finished = True

    def _send(self, step: int) -> None:
        if self._remote:
            self._remote.send(checkpoints.path_of(self.folder, step), self.metrics.read_bytes())


def fingerprint(
    command: str,
    settings: Mapping[str, Any],
    inputs: Mapping[str, Path | str],
    environment: Mapping[str, Any],
) -> str:
    """SHA-256 of everything that shapes the work: command, settings, the inputs' manifests, the device, the
    checkpoint format.

    Args:
        command: the command's name and what else tells its jobs apart.
        settings: what it received, JSON values or settings sections (`settings.parse`).
        inputs: role -> artifact directory.
        environment: what computes (`Accelerator.environment`): another device or TensorFlow gives other
            numbers, and work that began on one must not end on another.

    Raises:
        ArtifactError: when an input has no manifest.
    """
    body = {
        "command": command,
        "settings": dict(settings),
        "inputs": {role: artifacts.digest(folder) for role, folder in inputs.items()},
        "environment": dict(environment),
        "format": checkpoints.FORMAT,
    }
    return hashlib.sha256(
        json.dumps(body, ensure_ascii=False, sort_keys=True, default=_plain).encode()
    ).hexdigest()


@contextmanager
def open_state(root: Path | str, name: str, fingerprint: str, *, bucket: str = "") -> Iterator[Workspace]:
    """The locked state folder `ROOT/NAME-<12 digits>/`, made if absent; it stays (for resuming) unless
    `finish` was called.

    Args:
        root: the folder of all unfinished work.
        name: of this training.
        fingerprint: of all that shapes it (`fingerprint`).
        bucket: `gs://bucket/prefix` that holds copies of the checkpoints, or "".

    Raises:
        PassingError: when another process uses it, naming that one.
    """
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
        raise ValueError(f"'{name}' cannot name a state folder")
    folder = Path(root) / f"{name}-{fingerprint[:FINGERPRINT_DIGITS]}"
    if not folder.exists():
        with suppress(FileNotFoundError):
            _leaving(folder).rename(folder)
    if not folder.exists():
        _tell_others(folder.parent, name)
    with locked(folder):
        if not bucket:
            yield Workspace(folder, fingerprint)
            return
        from mobilebert.training.state.remote_checkpoints import (
            RemoteCheckpoints,
        )  # the client takes a second to import

        remote = RemoteCheckpoints(bucket, folder, fingerprint)
        state = Workspace(folder, fingerprint, remote)
        try:
            yield state
        finally:
            remote.close(finished=state.finished)


def _tell_others(root: Path, name: str) -> None:
    """Say which folders hold checkpoints of this work that are not gone on from, lest days of it are
    missed and nobody knows why.
    """
    for other in sorted(root.glob(f"{name}-" + "[0-9a-f]" * FINGERPRINT_DIGITS)):
        if checkpoints.steps(other):
            LOG.info(
                "%s: not gone on from, since its settings, inputs, device, TensorFlow or format of "
                "checkpoints are others; this starts "
                "from the beginning",
                other,
            )


def _leaving(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.removed")


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    raise TypeError(f"{type(value).__name__} does not belong in a fingerprint")
