"""The texts of pages of Parquet that are too large to be unpacked as a whole, one after the other.

Read here is what such pages hold: texts as such (PLAIN) or by their number in a dictionary, after a bit that says which are null. The
format: https://parquet.apache.org/docs/file-format/data-pages/encodings/.
"""

from __future__ import annotations

import gzip
import io
import itertools
import tempfile
from array import array
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from mobilebert.corpus import opening
from mobilebert.corpus.formats import snappy
from mobilebert.corpus.formats.pages import DATA, DATA_2, MOST_NUMBER, PLAIN, Column, Page, damaged, exactly, pages, varint

_MOST_WORDS = 4_000_000  # texts of a dictionary, whose places in a file are held
_READ = 1 << 18
_UNPACKED: dict[str, Callable[[BinaryIO], Any]] = {
    "UNCOMPRESSED": lambda packed: packed,
    "SNAPPY": snappy.Unpacked,
    "GZIP": lambda packed: gzip.GzipFile(fileobj=packed),
    "ZSTD": opening.zstandard_frames,
}


def texts(stream: BinaryIO, column: Column) -> Iterator[bytes | None]:
    """The texts of its rows; None is null, and an `Oversized` stands for one of over `MAX_LINE_BYTES`."""
    with tempfile.TemporaryFile() as words:
        places = array("Q")
        for page in pages(stream, column.chunk):
            if page.is_dictionary:
                places = _places(words, _unpacked(stream, column, page), page)
            elif page.rows:
                yield from _rows(stream, column, page, words, places)


def _rows(stream: BinaryIO, column: Column, page: Page, words: BinaryIO, places: array[int]) -> Iterator[bytes | None]:
    present: Iterator[int] = itertools.repeat(1)
    levels = 0
    if page.kind == DATA_2:
        levels = page.header.get(5, 0) + page.header.get(6, 0)
        if column.nullable:
            present = _numbers(_section(stream, page.offset + page.header.get(6, 0), page.header.get(5, 0)), 1)
    body = _unpacked(stream, column, page, levels)
    if page.kind == DATA and column.nullable:
        present = _numbers(io.BytesIO(exactly(body, _levels(body))), 1)
    if page.encoding == PLAIN:
        found = (_text(body) for _ in itertools.repeat(None))
    else:
        found = (_word(words, places, number) for number in _indices(body))
    for _ in range(page.values):
        yield next(found) if next(present) else None


def _unpacked(stream: BinaryIO, column: Column, page: Page, levels: int = 0) -> BinaryIO:
    """The bytes of a page after its levels, where these are not packed; never more than it says that it has."""
    packed = _section(stream, page.offset + levels, page.packed - levels)
    is_packed = page.header.get(7, True) if page.kind == DATA_2 else True
    return _buffered(_First(_UNPACKED[column.chunk.compression](packed), page.unpacked - levels)) if is_packed else packed


def _levels(body: BinaryIO) -> int:
    size = int.from_bytes(exactly(body, 4), "little")
    if size > opening.MAX_LINE_BYTES:
        raise damaged("a page says too often what is null")
    return size


def _text(body: BinaryIO) -> bytes:
    size = int.from_bytes(exactly(body, 4), "little")
    if size <= opening.MAX_LINE_BYTES:
        return exactly(body, size)
    shown = exactly(body, opening.SHOWN_BYTES)
    left = size - len(shown)
    while left:
        left -= len(exactly(body, min(left, _READ)))
    return opening.Oversized.of(shown, size)


def _places(words: BinaryIO, body: BinaryIO, page: Page) -> array[int]:
    """Copy a dictionary into a file; where each of its texts begins there."""
    if page.values > _MOST_WORDS:
        raise opening.Unreadable(f"a dictionary of {page.values} texts in a large page, over {_MOST_WORDS}")
    words.seek(0)
    while words.tell() < page.unpacked and (data := body.read(_READ)):
        words.write(data)
    places, place = array("Q"), 0
    for _ in range(page.values):
        places.append(place)
        words.seek(place)
        place += 4 + int.from_bytes(exactly(words, 4), "little")
    return places


def _word(words: BinaryIO, places: array[int], number: int) -> bytes:
    if number >= len(places):
        raise damaged("a text is not in its dictionary")
    words.seek(places[number])
    return _text(words)


def _indices(body: BinaryIO) -> Iterator[int]:
    yield from _numbers(body, exactly(body, 1)[0])


def _numbers(stream: BinaryIO, width: int) -> Iterator[int]:
    """Numbers of so many bits: runs of one number, and groups of eight."""
    while True:
        head = varint(stream)
        if head >> 1 >= MOST_NUMBER:
            raise damaged("a run has too many rows")
        if head & 1:
            for _ in range(head >> 1):
                group = int.from_bytes(stream.read(width), "little")
                yield from ((group >> width * place) & ((1 << width) - 1) for place in range(8))
        else:
            yield from itertools.repeat(int.from_bytes(exactly(stream, -(-width // 8)), "little"), head >> 1)


def _section(stream: BinaryIO, offset: int, size: int) -> BinaryIO:
    return _buffered(_Section(stream, offset, size))


def _buffered(stream: io.RawIOBase) -> BinaryIO:
    return io.BufferedReader(stream, _READ)  # type: ignore[return-value]


class _First(opening.Filling):
    """The first bytes of a stream."""

    def __init__(self, stream: Any, size: int) -> None:
        self._stream = stream
        self._left = max(0, size)

    def _next(self) -> bytes:
        data: bytes = self._stream.read(min(self._left, _READ))
        self._left -= len(data)
        return data


class _Section(_First):
    """Some bytes of a file that others read, too."""

    def __init__(self, stream: BinaryIO, offset: int, size: int) -> None:
        super().__init__(stream, size)
        self._offset = offset

    def _next(self) -> bytes:
        self._stream.seek(self._offset)
        data = super()._next()
        self._offset += len(data)
        return data
