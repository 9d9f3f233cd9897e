"""Unfinished work: a locked folder named by the fingerprint of everything that shaped it (`design.md` section 3).

    with state.open(root, "transfer_layer-mini-layer01", state.fingerprint(...)) as work:
        loop.train(job, accelerator, work, ...)
        ...write the artefact...
        work.finish()

Same fingerprint: go on from the last whole checkpoint. Anything changed: another folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from mobilebert import artifacts
from mobilebert.locks import locked
from mobilebert.training import checkpoints

METRICS = "metrics.jsonl"
FINGERPRINT_DIGITS = 12


class State:
    """A locked state folder: checkpoints and the metrics file of one piece of work."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder = folder
        self.fingerprint = fingerprint
        self.metrics = folder / METRICS

    def restore(self) -> checkpoints.Checkpoint | None:
        """The newest whole checkpoint, or None for a fresh start; the metrics file is cut back to it."""
        found = checkpoints.newest(self.folder, self.fingerprint, self.metrics)
        with self.metrics.open("ab") as stream:
            stream.truncate(found.metrics_size if found else 0)
            os.fsync(stream.fileno())
        return found

    def save(self, step: int, tensors: Mapping[str, np.ndarray], threads: int = 0) -> None:
        """Write the checkpoint after `step` steps, made with so many threads; what `add_metrics` wrote before belongs to it."""
        checkpoints.save(self.folder, self.fingerprint, step, tensors, self.metrics, threads)

    def add_metrics(self, line: Mapping[str, Any]) -> None:
        """Append one JSON line to the metrics."""
        with self.metrics.open("ab") as stream:
            stream.write((json.dumps(line) + "\n").encode())

    def finish(self) -> None:
        """Remove the folder: call it once the artefact is complete.

        It goes under another name first, so that a kill or a successor never meets half of it.
        """
        leaving = self.folder.with_name(f".{self.folder.name}.removed")
        shutil.rmtree(leaving, ignore_errors=True)
        self.folder.rename(leaving)
        shutil.rmtree(leaving)


def fingerprint(command: str, settings: Mapping[str, Any], inputs: Mapping[str, Path | str], environment: Mapping[str, Any]) -> str:
    """SHA-256 of everything that shapes the work: command, settings, the inputs' manifests, the device, the checkpoint format.

    Args:
        command: the command's name and what else tells its jobs apart.
        settings: what it received, JSON values or settings sections (`settings.from_json`).
        inputs: role -> artefact directory.
        environment: what computes (`Accelerator.environment`): another device or TensorFlow gives other numbers, and work that
            began on one must not end on another.

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
    return hashlib.sha256(json.dumps(body, ensure_ascii=False, sort_keys=True, default=_plain).encode()).hexdigest()


@contextmanager
def open(root: Path | str, name: str, fingerprint: str) -> Iterator[State]:
    """The locked state folder `ROOT/NAME-<12 digits>/`, made if absent; it stays (for resuming) unless `finish` was called.

    Raises:
        UserError: when another process uses it, naming that process.
    """
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
        raise ValueError(f"'{name}' cannot name a state folder")
    folder = Path(root) / f"{name}-{fingerprint[:FINGERPRINT_DIGITS]}"
    with locked(folder):
        yield State(folder, fingerprint)


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    raise TypeError(f"{type(value).__name__} does not belong in a fingerprint")
