"""What lies in the folder or bucket of unfinished trainings, and its removal."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from mobilebert.errors import PassingError, UserError
from mobilebert.storage.locks import holder, locked
from mobilebert.training.durations import format_duration
from mobilebert.training.state import checkpoints

COLUMNS = ("RUN", "WORK", "STEP", "MB", "AGE", "IN USE BY")
SILENT_SECONDS = 86_400.0  # after which the owner of copies in a bucket is taken for dead: it cannot be asked
_NAME = re.compile(
    r"\.?.+-[0-9a-f]{12}(\.removed)?"
)  # as `workspace.open_state` makes it, or a killed `finish`


@dataclass(frozen=True)
class StoredState:
    """One unfinished training.

    Attributes:
        root: folder or `gs://bucket/prefix` of all runs.
        name: `RUN/WORK`; the latter is the training and 12 digits of its fingerprint.
        step: of the newest checkpoint, -1 without one.
        size: bytes.
        age: seconds since anything was written.
        user: who works in it, "" for nobody.
    """

    root: str
    name: str
    step: int
    size: int
    age: float
    user: str

    def row(self) -> tuple[str, ...]:
        """The cells under `COLUMNS`."""
        step, megabytes = str(self.step) if self.step >= 0 else "none", f"{self.size / 1e6:.1f}"
        return (*self.name.split("/"), step, megabytes, format_duration(self.age), self.user or "-")


def list_states(root: str) -> list[StoredState]:
    """The states below `ROOT/RUN/`, sorted.

    Raises:
        UserError: there is no such folder or bucket.
    """
    if root.startswith("gs://"):
        return _list_bucket(root.rstrip("/"))
    if not Path(root).is_dir():
        raise UserError(f"{root}: no such folder; --state names another one, or gs://bucket/prefix")
    folders = (path for path in Path(root).glob("*/*") if path.is_dir() and _NAME.fullmatch(path.name))
    return [_read_folder(root, folder) for folder in sorted(folders)]


def select_states(states: Sequence[StoredState], names: Iterable[str], age: float) -> list[StoredState]:
    """Those that one of the names means (`WORK` or `RUN/WORK`), and those older than `age` seconds.

    Raises:
        UserError: a name means none.
    """
    known = {state: {state.name, state.name.partition("/")[2]} for state in states}
    if unknown := set(names).difference(*known.values()):
        raise UserError(f"no unfinished training is called {', '.join(sorted(unknown))}; nothing was removed")
    return [state for state in states if state.age > age or known[state].intersection(names)]


def remove_state(state: StoredState) -> None:
    """Remove a state.

    Raises:
        UserError: somebody works in it, or the system or the bucket refuses.
    """
    if state.user:
        raise PassingError(f"{state.name}: in use by {state.user}")
    if state.root.startswith("gs://"):
        from mobilebert.storage.bucket import BucketStorage  # the client takes a second to import

        storage = BucketStorage(state.root, setting="--state")
        for path in sorted(storage.list(f"{state.name}/")):  # owner.json first: a machine that lives stops
            storage.delete(path)
        return
    folder = Path(state.root, state.name)
    try:
        with locked(folder):
            shutil.rmtree(folder)
    except OSError as error:
        raise PassingError(f"{folder}: {error}") from None


def _list_bucket(root: str) -> list[StoredState]:
    """Ages and sizes are the service's."""
    from mobilebert.storage.bucket import BucketStorage
    from mobilebert.training.state import remote_checkpoints as remote

    storage = BucketStorage(root, setting="--state")
    objects: dict[str, dict[str, tuple[int, float]]] = {}
    for path, (size, written) in storage.details("").items():
        run, name, *below = path.split("/", 2)
        if below and _NAME.fullmatch(name):
            objects.setdefault(f"{run}/{name}", {})[below[0]] = (size, time.time() - written.timestamp())
    states = []
    for name, files in sorted(objects.items()):
        size, age = sum(size for size, _ in files.values()), min(age for _, age in files.values())
        step = max(map(remote.step_of, remote.whole(files)), default=-1)
        owner = storage.read(f"{name}/{remote.OWNER}") if age < SILENT_SECONDS else None
        states.append(StoredState(root, name, step, size, age, remote.owner_of(owner[0]) if owner else ""))
    return states


def _read_folder(root: str, folder: Path) -> StoredState:
    stats = []
    for path in (folder, *folder.rglob("*")):
        with suppress(OSError):  # a training that is at work removes old checkpoints
            stats.append(path.stat())
    size = sum(stat.st_size for stat in stats if S_ISREG(stat.st_mode))
    age = time.time() - max((stat.st_mtime for stat in stats), default=time.time())
    step = max(checkpoints.steps(folder), default=-1)
    return StoredState(root, f"{folder.parent.name}/{folder.name}", step, size, age, holder(folder))
