"""Streams of bytes as lines, whatever their encoding, length and range."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from typing import BinaryIO

from mobilebert.corpus.readers.streams import FilledStream
from mobilebert.text import decode

# One line, or page of a dump: 11 MB of text if it is JSON with escapes.
MAX_LINE_BYTES = 22 * 1000 * 1000
SHOWN_BYTES = 10_000  # of a line or page that is too long
_HEAD = 4096  # bytes by which UTF-16 and UTF-32 are known


class Truncated(bytes):
    """The beginning of a line or page that is too long: `size` bytes."""

    size: int

    @classmethod
    def of(cls, shown: bytes, size: int) -> Truncated:
        """`shown` of so many bytes."""
        made = cls(shown)
        made.size = size
        return made


def split_lines(stream: BinaryIO, start: int = 0, end: int | None = None) -> Iterator[tuple[int, bytes]]:
    """Offset and bytes (with the line end) of each line that starts at or after `start`; UTF-16 and UTF-32
    come out as UTF-8.

    Args:
        stream: seekable if `start` is not 0.
        start: byte offset; the line that reaches over it belongs to the reader before.
        end: if that line reaches to this offset, no line is given.
    """
    if start:
        stream.seek(start - 1)
        position = start - 1 + _skipped(stream, None if end is None else end - start + 1)
        if end is not None and position >= end:
            return
    else:
        if not isinstance(stream, io.BufferedReader):
            stream = io.BufferedReader(stream)  # type: ignore[arg-type, type-var, assignment]
        if wide := decode.wide_encoding(stream.peek(_HEAD)[:_HEAD]):  # type: ignore[attr-defined]
            stream = io.BufferedReader(_Recoded(stream, wide), 1 << 16)  # type: ignore[assignment]
        position = 0
    while line := _line(stream):
        yield position, line
        position += line.size if isinstance(line, Truncated) else len(line)


def is_wide(stream: BinaryIO) -> bool:
    """Whether a plain file, whose stream is at its beginning, is in UTF-16 or UTF-32, so that it cannot be
    cut at line ends.
    """
    return decode.wide_encoding(stream.read(_HEAD)) is not None


def _line(stream: BinaryIO) -> bytes:
    line = stream.readline(MAX_LINE_BYTES + 1)
    if len(line) <= MAX_LINE_BYTES:
        return line
    beginning = Truncated.of(line[:SHOWN_BYTES], len(line))
    if not line.endswith(b"\n"):
        del line
        beginning.size += _skipped(stream)
    return beginning


def _skipped(stream: BinaryIO, most: int | None = None) -> int:
    """Read to the end of the line, or at least `most` bytes of it; how many these were."""
    size = 0
    while (most is None or size < most) and (data := stream.readline(1 << 20)):
        size += len(data)
        if data.endswith(b"\n"):
            break
    return size


class _Recoded(FilledStream):
    """UTF-16 or UTF-32 as UTF-8, U+FFFD for what is broken."""

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")

    def _next(self) -> bytes:
        while data := self._stream.read(1 << 16):
            if text := self._decoder.decode(data):
                return text.encode()
        text = self._decoder.decode(b"", True)
        self._decoder.reset()
        return text.encode()
