"""Unfinished work: a locked folder named by the fingerprint of everything that shaped it (docs/resume.md).

    with state.open(root, "transfer_layer-mini-layer01", state.fingerprint(...)) as work:
        loop.train(job, accelerator, work, ...)
        ...write the artefact...
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
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel

from mobilebert.storage import artifacts
from mobilebert.storage.locks import LOCK, locked
from mobilebert.training import checkpoints

if TYPE_CHECKING:
    from mobilebert.training.copies import Copies

LOG = logging.getLogger(__name__)
METRICS = "metrics.jsonl"
WORK = "work.json"
OF_THIS_MACHINE = {LOCK, WORK, "owner"}  # files of a state folder that no checkpoint takes along
# Options that shape nothing.
WHERE = {"out", "log", "threads", "state", "state_bucket", "checkpoint_seconds", "teacher_states_gb", "on_nonfinite"}
FINGERPRINT_DIGITS = 12


class State:
    """A locked state folder: checkpoints and the metrics file of one piece of work."""

    def __init__(self, folder: Path, fingerprint: str, copies: Copies | None = None) -> None:
        self.folder = folder
        self.fingerprint = fingerprint
        self.metrics = folder / METRICS
        self._copies = copies

    def restore(self) -> checkpoints.Checkpoint | None:
        """The newest whole checkpoint, here or in the bucket, or None for a fresh start; the metrics file is cut back to it."""
        found = checkpoints.newest(self.folder, self.fingerprint, self.metrics)
        fetched = None
        while self._copies and (fetched := self._copies.fetch(newer_than=found.step if found else -1)) is not None:
            found = checkpoints.newest(self.folder, self.fingerprint, self.metrics)
            if found and found.step == fetched:
                break
            self._copies.discard(fetched, "it was damaged before it was sent")
        with self.metrics.open("ab") as stream:
            stream.truncate(found.metrics_size if found else 0)
            os.fsync(stream.fileno())
        if found and fetched is None:
            self._copy(found.step)  # the process that wrote it may have died before it was sent
        return found

    def save(self, step: int, tensors: Mapping[str, np.ndarray], threads: int = 0) -> None:
        """Write the checkpoint after `step` steps, made with so many threads; what `add_metrics` wrote before belongs to it."""
        checkpoints.save(self.folder, self.fingerprint, step, tensors, self.metrics, threads)
        self._copy(step)

    def add_metrics(self, line: Mapping[str, Any]) -> None:
        """Append one JSON line to the metrics. Raises PassingError as `save` does."""
        with checkpoints.writing(self.metrics), self.metrics.open("ab") as stream:
            stream.write((json.dumps(line) + "\n").encode())

    def finish(self) -> None:
        """Remove the folder and its copies: call it once the artefact is complete.

        It goes under another name first, so that a successor never meets half of it, and `open` takes it back if this was killed:
        the caller never ended then, and what it made counts for nothing.
        """
        if self._copies is not None:
            self._copies.remove()
        leaving = _leaving(self.folder)
        shutil.rmtree(leaving, ignore_errors=True)
        self.folder.rename(leaving)
        shutil.rmtree(leaving)

    def _copy(self, step: int) -> None:
        """Let the files that belong to the checkpoint at `step` be sent: itself, the metrics, whatever else the training keeps here."""
        if self._copies is None:
            return
        mine = checkpoints.path_of(self.folder, step).name
        found = {path.name: path.stat().st_size for path in self.folder.iterdir() if path.is_file() and not path.name.startswith(".")}
        kept = {
            name: size for name, size in found.items() if name not in OF_THIS_MACHINE and (name == mine or not name.startswith("step-"))
        }
        self._copies.send(step, kept)


def describe(command: str, options: Namespace, inputs: Mapping[str, Path | str]) -> dict[str, Any]:
    """What work.json says, for `scripts.list_state`: the command line, but for what only says where and how fast, and the inputs."""
    found = {role: {"folder": str(folder), "manifest": artifacts.digest(folder)} for role, folder in inputs.items()}
    return {"format": checkpoints.FORMAT, "command": command, "options": described(options), "inputs": found}


def described(options: Namespace) -> dict[str, Any]:
    """The options of a command line that shape what comes out, as JSON values."""
    return {name: _text(value) for name, value in vars(options).items() if name not in WHERE}


def without_paths(body: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without the place of a given student, which is not part of what it is: its digests stand among a job's arguments."""
    return {name: {key: one for key, one in value.items() if key != "from"} if name == "student" else value for name, value in body.items()}


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
def open(
    root: Path | str, name: str, fingerprint: str, *, bucket: str | None = None, work: Mapping[str, Any] | None = None
) -> Iterator[State]:
    """The locked state folder `ROOT/NAME-<12 digits>/`, made if absent; it stays (for resuming) unless `finish` was called.

    Args:
        root: the folder of all unfinished work.
        name: of this piece of it.
        fingerprint: of all that shapes it (`fingerprint`).
        bucket: `gs://bucket/prefix` that holds copies of the checkpoints.
        work: what `describe` says, for `scripts.list_state`.

    Raises:
        PassingError: when another process or machine uses it, naming that one.
    """
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
        raise ValueError(f"'{name}' cannot name a state folder")
    folder = Path(root) / f"{name}-{fingerprint[:FINGERPRINT_DIGITS]}"
    told = {"name": name, "fingerprint": fingerprint, **(work or {})}
    if not folder.exists():
        with suppress(FileNotFoundError):
            _leaving(folder).rename(folder)
    if not folder.exists():
        _tell_others(folder.parent, name)
    with locked(folder):
        artifacts.write_atomically(folder / WORK, (json.dumps(told, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode())
        if not bucket:
            yield State(folder, fingerprint)
            return
        from mobilebert.training.copies import Copies  # the client takes a second to import

        copies = Copies(bucket, folder, fingerprint)
        copies.open(told)
        try:
            yield State(folder, fingerprint, copies)
        finally:
            copies.close()


def _tell_others(root: Path, name: str) -> None:
    """Say which folders hold checkpoints of this work that are not gone on from, lest days of it are missed and nobody knows why."""
    for other in sorted(root.glob(f"{name}-" + "[0-9a-f]" * FINGERPRINT_DIGITS)):
        if checkpoints.steps(other):
            LOG.info(
                "%s: not gone on from, since its settings, inputs, device, TensorFlow or format of checkpoints are others; this starts "
                "from the beginning (python -m scripts.list_state tells what differs)",
                other,
            )


def _leaving(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.removed")


def _text(value: Any) -> Any:
    return [_text(one) for one in value] if isinstance(value, list) else str(value) if isinstance(value, Path) else value


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    raise TypeError(f"{type(value).__name__} does not belong in a fingerprint")
