"""Files as streams of bytes, plain or compressed (.gz, .bz2, .xz, .zst).

What cannot be read says why; windows of decompressors and what they give are bounded, so that no file fills
the memory.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import zstandard

from mobilebert.corpus.sources.discovery import COMPRESSED
from mobilebert.storage import paths

# One file of markup; more is a broken file or a decompression bomb, and would not fit into a worker's memory.
MAX_DOCUMENT_BYTES = 32 * 1000 * 1000
# Text shrinks to a third or a tenth, a hundredth if it repeats itself; what grows more than this is a
# decompression bomb.
MAX_EXPANSION = 250
FREE_BYTES = 32 * 1000 * 1000  # that any file may unpack to
_ZSTANDARD = b"\x28\xb5\x2f\xfd"
# "Skippable frames" may stand before those with data (RFC 8878, 3.1.2), of sixteen numbers, one of which
# tells of a dictionary (IIPC, WARC-Zstandard 1.0).
_SKIPPABLE = [bytes([number]) + b"\x2a\x4d\x18" for number in range(0x50, 0x60)]
_DICTIONARY = b"\x5d\x2a\x4d\x18"
_MAX_DICTIONARY = 32 * 1000 * 1000  # bytes
_MAGIC = {
    **{b"\x1f\x8b\x08": ".gz", b"\xfd7zXZ\0": ".xz"},
    **dict.fromkeys([_ZSTANDARD, *_SKIPPABLE], ".zst"),
    # The first block's mark, or that of the end where nothing is in it.
    **{b"BZh%d%s" % (level, mark): ".bz2" for level in range(1, 10) for mark in (b"1AY&SY", b"\x17rE8P\x90")},
}
# Input given to decompressors at once: 4 bytes of it can stand for a block of 128 KB, and zstandard gives all
# output of a call together.
_FRAME_STEP = 1 << 10
_READ = 1 << 18
# Bytes of the text before that they may keep: `zstd --ultra -22`, `xz -9`.
ZSTANDARD_WINDOW, _XZ_MEMORY = 1 << 27, (1 << 26) + (1 << 20)
FAILURES = (OSError, EOFError, zlib.error, lzma.LZMAError, zstandard.ZstdError)


class Unreadable(Exception):
    """A file that cannot be read (further); the text is the reason for people, without the file's name."""


class Expansion:
    """Counts what a compressed file gives, and stops a decompression bomb; leaves the file's stream at its
    beginning.
    """

    def __init__(self, packed: BinaryIO) -> None:
        self._limit = max(FREE_BYTES, MAX_EXPANSION * packed.seek(0, os.SEEK_END))
        packed.seek(0)
        self._size = 0

    def add(self, size: int) -> None:
        """Count `size` bytes more.

        Raises:
            Unreadable: they are too many.
        """
        self._size += size
        if self._size > self._limit:
            raise Unreadable(
                f"a decompression bomb: it unpacks to over {self._limit // 1_000_000} MB, more than "
                f"{MAX_EXPANSION} times its size"
            )


def compression_of(path: str, stream: BinaryIO) -> str:
    """The compression of a file, `.gz .bz2 .xz .zst` or "": by its name, else by its first bytes.

    Args:
        stream: of the file's bytes, at their beginning, where it is left.
    """
    suffix = Path(path).suffix.lower()
    if suffix in COMPRESSED:
        return suffix
    head = stream.read(10)
    stream.seek(0)
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "")


@contextmanager
def open_raw(path: str) -> Iterator[BinaryIO]:
    """The bytes of a regular file as they lie on disk; every failure of reading inside the block becomes
    `Unreadable`.
    """
    with _explained(path), paths.opened(path) as stream:
        yield stream


@contextmanager
def open_decompressed(path: str) -> Iterator[BinaryIO]:
    """The decompressed bytes of a regular file, with the same promise; seekable if it is not compressed."""
    with open_raw(path) as stream:
        yield decompressed(stream, compression_of(path, stream))


def decompressed(stream: BinaryIO, compression: str) -> BinaryIO:
    """The decompressed bytes of a stream at its beginning; itself if it is not compressed."""
    if not compression:
        return stream
    expansion = Expansion(stream)
    opener: Any = {".gz": gzip.open, ".bz2": _bzip2, ".xz": _xz, ".zst": _zstandard}[compression]
    return io.BufferedReader(_Decompressed(opener(stream), expansion), _READ)  # type: ignore[return-value]


@contextmanager
def _explained(path: str) -> Iterator[None]:
    try:
        if paths.is_local(path) and not stat.S_ISREG(os.stat(path).st_mode):
            raise Unreadable("not a regular file")
        yield
    except FAILURES as error:
        raise Unreadable(f"{type(error).__name__}: {_plain(error)}") from None


def read_document(path: str) -> bytes:
    """All decompressed bytes of a file that is one document.

    Raises:
        Unreadable: also when it grows over `MAX_DOCUMENT_BYTES`.
    """
    with open_decompressed(path) as stream:
        data = stream.read(MAX_DOCUMENT_BYTES + 1)
    if len(data) > MAX_DOCUMENT_BYTES:
        raise Unreadable(f"one document of over {MAX_DOCUMENT_BYTES // 1_000_000} MB")
    return data


def _plain(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error)


class FilledStream(io.RawIOBase):
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


class _Decompressed(FilledStream):
    """What a decompressor gives, up to the limit."""

    def __init__(self, stream: Any, expansion: Expansion) -> None:
        self._stream = stream
        self._expansion = expansion

    def _next(self) -> bytes:
        # What comes before a damaged place is given before the damage is met.
        data = getattr(self._stream, "read1", self._stream.read)(_READ)
        self._expansion.add(len(data))
        return data


class _Frames(FilledStream):
    """All frames of a .zst, .xz or .bz2 file; unlike the libraries' own readers it bounds their memory, and
    takes no cut or damaged file for a whole one.
    """

    def __init__(self, file: BinaryIO, begin: Callable[[], Any], *most: int) -> None:
        self._file = file
        self._begin = begin
        self._most = most  # bytes that a call gives, where the library can be told
        self._frame: Any = None
        self._input = b""

    def _next(self) -> bytes:
        while True:
            if not self._input and getattr(self._frame, "needs_input", True):
                self._input = self._file.read(_FRAME_STEP)
                if not self._input:
                    if self._frame is not None:
                        raise EOFError("the file ends inside a compressed frame")
                    return b""
            if self._frame is None:
                self._input = self._input.lstrip(b"\0")  # padding
                if not self._input:
                    continue
                self._frame = self._begin()
            data = self._frame.decompress(self._input, *self._most)
            self._input = b""
            if self._frame.eof:
                self._input, self._frame = self._frame.unused_data, None
            if data:
                return data


def _zstandard(file: BinaryIO) -> _Frames:
    dictionary = _dictionary(file)
    decompressor = zstandard.ZstdDecompressor(dict_data=dictionary, max_window_size=ZSTANDARD_WINDOW)
    return _Frames(file, decompressor.decompressobj)


def _dictionary(file: BinaryIO) -> zstandard.ZstdCompressionDict | None:
    """The dictionary that a file at its beginning begins with, itself packed perhaps; else it is left there.

    https://iipc.github.io/warc-specifications/specifications/warc-zstd/
    """
    head = file.read(8)
    if not head.startswith(_DICTIONARY):
        file.seek(0)
        return None
    size = int.from_bytes(head[4:], "little")
    if size > _MAX_DICTIONARY:
        raise Unreadable(f"a dictionary of {size // 1_000_000} MB, over {_MAX_DICTIONARY // 1_000_000}")
    data = file.read(size)
    if data.startswith(_ZSTANDARD):
        data = zstandard.ZstdDecompressor().stream_reader(data).read(_MAX_DICTIONARY + 1)
        if len(data) > _MAX_DICTIONARY:
            raise Unreadable(f"a dictionary of over {_MAX_DICTIONARY // 1_000_000} MB")
    return zstandard.ZstdCompressionDict(data)


def _xz(file: BinaryIO) -> _Frames:
    return _Frames(file, lambda: lzma.LZMADecompressor(memlimit=_XZ_MEMORY), _READ)


def _bzip2(file: BinaryIO) -> _Frames:
    return _Frames(file, bz2.BZ2Decompressor, _READ)
