"""Checkpoints in a bucket, so that another machine can go on: whole files, sent in the background, one owner.

Below `gs://bucket/prefix/RUN/NAME-<12 digits>/` lies `owner.json`. A machine that starts writes it anew; its
new generation is the machine's fencing token. A checkpoint is a folder `step-STEP-TOKEN-NUMBER/` with the
tensors, the metrics and, written last, a marker. Before each marker the sender looks whether `owner.json`
still has its generation, and stops if not. Folders are named by the token, only `owner.json` is ever
replaced, and no machine removes what a newer one sends: so two machines cannot mix.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import re
import shutil
import socket
from collections.abc import Collection, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from google.api_core.retry import Retry

from mobilebert.errors import AbsentError, CorruptedError, UserError
from mobilebert.storage.bucket import BucketStorage
from mobilebert.storage.objects import of_bytes, of_opener
from mobilebert.training.state import checkpoints

LOG = logging.getLogger(__name__)
OWNER = "owner.json"
METRICS, TENSORS, MARKER = FILES = (checkpoints.METRICS, "checkpoint.safetensors", "complete.json")
CHECKPOINT = re.compile(r"step-(\d{10})-(\d{20})-\d{6}")  # step, token, number (a step may be saved twice)
RETRY_SECONDS = (1.0, 30.0)  # the longest pause before the second attempt, and before any
FETCHED = ".fetched"  # local folder in which a checkpoint lies until it is verified


class RemoteCheckpoints:
    """The checkpoints of one training in a bucket. One thread sends the newest; the training never waits."""

    def __init__(self, uri: str, folder: Path, fingerprint: str) -> None:
        """Become the owner.

        Args:
            uri: `gs://bucket/prefix/RUN`.
            folder: the locked local state folder; its name names the copies.
            fingerprint: of the training.

        Raises:
            UserError: no permission, no such bucket.
        """
        self._storage = BucketStorage(f"{uri.rstrip('/')}/{folder.name}", setting="state_bucket")
        self._folder, self._fingerprint = folder, fingerprint
        self._sender = ThreadPoolExecutor(1, "checkpoints")
        self._sending: Future[None] | None = None
        self._numbers = itertools.count()
        self._newest = ""  # name of the checkpoint that was to be sent last
        self._closing = False
        self._superseded = ""  # a line that says by whom, once somebody took over
        self._token = self._claim()

    def steps(self) -> list[int]:
        """The steps of the whole checkpoints, sorted."""
        return [step_of(name) for name in whole(self._storage.list("step-"))]

    def fetch(self, newer_than: int) -> checkpoints.Checkpoint | None:
        """Bring the newest whole checkpoint after that step into the folder, or None; damaged ones go."""
        for name in reversed(whole(self._storage.list("step-"))):
            if step_of(name) <= newer_than:
                break
            if checkpoint := self._fetch(name) or self._fetch(name):  # the damage may be on the way here
                LOG.info("fetched the checkpoint at step %d from %s", checkpoint.step, self._storage.where)
                return checkpoint
            LOG.warning("%s/%s is not used: it is damaged", self._storage.where, name)
            self._storage.delete(f"{name}/{MARKER}")
        return None

    def send(self, path: Path, metrics: bytes) -> None:
        """Let a local checkpoint be sent with its metrics; one that still waits is given up for it.

        Raises:
            UserError: another machine has taken over; not passing, since another attempt would take it back.
        """
        if self._superseded:
            raise UserError(self._superseded)
        if self._sending:
            self._sending.cancel()
        self._newest = f"{path.stem}-{self._token:020d}-{next(self._numbers):06d}"
        stream = path.open("rb")  # open, so that neither rotation nor replacement of the file matters
        self._sending = self._sender.submit(self._send_with_retries, self._newest, stream, metrics)
        self._sending.add_done_callback(lambda _: stream.close())

    def close(self, *, finished: bool) -> None:
        """Wait for the last checkpoint, or remove all of a finished training; end the ownership."""
        self._closing = True
        self._sender.shutdown(cancel_futures=finished)
        if self._sending and not finished and (error := self._sending.exception()):
            LOG.error("%s is not in the bucket, only in %s here: %s", self._newest, self._folder, error)
        try:
            self._check_owner()
            if finished:
                self._remove_all_but([])
            self._storage.delete(OWNER, self._token)
        except UserError as error:
            LOG.warning("%s stays as it is: %s", self._storage.where, error)

    def _claim(self) -> int:
        """Write `owner.json` over the one that is there; its generation."""
        body = json.dumps({"owner": f"process {os.getpid()} on {socket.gethostname()}"}).encode()
        while True:
            current = self._storage.read(OWNER)
            token = self._storage.replace(OWNER, body, current[1] if current else 0)
            if token is not None:
                if current:
                    LOG.info("%s is taken over from %s", self._storage.where, owner_of(current[0]))
                return token

    def _check_owner(self) -> None:
        current = self._storage.read(OWNER)
        if current is None or current[1] != self._token:
            successor = owner_of(current[0]) if current else "somebody who finished or removed it"
            self._superseded = (
                f"{self._storage.where} was taken over by {successor}: start again to take it back"
            )
            raise UserError(self._superseded)

    def _send_with_retries(self, name: str, stream: BinaryIO, metrics: bytes) -> None:
        """Send it, until a newer one waits or the training ends. No error of this may end the training."""

        def goes_on(_: Exception) -> bool:
            return name == self._newest and not self._closing and not self._superseded

        def warn(error: Exception) -> None:
            LOG.warning("%s is not in the bucket yet: %s", name, error)

        Retry(goes_on, *RETRY_SECONDS, timeout=None, on_error=warn)(self._send)(name, stream, metrics)

    def _send(self, name: str, stream: BinaryIO, metrics: bytes) -> None:
        # What an earlier attempt created is not replaced: its bytes are the same.
        self._storage.create(f"{name}/{METRICS}", of_bytes(metrics))
        self._storage.create(f"{name}/{TENSORS}", of_opener(lambda: _reopened(stream)))
        self._check_owner()
        self._storage.create(f"{name}/{MARKER}", of_bytes(b"{}\n"))
        self._remove_all_but(whole(self._storage.list("step-"))[-checkpoints.KEPT :])

    def _remove_all_but(self, kept: Collection[str]) -> None:
        """Remove checkpoints, whole or half-sent, their markers first; none of a newer machine."""
        for path in sorted(self._storage.list("step-"), key=lambda path: not path.endswith(MARKER)):
            match = CHECKPOINT.match(path)
            if match and match[0] not in kept and int(match[2]) <= self._token:
                self._storage.delete(path)

    def _fetch(self, name: str) -> checkpoints.Checkpoint | None:
        """Bring a checkpoint, verify it apart, then move it into the folder; None: it is damaged."""
        scratch = self._folder / FETCHED
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        path, metrics = checkpoints.path_of(scratch, step_of(name)), scratch / METRICS
        try:
            for file, local in ((METRICS, metrics), (TENSORS, path)):
                with local.open("wb") as stream:
                    self._storage.fetch(f"{name}/{file}", stream)
        except (AbsentError, CorruptedError) as error:  # absent: another machine removed it meanwhile
            LOG.warning("%s", error)
            return None
        checkpoint = checkpoints.newest(scratch, self._fingerprint, metrics)
        if checkpoint:
            metrics.replace(self._folder / METRICS)
            path.replace(self._folder / path.name)
        shutil.rmtree(scratch)
        return checkpoint


def whole(paths: Iterable[str]) -> list[str]:
    """The names of the checkpoints of which all files are among these paths, sorted."""
    there = set(paths)
    names = {match[0] for path in there if (match := CHECKPOINT.match(path))}
    return sorted(name for name in names if {f"{name}/{file}" for file in FILES} <= there)


def step_of(name: str) -> int:
    """The step of a checkpoint's name."""
    return int(name[5:15])


def owner_of(body: bytes) -> str:
    """Who wrote an `owner.json`."""
    try:
        return str(json.loads(body)["owner"])
    except (ValueError, KeyError, TypeError):
        return f"somebody whose {OWNER} cannot be read"


def _reopened(stream: BinaryIO) -> BinaryIO:
    """The same file from its beginning; closing it leaves the stream open."""
    again = os.fdopen(os.dup(stream.fileno()), "rb")
    again.seek(0)
    return again
