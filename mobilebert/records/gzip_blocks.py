"""Files of records: plain ones, and compressed ones that can still be addressed.

A compressed file is a GZIP TFRecord file, which tf.data reads as it is, made of one gzip member for every
`BLOCK` records. Beside it lies the list of the members' sizes (`.blocks`, little-endian unsigned 32-bit), so
a record is found by inflating its block alone. tf.io.TFRecordWriter makes one member of a file, in which no
record can be addressed, and would bring TensorFlow into Beam's workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from isal import isal_zlib

from mobilebert.errors import UserError
from mobilebert.records.record_format import RecordFormat
from mobilebert.storage import paths

SUFFIX, LIST = ".tfrecord", ".blocks"
# records; measured: 32 take 8 % more space, 512 save 4 % and cost a reader of single blocks four times as
# much
BLOCK = 128
# ISA-L writes in a fifth of the time of zlib's level 1, reads in half, and takes 0.5 % more space (measured
# on real text). Its bytes are the same on all x86 processors with AVX2.
LEVEL = 2
GZIP = 16 + isal_zlib.MAX_WBITS  # zlib's way to say gzip
BLOCKS_KEPT = 64  # of all files of a reader, which goes on where it was: about 2 MB of sequences of 128


def files(path: str, compression: str) -> list[str]:
    """What a file of records consists of."""
    return [path, f"{path.removesuffix(SUFFIX)}{LIST}"] if compression == "gzip" else [path]


class Sink:
    """Takes rows in any number and writes them, block by block where the file is compressed."""

    def __init__(self, stream: Any, record_format: RecordFormat, compression: str) -> None:
        self._stream, self._form, self._compressed = stream, record_format, compression == "gzip"
        self._held = np.empty((0, record_format.sequence_length), record_format.dtype)
        self.sizes: list[int] = []

    def write(self, rows: np.ndarray) -> None:
        """Add rows (n, S)."""
        if not self._compressed:
            self._stream.write(self._form.pack(rows))
            return
        rows = np.concatenate([self._held, rows])
        whole = len(rows) // BLOCK * BLOCK
        self._members(rows[:whole])
        self._held = rows[whole:]

    def end(self) -> None:
        """Write what fills no block."""
        self._members(self._held)

    def _members(self, rows: np.ndarray) -> None:
        packed, step = memoryview(self._form.pack(rows)), BLOCK * self._form.record.itemsize
        for at in range(0, len(packed), step):
            member = isal_zlib.compress(packed[at : at + step], LEVEL, GZIP)
            self._stream.write(member)
            self.sizes.append(len(member))


@contextmanager
def writing(path: str, record_format: RecordFormat, compression: str) -> Iterator[Sink]:
    """A file of records at a place that ends in `.tfrecord`, and the list of its blocks."""
    with paths.writing(path) as stream:
        sink = Sink(stream, record_format, compression)
        yield sink
        sink.end()
    if compression == "gzip":
        paths.write(files(path, compression)[1], np.array(sink.sizes, "<u4").tobytes())


class Plain:
    """The rows of an uncompressed file, memory-mapped."""

    def __init__(self, path: Path, count: int, record_format: RecordFormat) -> None:
        """Raises: UserError: the file is not of this form or count."""
        expected = count * record_format.record.itemsize
        if path.stat().st_size != expected:
            raise UserError(
                f"{path}: {path.stat().st_size} bytes, but {count} records of "
                f"{record_format.record.itemsize} bytes take {expected}"
            )
        self._records = (
            np.memmap(path, record_format.record, "r") if count else np.zeros(0, record_format.record)
        )
        check_head(self._records[:1], path, record_format)

    def rows(self, numbers: np.ndarray) -> np.ndarray:
        """(n, S) the stored ids with flags of the records with these numbers."""
        return self._records["ids"][numbers]


class Compressed:
    """The rows of a compressed file."""

    def __init__(
        self,
        path: Path,
        count: int,
        record_format: RecordFormat,
        cached: Callable[[Compressed, int], np.ndarray],
    ) -> None:
        """`cached` is `Compressed.inflated` with the memory that all files of a reader share.

        Raises: UserError: the file is not of this form or count.
        """
        self._path, self._form, self._cached = path, record_format, cached
        listed = path.with_suffix(LIST)
        self._ends = (
            np.cumsum(np.fromfile(listed, "<u4"), dtype=np.int64)
            if listed.is_file()
            else np.zeros(0, np.int64)
        )
        size = int(self._ends[-1]) if len(self._ends) else 0
        if len(self._ends) != -(-count // BLOCK) or path.stat().st_size != size:
            raise UserError(
                f"{path}: {path.stat().st_size} bytes, but {listed.name} tells of {len(self._ends)} "
                f"blocks, {size} bytes"
            )
        self._bytes = np.memmap(path, np.uint8, "r") if size else np.zeros(0, np.uint8)
        check_head(self.inflated(0)[:1] if count else np.zeros(0, record_format.record), path, record_format)

    def rows(self, numbers: np.ndarray) -> np.ndarray:
        """(n, S) the stored ids with flags of the records with these numbers."""
        made = np.empty((len(numbers), self._form.sequence_length), self._form.dtype)
        block = numbers // BLOCK
        for which in np.unique(block).tolist():
            here = np.flatnonzero(block == which)
            made[here] = self._cached(self, which)["ids"][numbers[here] - which * BLOCK]
        return made

    def inflated(self, number: int) -> np.ndarray:
        """(n,) the records of a block."""
        first, last = int(self._ends[number - 1]) if number else 0, int(self._ends[number])
        try:
            return np.frombuffer(isal_zlib.decompress(self._bytes[first:last], GZIP), self._form.record)
        # A class, though its stub says otherwise.
        except (isal_zlib.error, ValueError) as error:  # type: ignore[misc]
            raise UserError(
                f"{self._path}: its block {number} at byte {first} is damaged ({error}); write the records "
                "anew"
            ) from None


def check_head(records: np.ndarray, path: Path, record_format: RecordFormat) -> None:
    """Refuse a file whose first record is of another form."""
    if len(records) and records["head"][0].tobytes() != record_format.head():
        raise UserError(
            f"{path}: its first record is not one of {record_format.sequence_length} ids of "
            f"{record_format.dtype.itemsize} bytes"
        )
