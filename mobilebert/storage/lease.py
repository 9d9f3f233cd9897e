"""Which machine works at a place in a bucket: a small object that its holder writes anew every few seconds.

Every write names the generation that it replaces, so of two machines one is refused by the service. No clock is compared: a holder
that shows no sign of life for `STALE_SECONDS`, watched by the newcomer's own clock, is taken for dead. A process that follows a
killed one on the same disk has the same owner's name and need not wait; that there is only one there is for `mobilebert.locks`.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Mapping
from typing import Any

from mobilebert.errors import PassingError
from mobilebert.storage.bucket import BucketStorage

LOG = logging.getLogger(__name__)
OBJECT = "lease.json"
BEAT_SECONDS = 20.0
STALE_SECONDS = 120.0


class Lease:
    """The right to write below a prefix of a bucket."""

    def __init__(self, storage: BucketStorage, folder: str, owner: str) -> None:
        """Nothing is asked for yet.

        Args:
            storage: the bucket; nothing else uses it.
            folder: prefix in it, without a slash at the end.
            owner: names the disk that the work's local folder is on.
        """
        self.lost = ""  # who took over, once somebody did
        self._storage, self._name, self._owner = storage, f"{folder}/{OBJECT}", owner
        self._process = uuid.uuid4().hex
        self._generation = 0
        self._writes = threading.Lock()
        self._shown = 0.0  # when the last sign of life was on its way, by our clock
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._live, name="lease", daemon=True)

    def acquire(self) -> None:
        """Take the lease, after watching its holder, if there is one, for `STALE_SECONDS`; then show signs of life until `release`.

        Raises:
            PassingError: the holder lives.
        """
        replaced, watched, until = 0, 0, 0.0
        while not self._write(replaced):
            found = self._storage.read(self._name)
            if found is None:
                replaced = 0
                continue
            holder, generation = told(found[0]), found[1]
            if holder["owner"] == self._owner or (generation == watched and time.monotonic() > until):
                replaced = generation
                continue
            if watched and generation != watched:
                raise PassingError(
                    f"{self._storage.where}/{self._name}: {holder['who']} is at this work already; wait for it, or stop it and run again"
                )
            if not watched:
                LOG.info("%s was last at this work; waiting %.0f s for a sign of life from it", holder["who"], STALE_SECONDS)
                watched, until = generation, time.monotonic() + STALE_SECONDS
            time.sleep(BEAT_SECONDS / 2)
        self._thread.start()

    def held(self) -> bool:
        """Whether it is still ours; asks the bucket where our last sign of life is so old that somebody may have taken over.

        Raises:
            UserError: the bucket does not answer.
        """
        if not self.lost and time.monotonic() - self._shown > STALE_SECONDS / 2:
            self._beat()
        return not self.lost

    def release(self) -> None:
        """Give it free."""
        self._released.set()
        self._thread.join()
        if not self.lost:
            self._storage.delete(self._name, self._generation)

    def _live(self) -> None:
        while not self._released.wait(BEAT_SECONDS):
            try:
                self._beat()
            except Exception as error:  # the work itself goes on; whether somebody took over shows when the bucket answers again
                LOG.warning("no sign of life could be given: %s", error)
            if self.lost:
                return

    def _beat(self) -> None:
        with self._writes:
            if not self._write(self._generation):
                found = self._storage.read(self._name)
                self.lost = told(found[0])["who"] if found else "somebody who removed the lease"

    def _write(self, replaced: int) -> bool:
        """Write the object over that generation of it; False if another lives there that this process did not write."""
        who = f"process {os.getpid()} on {socket.gethostname()}"
        body = {"owner": self._owner, "process": self._process, "who": who}
        began = time.monotonic()
        written = self._storage.replace(self._name, json.dumps(body).encode(), replaced)
        if written is None and self._generation:
            # The answer to our own write may have been lost, and repeated by the client.
            found = self._storage.read(self._name)
            written = found[1] if found and told(found[0])["process"] == self._process else None
        if written is None:
            return False
        self._generation, self._shown = written, began
        return True


def told(data: bytes) -> Mapping[str, Any]:
    """`owner`, `process` and `who`, as the object says them. What cannot be read is nobody's: it is watched like any other holder's."""
    try:
        body = json.loads(data)
        return {name: str(body[name]) for name in ("owner", "process", "who")}
    except (ValueError, KeyError, TypeError):
        return {"owner": "", "process": "", "who": f"somebody whose {OBJECT} cannot be read"}
