"""Cleaned blocks and band keys in files that all workers see, between the steps.

A block is a file of concatenated UTF-8 texts with an index, so that any one document is read by its offset;
its keys lie in a second file. The keys of some blocks in a row, a batch, come together into a file sorted by
hash partition, so that a partition of all batches is read without the rest, and by few openings: batches
times partitions.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import BinaryIO

import numpy as np

from mobilebert.storage import paths

# A document is known by one number, ascending in the order of the input: element, block of the element, place
# in the block.
_BLOCK_BITS, _PLACE_BITS = 20, 20
MAX_DOCUMENTS = 1 << _PLACE_BITS

INDEX = np.dtype([("offset", "<u8"), ("size", "<u4"), ("raw", "<u8"), ("source", "<u2"), ("file", "<u4")])
# A key of a document, by which equal and similar ones meet, and the rank of its text.
KEY = np.dtype([("key", "<u8"), ("rank", "<u8"), ("document", "<u8")])
OF_TEXT = np.uint64(1)  # the bit that is set in the key of a whole text, not in those of its bands
_LENGTH_BITS, _DIGEST_BITS = 24, 40
# The keys of so many documents are held at once, 360 bytes of each: 24 MB, however short the documents are.
TOGETHER = 1 << 16
_BATCH_BYTES = 32_000_000  # of text, if that is fewer documents
_FEWEST_PARTITIONS = 8  # for workers to share
# A block's number (that of its first document), how many documents come before it, and its batch.
_BLOCK = np.dtype([("number", "<u8"), ("before", "<u8"), ("batch", "<u8")])
_BOUND = np.dtype("<u8")


@dataclass(frozen=True)
class Block:
    """What a block file holds: names and sources beside the index."""

    index: np.ndarray  # (D,) INDEX
    names: list[str]
    sources: list[str]

    def source(self, position: int) -> str:
        """The source of a document."""
        return self.sources[self.index["source"][position]]


def document(element: int, block: int, position: int = 0) -> int:
    """The number of a document."""
    return (element << (_BLOCK_BITS + _PLACE_BITS)) | (block << _PLACE_BITS) | position


def position_of(number: int) -> tuple[int, int, int]:
    """Element, block and place of a document's number."""
    return (
        number >> (_BLOCK_BITS + _PLACE_BITS),
        (number >> _PLACE_BITS) & ((1 << _BLOCK_BITS) - 1),
        number & (MAX_DOCUMENTS - 1),
    )


def write_block(
    folder: str,
    element: int,
    block: int,
    texts: list[bytes],
    index: np.ndarray,
    names: list[str],
    sources: list[str],
) -> None:
    """Write a block's texts, index and names."""
    stem = _stem(folder, element, block)
    paths.write(f"{stem}.text", b"".join(texts))
    paths.write(
        f"{stem}.names", json.dumps({"names": names, "sources": sources}, ensure_ascii=False).encode()
    )
    paths.write(f"{stem}.index", index.tobytes())


def read_block(folder: str, element: int, block: int) -> Block:
    """Index and names of a block."""
    stem = _stem(folder, element, block)
    names = json.loads(paths.read(f"{stem}.names"))
    return Block(_index(stem), names["names"], names["sources"])


def read_index(folder: str, element: int, block: int) -> np.ndarray:
    """(D,) INDEX of a block."""
    return _index(_stem(folder, element, block))


def read_texts(folder: str, element: int, block: int) -> bytes:
    """All texts of a block, one after the other."""
    return paths.read(f"{_stem(folder, element, block)}.text")


class Documents:
    """Single documents by number, for comparing candidates; keeps a few files open."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._index = lru_cache(16)(_index)
        self._file = lru_cache(64)(lambda stem: paths.opened(f"{stem}.text"))

    def entry(self, number: int) -> np.void:
        """The INDEX entry of a document."""
        element, block, position = position_of(number)
        return self._index(_stem(self._folder, element, block))[position]

    def text(self, number: int) -> str:
        """The text of a document."""
        element, block, _ = position_of(number)
        entry = self.entry(number)
        stream = self._file(_stem(self._folder, element, block))
        stream.seek(int(entry["offset"]))
        return stream.read(int(entry["size"])).decode()


def ranks(lengths: np.ndarray, digests: np.ndarray) -> np.ndarray:
    """(D,) uint64: the rank of texts of these lengths, (D,) in characters, and these (D,) uint64 hashes.

    A longer text ranks lower, and equal ranks under an equal key mean equal texts.
    """
    longest = (1 << _LENGTH_BITS) - 1
    shorter = (longest - np.minimum(lengths, longest)).astype(np.uint64)
    return (shorter << np.uint64(_DIGEST_BITS)) | (digests >> np.uint64(64 - _DIGEST_BITS))


def lengths(ranks: np.ndarray) -> np.ndarray:
    """(D,) int64: the characters of the texts of these (D,) ranks; of longer ones the most that a rank
    tells.
    """
    return ((1 << _LENGTH_BITS) - 1) - (ranks >> np.uint64(_DIGEST_BITS)).astype(np.int64)


def partition_of(keys: np.ndarray, partitions: int) -> np.ndarray:
    """(M,) uint64: the partition of each of (M,) keys; one has all keys from some number to some other."""
    half = np.uint64(32)
    return ((keys >> half) * np.uint64(partitions)) >> half


def write_keys(folder: str, element: int, block: int, keys: np.ndarray) -> None:
    """Write the (M,) KEY entries of a block."""
    paths.write(f"{_stem(folder, element, block)}.keys", keys.tobytes())


def write_ranges(path: str, entries: np.ndarray, owner: np.ndarray, owners: int) -> None:
    """Write (M,) entries by their (M,) owner, each less than `owners`; where those of each begin stands
    before them.
    """
    with paths.writing(path) as stream:
        add_ranges(stream, entries, owner, owners)


def add_ranges(stream: BinaryIO, entries: np.ndarray, owner: np.ndarray, owners: int) -> None:
    """The same, into a file that may have some already."""
    owner = owner.astype(
        np.uint16 if owners <= 1 << 16 else np.int64
    )  # small numbers are sorted in a seventh of the time
    stream.write(np.append(0, np.cumsum(np.bincount(owner, minlength=owners))).astype(_BOUND).tobytes())
    stream.write(entries[np.argsort(owner, kind="stable")].tobytes())


def read_ranges(files: Iterable[str], owner: int, owners: int, entry: np.dtype) -> np.ndarray:
    """(M,) what `write_ranges` and `add_ranges` wrote into these files for one owner."""
    data = bytearray()
    for stream, size in _ranges(files, owner, owners, entry):
        data += stream.read(size * entry.itemsize)
    return np.frombuffer(data, entry)


def count_ranges(files: Iterable[str], owner: int, owners: int, entry: np.dtype) -> int:
    """How many entries `read_ranges` would read."""
    return sum(size for _, size in _ranges(files, owner, owners, entry))


def _ranges(files: Iterable[str], owner: int, owners: int, entry: np.dtype) -> Iterator[tuple[BinaryIO, int]]:
    """Streams that stand before entries of an owner, and how many these are."""
    for path in files:
        with paths.opened(path) as stream:
            begin = 0
            while bounds := _bounds(stream, begin + owner * _BOUND.itemsize, 2):
                (start, stop), (end,) = bounds, _bounds(stream, begin + owners * _BOUND.itemsize, 1)
                begin += (owners + 1) * _BOUND.itemsize
                if start < stop:
                    stream.seek(begin + start * entry.itemsize)
                    yield stream, stop - start
                begin += end * entry.itemsize


def _bounds(stream: BinaryIO, offset: int, number: int) -> list[int]:
    stream.seek(offset)
    return np.frombuffer(stream.read(number * _BOUND.itemsize), _BOUND).tolist()


class Blocks:
    """All blocks in order, by which documents are counted without gaps."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._block = np.frombuffer(paths.read(_blocks(folder)), _BLOCK)

    @property
    def documents(self) -> int:
        """How many documents there are."""
        return int(self._block["before"][-1])

    @property
    def partitions(self) -> int:
        """How many parts the keys of all documents are looked at in."""
        return max(_FEWEST_PARTITIONS, -(-self.documents // TOGETHER))

    @property
    def batches(self) -> int:
        """How many batches there are, at least one."""
        return int(self._block["batch"][-1])

    def batch(self, number: int) -> tuple[list[int], int, int]:
        """The numbers of the blocks of a batch, how many documents come before them, and how many with
        them.
        """
        first, end = np.searchsorted(self._block["batch"], (number, number + 1)).tolist()
        return (
            self._block["number"][first:end].tolist(),
            int(self._block["before"][first]),
            int(self._block["before"][end]),
        )

    def batch_of(self, block: int) -> int:
        """The batch of a block, by number."""
        return int(self._block["batch"][np.searchsorted(self._block["number"], np.uint64(block))])

    def before(self, element: int) -> int:
        """How many documents lie in the elements before this one."""
        return int(
            self._block["before"][np.searchsorted(self._block["number"], np.uint64(document(element, 0)))]
        )

    def counted(self, numbers: np.ndarray) -> np.ndarray:
        """(N,) uint64: how many documents come before each of these, (N,) by number."""
        block = self._block[np.searchsorted(self._block["number"], numbers, side="right") - 1]
        return block["before"] + (numbers - block["number"])

    def number(self, count: int) -> int:
        """The number of a document of which so many come before: the inverse of `counted`."""
        block = self._block[np.searchsorted(self._block["before"], np.uint64(count), side="right") - 1]
        return int(block["number"]) + count - int(block["before"])

    def keys(self, batch: int) -> np.ndarray:
        """(M,) KEY: the entries of the blocks of a batch, in their order."""
        stems = (_stem(self._folder, *position_of(number)[:2]) for number in self.batch(batch)[0])
        return np.frombuffer(b"".join(paths.read(f"{stem}.keys") for stem in stems), KEY)


def write_blocks(folder: str, sizes: Iterable[tuple[int, list[int]]], block_bytes: int) -> None:
    """Write what `Blocks` reads: each element with how many documents each of its blocks, of about
    `block_bytes` of text, has.
    """
    numbered_sizes = [
        (document(element, block), size) for element, each in sorted(sizes) for block, size in enumerate(each)
    ]
    table = np.zeros(len(numbered_sizes) + 1, _BLOCK)
    table["number"] = [*(number for number, _ in numbered_sizes), np.iinfo(np.uint64).max]
    table["before"][1:] = np.cumsum([size for _, size in numbered_sizes])
    batch = blocks = documents = 0
    for position, (_, size) in enumerate(numbered_sizes):
        if blocks == max(1, _BATCH_BYTES // block_bytes) or (blocks and documents + size > TOGETHER):
            batch, blocks, documents = batch + 1, 0, 0
        table["batch"][position] = batch
        blocks, documents = blocks + 1, documents + size
    table["batch"][-1] = batch + 1
    paths.write(_blocks(folder), table.tobytes())


def _blocks(folder: str) -> str:
    return paths.join(folder, "blocks.index")


def _index(stem: str) -> np.ndarray:
    return np.frombuffer(paths.read(f"{stem}.index"), INDEX)


def _stem(folder: str, element: int, block: int) -> str:
    return paths.join(folder, f"{element:06d}-{block:06d}")
