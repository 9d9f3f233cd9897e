"""Snappy's raw format, which libraries unpack only as a whole, unpacked part by part.

Format: https://github.com/google/snappy/blob/main/format_description.txt. An element is a literal or a copy of what came before; writers
pack 64 KB at a time, so that no copy reaches further back.
"""

from __future__ import annotations

from typing import BinaryIO

import pyarrow as pa

from mobilebert.corpus import opening
from mobilebert.corpus.formats.pages import varint

_READ = 1 << 16  # packed bytes at a time; they stand for 21 times as many at most
_KEPT = 1 << 16  # bytes of the text before
_LONGEST = 1 << 24  # bytes of an element

# Bytes of an element, and of what it stands for, by its first byte, whose last two bits are its kind.
_PACKED = tuple((2 + (tag >> 2) if tag < 240 else (tag >> 2) - 58, 2, 3, 5)[tag & 3] for tag in range(256))
_UNPACKED = tuple((1 + (tag >> 2) if tag < 240 else 0, 4 + (tag >> 2 & 7), 1 + (tag >> 2), 1 + (tag >> 2))[tag & 3] for tag in range(256))


class Unpacked(opening.Filling):
    """What a block of Snappy's holds; `Unreadable` if it is damaged."""

    def __init__(self, packed: BinaryIO) -> None:
        self._packed = packed
        self._before = b""
        self._elements = b""
        self._left: int | None = None  # bytes, as it says at its beginning

    def _next(self) -> bytes:
        if self._left is None:
            self._left = varint(self._packed)
        while data := self._packed.read(_READ):
            self._elements += data
            end, size = _whole(self._elements)
            if size:
                made = self._made(self._elements[:end], size)
                self._left -= size
                self._elements = self._elements[end:]
                self._before = (self._before + made)[-_KEPT:]
                return made
            if len(self._elements) > _LONGEST:
                break
        if self._elements or self._left:
            raise opening.Unreadable("no readable Parquet: its Snappy is damaged")
        return b""

    def _made(self, elements: bytes, size: int) -> bytes:
        """The library's own work on a block of its own: the text before as a literal, then these elements."""
        before = self._before
        block = _varint(len(before) + size)
        if before:
            block += b"\xf4" + (len(before) - 1).to_bytes(2, "little") + before
        return pa.decompress(block + elements, len(before) + size, "snappy", asbytes=True)[len(before) :]


def _whole(data: bytes) -> tuple[int, int]:
    """Bytes of the whole elements that data begins with, and of what they stand for."""
    begin = place = made = size = 0
    end = len(data)
    while place < end:
        begin, tag = place, data[place]
        place += _PACKED[tag]
        size = _UNPACKED[tag]
        if not size:  # a literal whose length follows
            size = 1 + int.from_bytes(data[begin + 1 : place], "little")
            place += size
        made += size
    return (place, made) if place <= end else (begin, made - size)


def _varint(number: int) -> bytes:
    data = b""
    while number > 127:
        data += bytes([number & 127 | 128])
        number >>= 7
    return data + bytes([number])
