"""A folder that one process at a time works in: filelock's lock, which says here who has it when asked."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from mobilebert.errors import PassingError

LOCK = "lock"
PATIENCE_SECONDS = 1.0  # `holder`, and a removal, lock a folder for an instant


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder, made if absent; the holder may remove it. A process that dies gives it free.

    Raises:
        PassingError: when another process holds it, naming that process.
    """
    lock = FileLock(folder / LOCK, timeout=PATIENCE_SECONDS)
    try:
        while not lock.is_locked:
            with suppress(FileNotFoundError):  # its holder removed it just now
                folder.mkdir(parents=True, exist_ok=True)
                lock.acquire()
    except Timeout:
        owner = holder(folder) or "another process"
        message = f"{folder}: {owner} is at this work already; wait for it, or stop it and run again"
        raise PassingError(message) from None
    try:
        (folder / LOCK).write_text(str(os.getpid()))
        yield
    finally:
        lock.release()


def holder(folder: Path) -> str:
    """Who holds the folder now ("process 123"; "another user" where that cannot be asked), "" for nobody.

    It asks by a shared lock, so that two that ask do not take each other for a holder.
    """
    try:
        handle = os.open(
            folder / LOCK, os.O_RDONLY
        )  # enough for a shared lock, also where nothing can be written
    except FileNotFoundError:
        return ""
    except PermissionError:
        return "another user"
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return ""
    except BlockingIOError:
        return f"process {os.pread(handle, 32, 0).decode().strip() or 'unknown'}"
    finally:
        os.close(handle)
