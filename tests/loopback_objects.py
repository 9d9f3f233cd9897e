"""What `loopback_gcs` keeps: faults that are ordered, objects, uploads that go on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any


@dataclass
class Fault:
    """What goes wrong with the next `times` requests of a kind.

    Kinds: insert (multipart or media), start, chunk, query (resumable), list, get, media, delete, bucket.
    """

    kind: str
    status: int | None = None  # answer this instead of serving
    drop_at: int | None = None  # read so many bytes of the body, then close the connection
    lose_answer: bool = False  # do the work, close the connection instead of answering
    before: Callable[[], None] | None = None  # happens between the client's decision and its request
    corrupt: bool = False  # a byte of the answer's body is changed
    cut_at: int | None = None  # send so many bytes of the answer's body, then close the connection
    name: str | None = None  # only requests for this object
    times: int = 1
    met: int = 0


@dataclass
class Stored:
    """One live object."""

    data: bytes
    generation: int
    content_type: str = "application/octet-stream"
    updated: str = field(default_factory=lambda: datetime.now(UTC).isoformat().replace("+00:00", "Z"))


@dataclass
class Session:
    """One resumable upload."""

    bucket: str
    name: str
    match: str | None
    declared: dict[str, Any]
    data: bytearray = field(default_factory=bytearray)
    finished: Stored | None = None


class Refused(Exception):
    """An answer other than success."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
