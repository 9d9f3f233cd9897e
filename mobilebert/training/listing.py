"""What lies in the folder or bucket of unfinished work, and whether anything would still go on with it.

A state is reachable if the given settings have a job with the same command line (but for what only says where; an input may lie in
another place, as with another storage) whose inputs are what they were: then that job computes the same fingerprint, on the same kind of
device with the same TensorFlow. Device and TensorFlow are another machine's matter and not judged; nor are the states of other runs,
whose settings were not given.
"""

from __future__ import annotations

import json
import re
import shutil
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import Any

from mobilebert.errors import PassingError, UserError
from mobilebert.storage import artifacts
from mobilebert.storage.locks import holder, locked
from mobilebert.training import checkpoints
from mobilebert.training.state import WORK, without_paths

REACHABLE, UNREACHABLE, UNKNOWN = "reachable", "unreachable", "unknown"
_REMOVED = re.compile(r"^\.(.+)\.removed$")


@dataclass(frozen=True)
class Found:
    """One state.

    Attributes:
        place: the folder, or its address in the bucket.
        run: whose it is.
        name: the work and 12 digits of its fingerprint.
        step: of the newest checkpoint, -1 without one.
        size: bytes.
        age: seconds since anything was written.
        holder: who works in it, "" for nobody.
        work: what its work.json says, None without one.
    """

    place: str
    run: str
    name: str
    step: int
    size: int
    age: float
    holder: str
    work: Mapping[str, Any] | None


@dataclass(frozen=True)
class Wanted:
    """A training that the given settings ask for: its command, its command line by option, the folder of its states."""

    command: str
    options: Mapping[str, Any]
    state: str


def in_folder(root: Path) -> list[Found]:
    """The states below `ROOT/RUN/`, sorted.

    Raises:
        UserError: there is no such folder.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder, so no unfinished work lies there; --state names another one, or gs://bucket/prefix")
    return [_of_folder(path) for path in sorted(root.glob("*/*")) if path.is_dir()]


def in_bucket(where: str) -> list[Found]:
    """The copies of states below `gs://bucket/prefix/RUN/`, sorted; ages and sizes as the service tells them."""
    from mobilebert.storage import lease  # the client takes a second to import
    from mobilebert.storage.bucket import BucketStorage

    storage = BucketStorage(where, setting="--state")
    groups: dict[tuple[str, str], dict[str, tuple[int, float]]] = {}
    for path, (size, written) in storage.details("").items():
        run, name, *below = path.split("/")
        if below:
            groups.setdefault((run, name), {})["/".join(below)] = (size, time.time() - written.timestamp())
    found = []
    for (run, name), objects in sorted(groups.items()):
        if WORK not in objects:
            continue  # somebody else's objects
        silent = objects[lease.OBJECT][1] if lease.OBJECT in objects else lease.STALE_SECONDS
        held = storage.read(f"{run}/{name}/{lease.OBJECT}") if silent < lease.STALE_SECONDS else None
        told = storage.read(f"{run}/{name}/{WORK}")
        steps = [int(path[5:15]) for path in objects if re.fullmatch(r"step-\d{10}\.json", path)]
        sizes, ages = zip(*objects.values(), strict=True)
        who = lease.told(held[0])["who"] if held else ""
        work = _work(told[0]) if told else None
        found.append(Found(f"{storage.where}/{run}/{name}", run, name, max(steps, default=-1), sum(sizes), min(ages), who, work))
    return found


def verdict(found: Found, wanted: Sequence[Wanted]) -> tuple[str, str]:
    """`REACHABLE`, `UNREACHABLE` or `UNKNOWN`, and why."""
    if _REMOVED.match(found.name) and found.work is None:  # else `state.open` takes it back: its work never ended
        return UNREACHABLE, "its work was finished"
    if found.run not in {Path(one.state).name for one in wanted}:
        return UNKNOWN, f"the settings of run {found.run} were not given"
    if found.work is None or not {"format", "command", "options", "inputs"} <= found.work.keys():
        return UNKNOWN, f"it holds no {WORK}"
    if found.work["format"] != checkpoints.FORMAT:
        return UNREACHABLE, "its checkpoints have another format"
    apart = [_apart(found.work, one) for one in wanted if one.command == found.work["command"]]
    if [] not in apart:
        unsure = next((names for names in apart if names), None)
        if unsure:
            return UNKNOWN, f"a job has its settings, but reads elsewhere, where nothing lies: {', '.join(unsure)}"
        return UNREACHABLE, "no job has its settings"
    changed, absent = [], []
    for role, told in sorted(found.work["inputs"].items()):
        if not artifacts.exists(told["folder"]):
            absent.append(role)
        elif artifacts.digest(told["folder"]) != told["manifest"]:
            changed.append(role)
    if changed:
        return UNREACHABLE, f"changed input: {', '.join(changed)}"
    return REACHABLE, f"if it comes out the same: {', '.join(absent)}" if absent else ""


def remove(found: Found) -> str:
    """Remove a state, unless somebody works in it; says what kept it, or ""."""
    if found.place.startswith("gs://"):
        return _remove_from_bucket(found)
    folder = Path(found.place)
    try:
        with locked(folder):
            leaving = folder if _REMOVED.match(folder.name) else folder.with_name(f".{folder.name}.removed")
            if leaving != folder:
                shutil.rmtree(leaving, ignore_errors=True)
                folder.rename(leaving)
            shutil.rmtree(leaving)
    except (PassingError, OSError) as error:  # held; or a folder of another user's
        return str(error)
    return ""


def spoken(seconds: float) -> str:
    """An age for people: "45 s", "12 min", "3.5 h", "2.0 d"."""
    for unit, length, most in (("s", 1, 90), ("min", 60, 5400), ("h", 3600, 129_600)):
        if seconds < most:
            return f"{seconds / length:.{int(unit == 'h')}f} {unit}"
    return f"{seconds / 86_400:.1f} d"


def _remove_from_bucket(found: Found) -> str:
    from mobilebert.storage.bucket import BucketStorage
    from mobilebert.storage.lease import Lease
    from mobilebert.training import copies

    where, _, name = found.place.rpartition("/")
    storage = BucketStorage(where, setting="--state")
    lease = Lease(BucketStorage(where, setting="--state"), name, f"list_state-{uuid.uuid4().hex}")
    try:
        lease.acquire()
    except PassingError as error:
        return str(error)
    copies.remove(storage, name)
    lease.release()
    return ""


def _of_folder(folder: Path) -> Found:
    stats = []
    for path in (folder, *folder.rglob("*")):
        with suppress(OSError):  # a training that is at work removes old checkpoints
            stats.append(path.stat())
    try:
        work = _work((folder / WORK).read_bytes())
    except OSError:
        work = None
    # What waits for being sent is a second name of its file.
    size = sum({stat.st_ino: stat.st_size for stat in stats if S_ISREG(stat.st_mode)}.values())
    age = time.time() - max((stat.st_mtime for stat in stats), default=time.time())
    return Found(str(folder), folder.parent.name, folder.name, max(checkpoints.steps(folder), default=-1), size, age, holder(folder), work)


def _work(told: bytes) -> Mapping[str, Any] | None:
    """What a work.json says; None where it cannot be read."""
    try:
        body = json.loads(told)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _apart(work: Mapping[str, Any], wanted: Wanted) -> list[str] | None:
    """The options by which a job reads inputs of this work in another place, where nothing lies yet; None: it is other work."""
    inputs, found = {told["folder"]: told["manifest"] for told in work["inputs"].values()}, []
    for name in sorted(work["options"].keys() & wanted.options.keys()):
        one, other = work["options"][name], wanted.options[name]
        if _plain(one) == _plain(other):
            continue
        place, elsewhere = (value[0] if isinstance(value, list) and value else value for value in (one, other))
        if not (isinstance(place, str) and isinstance(elsewhere, str) and place in inputs):
            return None
        if not artifacts.exists(elsewhere):
            found.append(name)
        elif artifacts.digest(elsewhere) != inputs[place]:
            return None
    return found


def _plain(value: Any) -> Any:
    """Settings are JSON text, whose order of keys says nothing, nor do the places in it."""
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value
    return without_paths(found) if isinstance(found, dict) else found
