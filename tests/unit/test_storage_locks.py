"""Folders that one process at a time works in: who asks is not in the way of who works."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from mobilebert.errors import PassingError
from mobilebert.storage import locks


def test_the_holder_is_named_and_a_second_one_refused(tmp_path: Path) -> None:
    with locks.locked(tmp_path):
        assert locks.holder(tmp_path) == f"process {os.getpid()}"
        with (
            pytest.raises(PassingError, match=f"process {os.getpid()} is at this work already"),
            locks.locked(tmp_path),
        ):
            pass
    assert locks.holder(tmp_path) == ""


def test_a_folder_on_a_disk_that_cannot_be_written_is_listed_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def read_only(path: Path, flags: int) -> int:
        if flags & (os.O_RDWR | os.O_WRONLY):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return opened(path, flags)

    with locks.locked(tmp_path), monkeypatch.context() as patched:
        patched.setattr(os, "open", read_only)
        assert locks.holder(tmp_path) == f"process {os.getpid()}"


def test_who_asks_is_no_holder_and_work_waits_for_its_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with locks.locked(tmp_path):
        pass
    asking = os.open(tmp_path / locks.LOCK, os.O_RDWR)
    fcntl.flock(asking, fcntl.LOCK_SH)  # as `holder` does
    assert locks.holder(tmp_path) == ""

    waits = []

    def answered(seconds: float) -> None:
        waits.append(seconds)
        os.close(asking)

    monkeypatch.setattr(locks, "PATIENCE_SECONDS", 3600.0)
    monkeypatch.setattr("filelock._api.time.sleep", answered)
    with locks.locked(tmp_path):
        assert locks.holder(tmp_path) == f"process {os.getpid()}"
    assert len(waits) == 1
