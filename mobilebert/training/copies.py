"""Copies of checkpoints in a bucket, so that another machine can go on: sent in the background, whole or not used, rotated.

Below `gs://bucket/prefix/RUN/NAME-<12 digits>/` lie `files/SHA256`, the content of the state folder's files; `step-N.json`, which
names the files of a checkpoint and comes after them; `work.json`; and the lease of the machine that is at work. Files are never
replaced (their name is their digest), and what did not change between two checkpoints is not sent again.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mobilebert.errors import CorruptedError, PassingError, UserError
from mobilebert.storage.artifacts import sha256
from mobilebert.storage.atomic import sync as sync_folder
from mobilebert.storage.bucket import BucketStorage
from mobilebert.storage.lease import OBJECT as LEASE
from mobilebert.storage.lease import Lease
from mobilebert.storage.objects import Payload, of_bytes, of_file
from mobilebert.training.state import WORK

LOG = logging.getLogger(__name__)
Files = Mapping[str, Mapping[str, Any]]  # of a checkpoint, by name: their size and digest
FORMAT = 1
KEPT = 2
SETTING = "state_bucket"
RETRY_SECONDS = 30.0
LAST_ATTEMPTS = 3
OUTGOING = ".outgoing"  # folder of links to files that wait for being sent, so that rotation and replacement do not touch them


class Copies:
    """The copies of one state folder. One thread sends; the training never waits for it."""

    def __init__(self, where: str, folder: Path, fingerprint: str) -> None:
        """Nothing is asked for yet.

        Args:
            where: `gs://bucket/prefix/RUN`.
            folder: the locked local state folder; its name names the copies.
            fingerprint: of the work.
        """
        self._storage = BucketStorage(where, setting=SETTING)
        self._folder, self._fingerprint = folder, fingerprint
        self._lease = Lease(BucketStorage(where, setting=SETTING), folder.name, _owner(folder))
        self._waiting: dict[int, dict[str, int]] = {}  # step -> name of a file -> size at that step; the newest, and the one that is sent
        self._sending = -1
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._send_all, name="copies", daemon=True)
        shutil.rmtree(folder / OUTGOING, ignore_errors=True)

    def open(self, work: Mapping[str, Any]) -> None:
        """Take the lease and begin to send; `work` is what `work.json` says.

        Raises:
            UserError: no permission, no such bucket; or another machine is at this work.
        """
        self._lease.acquire()
        try:
            self._storage.create(f"{self._folder.name}/{WORK}", of_bytes(_json(work)))
        except UserError:
            self._lease.release()
            raise
        self._thread.start()

    def fetch(self, newer_than: int) -> int | None:
        """Bring the newest whole checkpoint after that step into the local folder; its step; None: there is none. Damaged ones go."""
        markers = self._markers()
        for step in sorted(markers, reverse=True):
            if step <= newer_than:
                return None
            try:
                self._fetch(markers[step])
            except _Damaged as damage:
                self.discard(step, str(damage))
                continue
            LOG.info("fetched the checkpoint at step %d from %s/%s", step, self._storage.where, self._folder.name)
            return step
        return None

    def discard(self, step: int, why: str) -> None:
        """Let a checkpoint count no longer; rotation removes its files."""
        LOG.warning("%s/%s is not used: %s", self._storage.where, self._marker(step), why)
        self._storage.delete(self._marker(step))

    def send(self, step: int, files: Mapping[str, int]) -> None:
        """Let a checkpoint be sent; one that waits for its turn is given up for it.

        Args:
            step: of the checkpoint.
            files: names in the folder -> their size now; they may be replaced or appended to from here on, not changed.

        Raises:
            PassingError: another machine has taken this work over.
        """
        if self._lease.lost:
            raise PassingError(f"{self._storage.where}/{self._folder.name}: {self._lease.lost} has taken over this work; it ends here")
        outgoing = self._folder / OUTGOING / str(step)
        outgoing.mkdir(parents=True, exist_ok=True)
        for name in files:
            (outgoing / name).unlink(missing_ok=True)
            try:
                os.link(self._folder / name, outgoing / name)
            except OSError:  # a file system without links
                shutil.copyfile(self._folder / name, outgoing / name)
        with self._changed:
            for given_up in self._waiting.keys() - {self._sending, step}:
                self._drop(given_up)
            self._waiting[step] = dict(files)
            self._changed.notify()

    def remove(self) -> None:
        """The work is finished: remove all copies, the markers first. What cannot be removed is warned of."""
        self._stop(drop=True)
        if self._lease.lost:
            return
        try:
            remove(self._storage, self._folder.name)
        except UserError as error:
            LOG.warning("the copies of this finished work stay: %s", error)

    def close(self) -> None:
        """Wait until the last checkpoint is sent, and give the lease free; says so where it could not be sent."""
        self._stop(drop=False)
        for step in self._waiting:
            LOG.error("the checkpoint at step %d is not in the bucket; it lies in %s on this machine only", step, self._folder)
        try:
            self._lease.release()
        except UserError as error:
            LOG.warning("the lease stays: %s", error)

    def _stop(self, *, drop: bool) -> None:
        with self._changed:
            self._closing = True
            if drop:
                self._waiting = {}
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join()

    def _drop(self, step: int) -> None:
        self._waiting.pop(step, None)
        shutil.rmtree(self._folder / OUTGOING / str(step), ignore_errors=True)

    def _send_all(self) -> None:
        attempts = LAST_ATTEMPTS  # that are left once the training has ended
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                if not self._waiting or not attempts or self._lease.lost:
                    return
                self._sending = step = max(self._waiting)
            try:
                self._send(step, self._waiting[step])
                sent = True
            except Exception as error:  # whatever it is, it must not end a training, nor the sending of later checkpoints
                sent = False
                LOG.warning("the checkpoint at step %d is not in the bucket yet: %s", step, error)
            with self._changed:
                self._sending = -1
                for done in [one for one in self._waiting if one < step or (sent and one == step)]:
                    self._drop(done)
                if not sent:
                    attempts -= self._closing
                    self._changed.wait_for(lambda: self._closing, RETRY_SECONDS)

    def _send(self, step: int, files: Mapping[str, int]) -> None:
        """The files that are not there, the marker, and then the checkpoints before the last one away."""
        listed, there = {}, self._storage.list(f"{self._folder.name}/files/")
        for name, size in files.items():
            payload = _prefix(self._folder / OUTGOING / str(step) / name, size)
            listed[name] = {"size": payload.size, "sha256": payload.sha256}
            stored = self._file(payload.sha256)
            if stored not in there:
                self._storage.create(stored, payload)
        if not self._lease.held():  # a machine that was taken for dead must not remove what its successor sends
            return
        name = self._marker(step)
        marker = of_bytes(_json({"format": FORMAT, "fingerprint": self._fingerprint, "step": step, "files": listed}))
        if not self._storage.create(name, marker) and not marker.same(self._storage.list(name)[name]):
            # A machine that went on from an earlier step came to other bits: this one holds the lease, so its checkpoint counts.
            self._storage.delete(name)
            self._storage.create(name, marker)
        self._rotate()

    def _rotate(self) -> None:
        markers = self._markers()
        for step in sorted(markers)[:-KEPT]:
            self._storage.delete(self._marker(step))
            del markers[step]
        kept = {self._file(file["sha256"]) for files in markers.values() for file in files.values()}
        for name in self._storage.list(f"{self._folder.name}/files/"):
            if name not in kept:
                self._storage.delete(name)

    def _markers(self) -> dict[int, Files]:
        """Step -> files of the checkpoints of this work; markers that cannot be read are removed."""
        found: dict[int, Files] = {}
        for name in self._storage.list(f"{self._folder.name}/step-"):
            try:
                marker = self._storage.read(name)
                body = json.loads(marker[0]) if marker is not None else None
                if body and (body["format"], body["fingerprint"]) == (FORMAT, self._fingerprint):
                    found[int(body["step"])] = body["files"]
            except (CorruptedError, ValueError, KeyError, TypeError) as error:
                LOG.warning("%s/%s is not used: it cannot be read (%s)", self._storage.where, name, error)
                self._storage.delete(name)
        return found

    def _fetch(self, files: Files) -> None:
        """All files under other names first, then each under its own, the checkpoint last, as if it had been written here."""
        there = self._storage.list(f"{self._folder.name}/files/")
        temporary = {name: self._folder / f".{name}.partial" for name in files}
        for name, file in files.items():
            stored = self._file(file["sha256"])
            if stored not in there:
                raise _Damaged(f"{stored} is not there")
            if not (self._fetched(stored, temporary[name]) or self._fetched(stored, temporary[name])):  # once more: it may be the way here
                self._storage.delete(stored)  # or the right bytes would never be sent again
                raise _Damaged(f"{stored} is not what its name says")
        for name in sorted(files, key=lambda name: (name.startswith("step-"), name)):
            temporary[name].replace(self._folder / name)
        sync_folder(self._folder)

    def _fetched(self, stored: str, path: Path) -> bool:
        """Bring an object's bytes; whether they are what its name says."""
        with path.open("wb") as stream:
            try:
                self._storage.fetch(stored, stream)
            except CorruptedError:
                return False
            stream.flush()
            os.fsync(stream.fileno())
        return sha256(path) == Path(stored).name

    def _marker(self, step: int) -> str:
        return f"{self._folder.name}/step-{step:010d}.json"

    def _file(self, digest: str) -> str:
        return f"{self._folder.name}/files/{digest}"


def remove(storage: BucketStorage, folder: str) -> None:
    """Remove all copies of a state, whose lease the caller holds: markers before what they name, what says whose they are at the end."""
    for name in sorted(storage.list(f"{folder}/"), key=lambda name: (name.endswith(f"/{WORK}"), "/files/" in name, name)):
        if name != f"{folder}/{LEASE}":
            storage.delete(name)


class _Damaged(Exception):
    """A copy that must not be used; says why."""


def _owner(folder: Path) -> str:
    """A name for the disk that the folder is on, kept in it."""
    path = folder / "owner"
    if not path.is_file() or not path.read_text():
        path.write_text(os.urandom(16).hex())
    return path.read_text()


def _prefix(path: Path, size: int) -> Payload:
    """The file as it was: it may have grown since."""
    if path.stat().st_size == size:
        return of_file(path)
    with path.open("rb") as stream:
        return of_bytes(stream.read(size))


def _json(body: Mapping[str, Any]) -> bytes:
    return (json.dumps(body, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()
