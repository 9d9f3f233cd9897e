"""Files that appear whole or not at all, and the one spelling of JSON in them."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

PARTIAL = ".partial"  # hidden files with this end are unfinished writes


@contextmanager
def replacing(path: Path | str, *, durable: bool = True, exclusive: bool = False) -> Iterator[Path]:
    """A temporary path; the file written there is renamed to `path` when the block ends without an exception.

    Any reader sees the old bytes or all of the new ones, and writers on several machines do not meet.

    Args:
        path: of the file, in a folder that is there.
        durable: whether the file outlives a power cut once the block has ended (fsync of file and folder).
        exclusive: never replace a file.

    Raises:
        FileExistsError: `exclusive`, and the name is taken.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}{PARTIAL}")
    try:
        yield temporary
        if durable:
            sync(temporary)
        if exclusive:
            os.link(temporary, path)
        else:
            temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink()
    if durable:
        sync(path.parent)


def write_atomically(path: Path | str, data: bytes) -> None:
    """Write a file as `replacing` does, durably; its folder is made if absent."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def sync(path: Path) -> None:
    """Make the bytes of a file, or the renames and removals in a folder, durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def canonical_json(value: Any) -> bytes:
    """JSON in UTF-8, keys sorted, indented by one, one newline at the end: equal values are equal bytes."""
    return (json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()
