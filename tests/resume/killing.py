"""Kills the training it runs in, at a named place: the tests append `arm()` to the commands of a clone
(`test_resume_kills.py`).

MOBILEBERT_KILL is JSON: `stage` (a text in the command's `--out`), `phase` (a key of `PHASES`), `call` (at
which call of the patched function, from 1), `share` (where in it, 0 to 1), `after_upload` (count calls only
once a checkpoint is in the bucket), `name` and `hits` (a file that gets the name just before the end).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

KILL = "MOBILEBERT_KILL"
MARKER = "/complete.json"  # of a checkpoint in a bucket


def arm() -> None:
    """Patch the place, if this process is the one that shall die and did not die before."""
    kill_order = json.loads(os.environ.get(KILL, "null"))
    if (
        not kill_order
        or "--state" not in sys.argv
        or not sys.argv[sys.argv.index("--out") + 1].endswith(kill_order["stage"])
    ):
        return
    hits = Path(kill_order["hits"])
    if not (hits.is_file() and kill_order["name"] in hits.read_text().split()):
        PHASES[kill_order["phase"]](Death(kill_order))


class Death:
    """Comes at a call of a function."""

    def __init__(self, kill_order: dict[str, Any]) -> None:
        self._told, self._calls, self.share, self.signal = kill_order, 0, kill_order["share"], signal.SIGKILL
        self._waits = threading.Event()
        if kill_order["after_upload"]:
            self._until_a_checkpoint_is_up()
        else:
            self._waits.set()

    def _until_a_checkpoint_is_up(self) -> None:
        from mobilebert.storage.bucket import BucketStorage

        real = BucketStorage.create

        def patched(storage: Any, name: str, payload: Any) -> bool:
            made = real(storage, name, payload)
            if name.endswith(MARKER):
                self._waits.set()
            return made

        BucketStorage.create = patched  # type: ignore[method-assign]

    def now(self) -> None:
        """Write down that it came, and come."""
        with Path(self._told["hits"]).open("a") as stream:
            stream.write(self._told["name"] + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        os.kill(os.getpid(), self.signal)

    def due(self) -> bool:
        """Count a call; whether it is the one."""
        self._calls += self._waits.is_set()
        return self._waits.is_set() and self._calls == self._told["call"]

    def during(self, owner: Any, name: str) -> None:
        """Come while the function runs, after a share of the time that its last call took (0.2 s if it is
        the first).
        """
        real, took, started = getattr(owner, name), [0.2], []

        def patched(*arguments: Any, **named: Any) -> Any:
            running = [True]

            def come() -> None:
                time.sleep(took[0] * self.share * 0.9)
                if running[0]:
                    self.now()

            if self.due() or started:
                started.append(threading.Thread(target=come, daemon=True))
                started[-1].start()
            began = time.monotonic()
            try:
                return real(*arguments, **named)
            finally:
                running[0] = False  # it was faster this time: the next call is the one
                took[0] = time.monotonic() - began

        setattr(owner, name, patched)

    def around(self, owner: Any, name: str, *, after: bool) -> None:
        """Come just before the function, or just after it."""
        real = getattr(owner, name)

        def patched(*arguments: Any, **named: Any) -> Any:
            due = self.due()
            if due and not after:
                self.now()
            result = real(*arguments, **named)
            if due:
                self.now()
            return result

        setattr(owner, name, patched)


def _step(death: Death) -> None:
    from mobilebert.training.steps import Steps

    death.during(Steps, "run")


def _preempted(death: Death) -> None:
    """SIGTERM, as a machine gives notice."""
    death.signal = signal.SIGTERM
    _step(death)


def _checkpoint_write(death: Death) -> None:
    """Half of the file is written."""
    from mobilebert.training.state import checkpoints

    real = checkpoints.save_file

    def patched(arrays: Any, path: Path, **named: Any) -> None:
        real(arrays, path, **named)
        if death.due():
            os.truncate(path, int(Path(path).stat().st_size * death.share))
            death.now()

    checkpoints.save_file = patched


def _checkpoint_rotation(death: Death) -> None:
    """The new one has its name, the oldest is still there."""
    from mobilebert.training.state import checkpoints

    real = checkpoints.replacing

    @contextmanager
    def patched(path: Path, **named: Any) -> Iterator[Path]:
        due = death.due()
        with real(path, **named) as temporary:
            yield temporary
        if due:
            death.now()

    checkpoints.replacing = patched


def _upload(death: Death) -> None:
    """Some chunks of a file are sent, the others are not."""
    from google.cloud.storage import blob

    from mobilebert.storage import bucket

    chunk = 256 * 1024  # the smallest that Cloud Storage takes

    class Dying:
        def __init__(self, stream: BinaryIO, alive: float) -> None:
            self._stream, self._alive = stream, alive

        def read(self, size: int = -1) -> bytes:
            if self._stream.tell() >= self._alive > 0:
                death.now()
            return self._stream.read(size)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._stream, name)

        def __enter__(self) -> Dying:
            return self

        def __exit__(self, *_: object) -> None:
            self._stream.close()

    real = bucket.BucketStorage.create
    bucket.RESUMABLE = blob._MAX_MULTIPART_SIZE = chunk

    def patched(storage: Any, name: str, payload: Any) -> bool:
        if payload.size > 2 * chunk and death.due():
            storage._chunk, opened = chunk, payload.open
            payload = replace(
                payload, open=lambda: Dying(opened(), max(1.0, payload.size * death.share - chunk))
            )
        return real(storage, name, payload)

    bucket.BucketStorage.create = patched  # type: ignore[method-assign]


def _upload_marker(death: Death) -> None:
    """All files of a checkpoint are in the bucket, the marker is not."""
    from mobilebert.storage.bucket import BucketStorage

    real = BucketStorage.create

    def patched(storage: Any, name: str, payload: Any) -> bool:
        if name.endswith(MARKER) and death.due():
            death.now()
        return real(storage, name, payload)

    BucketStorage.create = patched  # type: ignore[method-assign]


def _fetch(death: Death) -> None:
    """A checkpoint is on its way from the bucket."""
    from mobilebert.storage.bucket import BucketStorage

    death.around(BucketStorage, "fetch", after=True)


def _opening(death: Death) -> None:
    """Nothing has happened yet but the lock."""
    from mobilebert.training.state import workspace

    death.around(workspace.Workspace, "restore", after=False)


def _measure(death: Death) -> None:
    """On held-out data, while it trains."""
    from mobilebert.training.evaluation import Curve

    death.during(Curve, "measure")


def _best(death: Death) -> None:
    """The best weights so far are known, and in no checkpoint yet."""
    from mobilebert.training.state.train_state import TrainState

    death.around(TrainState, "note_best", after=True)


def _evaluation(death: Death) -> None:
    """Of the model that is to be written."""
    from mobilebert.distillation.runs import TrainingRun

    death.during(TrainingRun, "measure")


def _artifact(death: Death) -> None:
    """The weights are written, the manifest is not."""
    from mobilebert.models.checkpoints import weights

    death.around(weights, "save", after=True)


def _finish(death: Death) -> None:
    """The artifact is whole, the state is still there."""
    from mobilebert.training.state import workspace

    death.around(workspace.Workspace, "finish", after=False)


def _removal(death: Death) -> None:
    """The state has left its name and is not yet removed: Snakemake never heard of the artifact, which is
    made again.
    """
    from mobilebert.training.state import workspace

    real = workspace.shutil.rmtree

    def patched(path: Any, *arguments: Any, **named: Any) -> None:
        if str(path).endswith(".removed") and Path(path).is_dir():
            death.now()
        real(path, *arguments, **named)

    workspace.shutil.rmtree = patched


PHASES: dict[str, Callable[[Death], None]] = {
    "opening": _opening,
    "step": _step,
    "preempted": _preempted,
    "checkpoint-write": _checkpoint_write,
    "checkpoint-rotation": _checkpoint_rotation,
    "upload": _upload,
    "upload-marker": _upload_marker,
    "fetch": _fetch,
    "measure": _measure,
    "best": _best,
    "evaluation": _evaluation,
    "artifact": _artifact,
    "finish": _finish,
    "removal": _removal,
}
