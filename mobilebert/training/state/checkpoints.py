"""Checkpoints: one safetensors file each, written atomically, verified on reading, the two newest kept.

A checkpoint holds tensors, its step, the fingerprint of the work, the threads that computed it, and size and
digest of the metrics file at that moment, so that metrics can be cut back to it. No TensorFlow here: tensors
are numpy arrays.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from mobilebert.errors import PassingError
from mobilebert.storage.atomic import replacing

LOG = logging.getLogger(__name__)
FORMAT = (
    4  # part of every fingerprint: raise it when a checkpoint means something else, or steps give other bits
)
KEPT = 2
METRICS = "metrics.jsonl"  # file beside them whose beginning belongs to them
NAME = re.compile(r"step-(\d{10})\.safetensors")


@dataclass(frozen=True)
class Checkpoint:
    """What was read: tensors by name, the steps done, bytes of the metrics file that belong to them,
    threads (0: not told).
    """

    step: int
    tensors: dict[str, np.ndarray]
    metrics_size: int
    threads: int = 0


class Damaged(Exception):
    """A checkpoint that must not be used; says why."""


def save(
    folder: Path,
    fingerprint: str,
    step: int,
    tensors: Mapping[str, np.ndarray],
    metrics: Path,
    threads: int = 0,
) -> Path:
    """Write the checkpoint of `step` and drop all but the two newest.

    A kill at any instruction leaves the older checkpoints and either no new one or the whole new one.

    Raises:
        PassingError: it cannot be written: a full disk.
    """
    arrays = {name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)}
    path = path_of(folder, step)
    with writing(path), replacing(path) as temporary:
        body = {
            "format": FORMAT,
            "fingerprint": fingerprint,
            "step": step,
            "threads": threads,
            "metrics": _synced(metrics),
        }
        facts = json.dumps(body, sort_keys=True)
        save_file(arrays, temporary, metadata={"facts": facts, "sha256": _digest(facts, arrays)})
    for old in steps(folder)[:-KEPT]:
        path_of(folder, old).unlink()
    return path


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say which file of a state folder cannot be written, and that nothing is lost.

    Raises:
        PassingError: the disk is full, or otherwise refuses.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise PassingError(
            f"{path}: cannot be written ({error}); the checkpoint before it is whole: make room and run again"
        ) from None


def path_of(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return folder / f"step-{step:010d}.safetensors"


def steps(folder: Path) -> list[int]:
    """The steps of the checkpoints in a folder, sorted; none where there is no folder."""
    return sorted(int(match[1]) for path in folder.glob("step-*") if (match := NAME.fullmatch(path.name)))


def newest(folder: Path, fingerprint: str, metrics: Path) -> Checkpoint | None:
    """The newest whole checkpoint, or None. Damaged ones are removed with a warning, half-written files
    without.

    Raises:
        PassingError: the system does not let one be read, which says nothing of what it holds.
    """
    for partial in folder.glob(".*.partial"):
        partial.unlink()
    for step in reversed(steps(folder)):
        path = path_of(folder, step)
        try:
            return _read(path, fingerprint, metrics)
        except Damaged as damage:
            LOG.warning("%s is not used: %s", path, damage)
            path.unlink()
        except OSError as error:
            raise PassingError(
                f"{path}: cannot be read now ({error}); nothing was removed: run again once it can, or "
                f"remove this file to go on from "
                "the checkpoint before it"
            ) from None
    return None


def _read(path: Path, fingerprint: str, metrics: Path) -> Checkpoint:
    path.open("rb").close()  # safetensors calls whatever keeps it from opening a file "No such file"
    try:
        with safe_open(path, framework="np") as stored:
            metadata = stored.metadata() or {}
            arrays = {name: stored.get_tensor(name) for name in sorted(stored.keys())}
        facts = metadata["facts"]
        body = json.loads(facts)
    except (SafetensorError, KeyError, ValueError) as error:
        raise Damaged(f"it cannot be read ({error})") from None
    if metadata.get("sha256") != _digest(facts, arrays):
        raise Damaged("its digest differs from its content")
    if body["format"] != FORMAT or body["fingerprint"] != fingerprint:
        raise Damaged("it belongs to other work")
    size, digest = body["metrics"]
    if _prefix_digest(metrics, size) != digest:
        raise Damaged(f"{metrics.name} is not what it was at that step")
    return Checkpoint(body["step"], arrays, size, body.get("threads", 0))


def _digest(facts: str, arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(facts.encode())
    for name, array in arrays.items():
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _synced(metrics: Path) -> tuple[int, str]:
    """Size and digest of the metrics file, made durable first."""
    with metrics.open("ab+") as stream:
        os.fsync(stream.fileno())
        size = stream.tell()
    return size, _prefix_digest(metrics, size)


def _prefix_digest(path: Path, size: int) -> str:
    try:
        with path.open("rb") as stream:
            data = stream.read(size)
    except FileNotFoundError:
        data = b""
    return hashlib.sha256(data).hexdigest() if len(data) == size else ""
