"""A folder that one process at a time works in."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mobilebert.errors import PassingError

LOCK = "lock"
PATIENCE_SECONDS = 1.0  # `holder`, and a removal, lock a folder for an instant


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder, made if absent; the holder may remove it. A process that dies gives it free.

    Raises:
        PassingError: when another process holds it, naming that process.
    """
    handle = _lock(folder)
    try:
        yield
    finally:
        os.close(handle)


def holder(folder: Path) -> str:
    """Who holds the folder now ("process 123"; "another user" where that cannot be asked), "" for nobody.

    It asks by a shared lock, so that two that ask do not take each other for a holder.
    """
    try:
        handle = os.open(folder / LOCK, os.O_RDONLY)  # enough for a shared lock, also where nothing can be written
    except FileNotFoundError:
        return ""
    except PermissionError:
        return "another user"
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return ""
    except BlockingIOError:
        return f"process {_noted(handle)}"
    finally:
        os.close(handle)


def _noted(handle: int) -> str:
    return os.pread(handle, 32, 0).decode().strip() or "unknown"


def _lock(folder: Path) -> int:
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / LOCK
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:  # the other process finished and removed the folder just now
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            process = _noted(handle)
            os.close(handle)
            if time.monotonic() < end:
                time.sleep(PATIENCE_SECONDS / 20)
                continue
            raise PassingError(f"{folder}: process {process} is at this work already; wait for it, or stop it and run again") from None
        if _still_there(path, handle):
            os.ftruncate(handle, 0)
            os.pwrite(handle, str(os.getpid()).encode(), 0)
            return handle
        os.close(handle)


def _still_there(path: Path, handle: int) -> bool:
    """Whether the locked file is the one at `path`: its holder may have removed the folder between our open and our lock."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(handle))
    except FileNotFoundError:
        return False
