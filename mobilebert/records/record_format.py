"""The form of a record: a `tf.train.Example` with the one bytes feature `ids`, in TFRecord framing, packed by
hand.

A sequence is `sequence_length` unsigned little-endian ids, 16 bits each (32 bits for vocabularies over
32,768), whose top bit marks the first token of a word: [CLS] A [SEP] B [SEP] [PAD] ... All records of an
artifact have the same number of bytes, so the place of record n is arithmetic. The bytes are those that
TensorFlow writes (tested), without TensorFlow.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import repeat

import google_crc32c
import numpy as np

from mobilebert.tokenization.protobuf import varint

FEATURE = b"ids"
LARGEST_16_BIT_VOCABULARY = 1 << 15
SHORTEST_WINDOW = 8  # tokens; a shorter rest of a text teaches next to nothing and costs a whole record
# TFRecord stores checksums rotated and shifted: tensorflow/core/lib/hash/crc32c.h, kMaskDelta.
MASK_DELTA = 0xA282EAD8


@dataclass(frozen=True)
class RecordFormat:
    """Numbers and framing of the records of one artifact."""

    sequence_length: int
    vocabulary_size: int

    @property
    def dtype(self) -> np.dtype:
        """The type of a stored id with its flag."""
        return np.dtype("<u2" if self.vocabulary_size <= LARGEST_16_BIT_VOCABULARY else "<u4")

    @property
    def word_start(self) -> int:
        """The flag of the first token of a word."""
        return 1 << (8 * self.dtype.itemsize - 1)

    @property
    def record(self) -> np.dtype:
        """A whole record in a file: `head` (the same bytes in all records), `ids` (S,), `crc`."""
        return np.dtype(
            [("head", f"V{len(self.head())}"), ("ids", self.dtype, (self.sequence_length,)), ("crc", "<u4")]
        )

    def head(self) -> bytes:
        """TFRecord's length and its checksum, then the Example up to the ids."""
        example = self._example_head()
        length = (len(example) + self._row_bytes).to_bytes(8, "little")
        return length + masked_crc(google_crc32c.value(length)).to_bytes(4, "little") + example

    def pack(self, rows: np.ndarray) -> bytes:
        """The file content of rows (n, S) of `dtype`."""
        rows = np.ascontiguousarray(rows, self.dtype)
        packed = np.empty(len(rows), self.record)
        packed["head"] = np.frombuffer(self.head(), f"V{len(self.head())}")
        packed["ids"] = rows
        begun = google_crc32c.value(self._example_head())
        packed["crc"] = masked_crc(
            np.fromiter(map(google_crc32c.extend, repeat(begun), each(rows)), np.uint32, len(rows))
        )
        return packed.tobytes()

    @property
    def _row_bytes(self) -> int:
        return self.sequence_length * self.dtype.itemsize

    def _example_head(self) -> bytes:
        # Example.features(1) > Features.feature(1), a map entry: key(1), value(2) > Feature.bytes_list(1) >
        # BytesList.value(1)
        inner, head = self._row_bytes, b""
        for tag in (b"\x0a", b"\x0a", b"\x0a" + bytes([len(FEATURE)]) + FEATURE + b"\x12", b"\x0a", b"\x0a"):
            head = tag + varint(inner) + head
            inner = self._row_bytes + len(head)
        return head


def each(rows: np.ndarray) -> list[bytes]:
    """The bytes of each of the rows (n, S)."""
    return np.ascontiguousarray(rows).view(f"V{rows.itemsize * rows.shape[1]}").ravel().tolist()


def masked_crc(crc):  # type: ignore[no-untyped-def]  # int or (n,) uint32, as given
    """TFRecord's masked CRC32-C of an int or of an array of uint32."""
    if isinstance(crc, int):
        return ((crc >> 15 | crc << 17) + MASK_DELTA) & 0xFFFFFFFF
    return (crc >> np.uint32(15) | crc << np.uint32(17)) + np.uint32(MASK_DELTA)
