"""Files as streams of bytes: plain, .gz, .bz2, .xz, .zst; what cannot be read says why."""

from __future__ import annotations

import bz2
import codecs
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

from mobilebert.corpus.finding import COMPRESSED
from mobilebert.storage import paths as places
from mobilebert.text import decode

# One file of markup; more is a broken file or a decompression bomb, and would not fit into a worker's memory.
MAX_DOCUMENT_BYTES = 32 * 1000 * 1000
# One line, or page of a dump: 11 MB of text if it is JSON with escapes. Reading one takes a process to 395 MB at most (docs/corpus.md).
MAX_LINE_BYTES = 22 * 1000 * 1000
SHOWN_BYTES = 10_000  # of a line or page that is too long
# Text shrinks to a third or a tenth, a hundredth if it repeats itself; what grows more than this is a decompression bomb.
MAX_EXPANSION = 250
FREE_BYTES = 32 * 1000 * 1000  # that any file may unpack to
_MAGIC = {
    **{b"\x1f\x8b\x08": ".gz", b"\xfd7zXZ\0": ".xz", b"\x28\xb5\x2f\xfd": ".zst"},
    # The first block's mark, or that of the end where nothing is in it.
    **{b"BZh%d%s" % (level, mark): ".bz2" for level in range(1, 10) for mark in (b"1AY&SY", b"\x17rE8P\x90")},
}
# Input given to decompressors at once: 4 bytes of it can stand for a block of 128 KB, and zstandard gives all output of a call together.
_FRAME_STEP = 1 << 10
_READ = 1 << 18
# Bytes of the text before that they may keep: `zstd --ultra -22`, `xz -9`.
_ZSTANDARD_WINDOW, _XZ_MEMORY = 1 << 27, (1 << 26) + (1 << 20)
_FAILURES = (OSError, EOFError, zlib.error, lzma.LZMAError, zstandard.ZstdError)


class Unreadable(Exception):
    """A file that cannot be read (further); the text is the reason for people, without the file's name."""


class Expansion:
    """Counts what a compressed file gives, and stops a decompression bomb."""

    def __init__(self, packed: BinaryIO) -> None:
        self._most = max(FREE_BYTES, MAX_EXPANSION * packed.seek(0, os.SEEK_END))
        packed.seek(0)
        self._given = 0

    def add(self, size: int) -> None:
        """Count `size` bytes more.

        Raises:
            Unreadable: they are too many.
        """
        self._given += size
        if self._given > self._most:
            raise Unreadable(
                f"a decompression bomb: it unpacks to over {self._most // 1_000_000} MB, more than {MAX_EXPANSION} times its size"
            )


class Oversized(bytes):
    """The beginning of a line or page that is too long: `size` bytes."""

    size: int

    @classmethod
    def of(cls, shown: bytes, size: int) -> Oversized:
        """`shown` of so many bytes."""
        made = cls(shown)
        made.size = size
        return made


def packing(path: str) -> str:
    """The compression of a file, `.gz .bz2 .xz .zst` or "": by its name, else by its first bytes; `Unreadable` if it has none to read."""
    suffix = Path(path).suffix.lower()
    if suffix in COMPRESSED:
        return suffix
    with raw_bytes(path) as stream:
        head = stream.read(10)
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "")


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


def byte_lines(stream: BinaryIO, start: int = 0, end: int | None = None) -> Iterator[tuple[int, bytes]]:
    """Offset and bytes (with the line end) of each line that starts at or after `start`; UTF-16 and UTF-32 come out as UTF-8.

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
        peeks = isinstance(stream, io.BufferedReader)
        head = stream.peek(4096)[:4096] if peeks else stream.read(4096)  # type: ignore[attr-defined]
        wide = decode.wide_encoding(head)
        stream = stream if peeks else _prefixed(head, stream)
        if wide:
            stream = _recoded(stream, wide)
        position = 0
    while line := _line(stream):
        yield position, line
        position += line.size if isinstance(line, Oversized) else len(line)


def is_wide(path: str) -> bool:
    """Whether a plain file is in UTF-16 or UTF-32, so that it cannot be cut at line ends."""
    with open_bytes(path) as stream:
        return decode.wide_encoding(stream.read(4096)) is not None


def _line(stream: BinaryIO) -> bytes:
    line = stream.readline(MAX_LINE_BYTES + 1)
    if len(line) <= MAX_LINE_BYTES:
        return line
    oversized = Oversized.of(line[:SHOWN_BYTES], len(line))
    if not line.endswith(b"\n"):
        del line
        oversized.size += _skipped(stream)
    return oversized


def _skipped(stream: BinaryIO, most: int | None = None) -> int:
    """Read to the end of the line, or at least `most` bytes of it; how many these were."""
    size = 0
    while (most is None or size < most) and (part := stream.readline(1 << 20)):
        size += len(part)
        if part.endswith(b"\n"):
            break
    return size


def _opened(path: str) -> Any:
    kind = packing(path)
    stream = places.opened(path)
    if not kind:
        return stream
    expansion = Expansion(stream)
    opener: Any = {".gz": gzip.open, ".bz2": _bzip2, ".xz": _xz, ".zst": zstandard_frames}
    return io.BufferedReader(_Unpacked(opener[kind](stream), expansion, stream), _READ)


def _prefixed(head: bytes, stream: BinaryIO) -> BinaryIO:
    """The stream with its first bytes put back: what is decompressed cannot seek."""
    if stream.seekable():
        stream.seek(0)
        return stream
    return io.BufferedReader(_Chained(head, stream), 1 << 16)  # type: ignore[return-value]


def _recoded(stream: BinaryIO, encoding: str) -> BinaryIO:
    return io.BufferedReader(_Recoded(stream, encoding), 1 << 16)  # type: ignore[return-value]


def _plain(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error)


class Filling(io.RawIOBase):
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


class _Chained(Filling):
    def __init__(self, head: bytes, stream: BinaryIO) -> None:
        self._rest = head
        self._stream = stream

    def _next(self) -> bytes:
        return self._stream.read(1 << 16)


class _Recoded(Filling):
    """UTF-16 or UTF-32 as UTF-8; what is broken becomes bytes that are no UTF-8, so that its line is refused and no other."""

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")

    def _next(self) -> bytes:
        while data := self._stream.read(1 << 16):
            try:
                text = self._decoder.decode(data)
            except UnicodeDecodeError as error:
                raise Unreadable(f"no {error.encoding.upper()}: {error.reason}") from None
            if text:
                return text.encode("utf-8", "surrogatepass")
        cut, self._decoder = self._decoder.getstate()[0], codecs.getincrementaldecoder("utf-8")()
        return b"\xff" if cut else b""


class _Unpacked(Filling):
    """What a decompressor gives, up to the limit."""

    def __init__(self, stream: Any, expansion: Expansion, file: BinaryIO) -> None:
        self._stream = stream
        self._expansion = expansion
        self._file = file

    def _next(self) -> bytes:
        # What comes before a damaged place is given before the damage is met.
        data = getattr(self._stream, "read1", self._stream.read)(_READ)
        self._expansion.add(len(data))
        return data

    def close(self) -> None:
        self._stream.close()
        self._file.close()  # which not every decompressor does
        super().close()


class _Frames(Filling):
    """All frames of a .zst, .xz or .bz2 file; unlike the libraries' own readers it bounds their memory, and takes no cut or damaged file
    for a whole one.
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


def zstandard_frames(file: BinaryIO) -> Filling:
    """What Zstandard's frames hold, with a window of at most 128 MB."""
    return _Frames(file, lambda: zstandard.ZstdDecompressor(max_window_size=_ZSTANDARD_WINDOW).decompressobj())


def _xz(file: BinaryIO) -> _Frames:
    return _Frames(file, lambda: lzma.LZMADecompressor(memlimit=_XZ_MEMORY), _READ)


def _bzip2(file: BinaryIO) -> _Frames:
    return _Frames(file, bz2.BZ2Decompressor, _READ)
