"""Machines that train one thing and keep its checkpoints in one loopback bucket."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np

from mobilebert.training.state import workspace
from mobilebert.training.state.workspace import Workspace
from tests.loopback_gcs import LoopbackGcs

PRINT = "12" * 32
BELOW = f"prefix/run/job-{PRINT[:12]}/"


def machine(root: Path, fingerprint: str = PRINT) -> AbstractContextManager[Workspace]:
    return workspace.open_state(root, "job", fingerprint, bucket="gs://states/prefix/run")


def tensors(step: int) -> dict[str, np.ndarray]:
    return {"weights": np.full(1000, step, np.float32)}


def train(work: Workspace, *steps: int) -> None:
    for step in steps:
        work.add_metrics({"step": step})
        work.save(step, tensors(step))


def train_and_wait(gcs: LoopbackGcs, work: Workspace, *steps: int) -> None:
    """Each checkpoint is whole in the bucket, and the older ones removed, before the next one is made."""
    for step in steps:
        train(work, step)
        work._remote._sending.result(30)
        assert step in marked(gcs)


def restored(root: Path) -> int | None:
    """The step that a machine goes on from."""
    with machine(root) as work:
        checkpoint = work.restore()
    return checkpoint.step if checkpoint else None


def objects(gcs: LoopbackGcs) -> list[str]:
    return sorted(name.removeprefix(BELOW) for name in list(gcs.buckets["states"]) if name.startswith(BELOW))


def marked(gcs: LoopbackGcs) -> list[int]:
    return [int(name[5:15]) for name in objects(gcs) if name.endswith("/complete.json")]


def object_name(gcs: LoopbackGcs, step: int, file: str) -> str:
    (name,) = (name for name in objects(gcs) if name.startswith(f"step-{step:010d}") and name.endswith(file))
    return BELOW + name


def wait_for(condition: Callable[[], object]) -> None:
    while not condition():
        time.sleep(0.005)
