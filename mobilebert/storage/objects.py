"""Objects of a folder or a bucket, for publishing, checkpoints and sources: list, create exclusively, fetch.

`paths` has no such promises (Beam's file systems know no preconditions and no checksums), so this is not
built on it.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import google_crc32c

BLOCK = 1 << 20  # bytes read at once


@dataclass(frozen=True)
class Stored:
    """An object: `size` in bytes, `crc32c` as Cloud Storage has it (base64), a bucket's `generation`."""

    size: int
    crc32c: str
    generation: int = 0


class Digester:
    """A stream to write into that keeps only size, SHA-256 and CRC32C."""

    def __init__(self) -> None:
        self.size = 0
        self._sha256 = hashlib.sha256()
        self._crc32c = google_crc32c.Checksum()

    @classmethod
    def of(cls, stream: BinaryIO) -> Digester:
        """Of all that is left of the stream."""
        digester = cls()
        while block := stream.read(BLOCK):
            digester.write(block)
        return digester

    def write(self, data: bytes) -> int:
        """Take the next bytes."""
        self.size += len(data)
        self._sha256.update(data)
        self._crc32c.update(bytes(data))
        return len(data)

    @property
    def sha256(self) -> str:
        """Hex SHA-256 of what was written."""
        return self._sha256.hexdigest()

    @property
    def crc32c(self) -> str:
        """Base64 of the big-endian CRC32C of what was written."""
        return base64.b64encode(self._crc32c.digest()).decode()


@dataclass(frozen=True)
class Payload:
    """Bytes to publish, in a file or in memory, with what identifies them."""

    size: int
    sha256: str
    crc32c: str
    open: Callable[[], BinaryIO]

    def describe(self) -> dict[str, int | str]:
        """How manifests list it."""
        return {"size": self.size, "sha256": self.sha256, "crc32c": self.crc32c}

    def same(self, stored: Stored) -> bool:
        """Whether these bytes lie there already, as far as size and CRC32C tell."""
        return (self.size, self.crc32c) == (stored.size, stored.crc32c)


def of_file(path: Path) -> Payload:
    """A file to publish; it is read once for its digests and again when it is uploaded."""
    return of_opener(lambda: path.open("rb"))


def of_bytes(data: bytes) -> Payload:
    """Bytes to publish."""
    return of_opener(lambda: io.BytesIO(data))


def of_opener(opener: Callable[[], BinaryIO]) -> Payload:
    """What a stream gives, each time that it is opened anew."""
    with opener() as stream:
        digester = Digester.of(stream)
    return Payload(digester.size, digester.sha256, digester.crc32c, opener)


class Writable(Protocol):
    """What `Storage.fetch` writes into."""

    def write(self, data: bytes, /) -> int:
        """Take the next bytes."""
        ...


class Storage(Protocol):
    """Where objects lie, by POSIX paths; every error is a UserError that says where it happened."""

    where: str  # as the settings write it, without a slash at the end

    def list(self, prefix: str) -> dict[str, Stored]:
        """Every finished object whose name starts with the prefix."""
        ...

    def create(self, name: str, payload: Payload) -> bool:
        """Write an object that must not exist yet, whole or not at all.

        Returns:
            False if something has that name already (whatever its bytes are); nothing was changed then.
        """
        ...

    def fetch(self, name: str, stream: Writable) -> None:
        """Write the object's bytes into the stream."""
        ...

    def tidy(self, prefix: str) -> None:
        """Remove what killed publishers left behind under a version that is whole."""
        ...
