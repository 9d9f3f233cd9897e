"""Compressed files of many members (bz2 streams, gzip members), read from any byte on: several workers share
one file.

Wikimedia's multistream dumps have a bz2 stream a hundred pages, web archives a gzip member a record. A file
of a single member is simply all in its first range.
"""

from __future__ import annotations

import bz2
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple

from mobilebert.corpus.readers import streams

_READ = 1 << 20
_BEGINNING = 64  # bytes that show what a member holds


class Kind(NamedTuple):
    """A compression whose members can be found: by their first bytes, and by those of what they hold."""

    compression: str
    pattern: re.Pattern[bytes]
    length: int  # bytes that the pattern matches
    decompressor: Callable[[], Any]
    begins: bytes = b""


class Chunk(NamedTuple):
    """Some decompressed bytes of the member that begins at `offset` of the file; `first` of that member or
    not.

    Of a file without members: the bytes at `offset`.
    """

    offset: int
    first: bool
    data: bytes


class _Gzip:
    """zlib's decompressor for one gzip member, with the face of `bz2.BZ2Decompressor`."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(31)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data


BZ2 = Kind(".bz2", re.compile(rb"BZh[1-9]1AY&SY"), 10, bz2.BZ2Decompressor)
WARC_GZ = Kind(".gz", re.compile(rb"\x1f\x8b\x08[\x00-\x1f]"), 4, _Gzip, b"WARC/")


def chunks(path: str, start: int, end: int | None, kind: Kind) -> Iterator[Chunk]:
    """All members from the first one that begins at or after `start` to the end of the file.

    A file in no compression, or another one, is a single member; if it is plain, it is read from `start` on,
    and no chunk reaches over `end`.

    Raises:
        Unreadable: the file is damaged, or ends inside a member.
    """
    with streams.open_raw(path) as stream:
        compression = streams.compression_of(path, stream)
        if compression == kind.compression:
            yield from _members(stream, start, kind)
        else:
            yield from _single(streams.decompressed(stream, compression), start, end)


def _single(stream: BinaryIO, start: int, end: int | None) -> Iterator[Chunk]:
    if start:
        stream.seek(start)
    position = start
    while data := stream.read(_READ if end is None or position >= end else min(_READ, end - position)):
        yield Chunk(position, position == start, data)
        position += len(data)


def _members(stream: BinaryIO, start: int, kind: Kind) -> Iterator[Chunk]:
    expansion = streams.Expansion(stream)
    position = _next_member(stream, start, kind)
    if position is None:
        if start == 0:
            raise streams.Unreadable("no compressed stream of its format in it")
        return
    stream.seek(position)
    data = b""
    while True:
        decompressor = kind.decompressor()
        first = True
        for out in _unpacked(decompressor, data, stream):
            expansion.add(len(out))
            yield Chunk(position, first, out)
            first = False
        # Zero bytes between members are padding, as gzip reads it.
        data = decompressor.unused_data.lstrip(b"\0") or stream.read(_READ).lstrip(b"\0")
        position = stream.tell() - len(data)
        if not data:
            return


def _unpacked(decompressor: Any, data: bytes, stream: BinaryIO) -> Iterator[bytes]:
    """The content of one member in pieces of about a megabyte, the first one of at least `_BEGINNING` bytes
    if there are so many.
    """
    head = b""
    while not decompressor.eof:
        if decompressor.needs_input:
            data = data or stream.read(_READ)
        out = decompressor.decompress(data, _READ)
        if not out and not data and not decompressor.eof:
            raise streams.Unreadable("EOFError: the file ends inside a compressed stream")
        data = b""
        head += out
        if len(head) >= _BEGINNING:
            yield head
            head = b""
    if head:
        yield head


def _next_member(stream: BinaryIO, start: int, kind: Kind) -> int | None:
    """Offset of the first member that begins at or after `start`."""
    stream.seek(start)
    buffer, base = b"", start
    while chunk := stream.read(_READ):
        buffer += chunk
        for match in kind.pattern.finditer(buffer):
            if not kind.begins or _holds(stream, base + match.start(), kind):
                return base + match.start()
        base += max(len(buffer) - kind.length + 1, 0)
        buffer = buffer[-(kind.length - 1) :]
        stream.seek(base + len(buffer))
    return None


def _holds(stream: BinaryIO, offset: int, kind: Kind) -> bool:
    """Whether a member of the right content begins there: three bytes of its mark come up by chance, too."""
    stream.seek(offset)
    try:
        return kind.decompressor().decompress(stream.read(1 << 12), _BEGINNING).startswith(kind.begins)
    except (zlib.error, OSError):
        return False
