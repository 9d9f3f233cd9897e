"""Files as streams of bytes: plain, .gz, .bz2, .xz, .zst; what cannot be read says why."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import zstandard

from mobilebert.pipelines import places
from mobilebert.text import decode

COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
# One document or one line; more is a broken file or a decompression bomb, and would not fit into a worker's memory.
MAX_DOCUMENT_BYTES = 256 * 1000 * 1000
_FAILURES = (OSError, EOFError, zlib.error, lzma.LZMAError, zstandard.ZstdError)


class Unreadable(Exception):
    """A file that cannot be read (further); the text is the reason for people, without the file's name."""


@contextmanager
def open_bytes(path: str) -> Iterator[BinaryIO]:
    """The decompressed bytes of a regular file; every failure of reading inside the block becomes `Unreadable`."""
    with _explained(path), _opened(path) as stream:
        yield stream


@contextmanager
def raw_bytes(path: str) -> Iterator[BinaryIO]:
    """The bytes of a regular file as they lie on disk, with the same promise."""
    with _explained(path), places.opened(path) as stream:
        yield stream


@contextmanager
def _explained(path: str) -> Iterator[None]:
    try:
        if places.is_local(path) and not stat.S_ISREG(os.stat(path).st_mode):
            raise Unreadable("not a regular file")
        yield
    except _FAILURES as error:
        raise Unreadable(f"{type(error).__name__}: {_plain(error)}") from None


def read_document(path: str) -> bytes:
    """All decompressed bytes of a file that is one document.

    Raises:
        Unreadable: also when it grows over `MAX_DOCUMENT_BYTES`.
    """
    with open_bytes(path) as stream:
        data = stream.read(MAX_DOCUMENT_BYTES + 1)
    if len(data) > MAX_DOCUMENT_BYTES:
        raise Unreadable(f"one document of over {MAX_DOCUMENT_BYTES // 1_000_000} MB")
    return data


def byte_lines(stream: BinaryIO, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """Offset and bytes (with the line end) of each line that starts at or after `start`; UTF-16 and UTF-32 come out as UTF-8.

    Args:
        stream: seekable if `start` is not 0.
        start: byte offset; the line that reaches over it belongs to the reader before.
    """
    if start:
        stream.seek(start - 1)
        _line(stream)
        position = stream.tell()
    else:
        head = stream.read(4096)
        wide = decode.wide_encoding(head)
        stream = _prefixed(head, stream)
        if wide:
            stream = _recoded(stream, wide)
        position = 0
    while line := _line(stream):
        yield position, line
        position += len(line)


def is_wide(path: str) -> bool:
    """Whether a plain file is in UTF-16 or UTF-32, so that it cannot be cut at line ends."""
    with open_bytes(path) as stream:
        return decode.wide_encoding(stream.read(4096)) is not None


def _line(stream: BinaryIO) -> bytes:
    line = stream.readline(MAX_DOCUMENT_BYTES + 1)
    if len(line) > MAX_DOCUMENT_BYTES:
        raise Unreadable(f"a line of over {MAX_DOCUMENT_BYTES // 1_000_000} MB")
    return line


def _opened(path: str) -> Any:
    suffix = Path(path).suffix.lower()
    if suffix == ".gz":
        return gzip.open(places.opened(path), "rb")
    if suffix == ".bz2":
        return bz2.open(places.opened(path), "rb")
    if suffix == ".xz":
        return lzma.open(places.opened(path), "rb")
    if suffix == ".zst":
        return io.BufferedReader(_Zstandard(path), 1 << 20)
    return places.opened(path)


def _prefixed(head: bytes, stream: BinaryIO) -> BinaryIO:
    """The stream with its first bytes put back: not every decompressor can peek or seek."""
    if stream.seekable() and isinstance(stream, io.BufferedReader) and not isinstance(stream.raw, _Zstandard):
        stream.seek(0)
        return stream
    return io.BufferedReader(_Chained(head, stream), 1 << 16)  # type: ignore[return-value]


def _recoded(stream: BinaryIO, encoding: str) -> BinaryIO:
    text = io.TextIOWrapper(stream, encoding=encoding, errors="replace", newline="\n")
    return io.BufferedReader(_Encoded(text), 1 << 16)  # type: ignore[return-value]


def _plain(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error)


class _Filling(io.RawIOBase):
    """A raw stream made from a function that gives the next bytes, b"" at the end."""

    _rest = b""

    def _next(self) -> bytes:
        raise NotImplementedError

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = self._next()
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


class _Chained(_Filling):
    def __init__(self, head: bytes, stream: BinaryIO) -> None:
        self._rest = head
        self._stream = stream

    def _next(self) -> bytes:
        return self._stream.read(1 << 16)


class _Encoded(_Filling):
    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text

    def _next(self) -> bytes:
        return self._text.read(1 << 16).encode()


class _Zstandard(_Filling):
    """All frames of a .zst file; unlike the library's own reader it does not take a cut file for a whole one."""

    def __init__(self, path: str) -> None:
        self._file = places.opened(path)
        self._frame: Any = None
        self._input = b""

    def _next(self) -> bytes:
        while True:
            if not self._input:
                self._input = self._file.read(1 << 17)
            if not self._input:
                if self._frame is not None:
                    raise EOFError("the file ends inside a zstandard frame")
                return b""
            if self._frame is None:
                self._frame = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
            data = self._frame.decompress(self._input)
            self._input = b""
            if self._frame.eof:
                self._input, self._frame = self._frame.unused_data, None
            if data:
                return data

    def close(self) -> None:
        self._file.close()
        super().close()
