"""Cleaned blocks and band keys in files that all workers see, between the two stages.

A block is a file of concatenated UTF-8 texts with an index, so that any one document is read by its offset; its keys lie in a second
file, sorted by hash partition, so that a partition of all blocks is read without the rest.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mobilebert.pipelines import places

# A document is known by one number, ascending in the order of the input: element, block of the element, place in the block.
_BLOCK_BITS, _PLACE_BITS = 20, 20
MAX_DOCUMENTS = 1 << _PLACE_BITS

INDEX = np.dtype([("offset", "<u8"), ("size", "<u4"), ("characters", "<u4"), ("raw", "<u8"), ("digest", "<u8", 2), ("source", "<u2")])
KEY = np.dtype([("key", "<u8"), ("document", "<u8")])
# Some entries of a key file: element and block, first entry, end.
Reference = tuple[int, int, int, int]


@dataclass(frozen=True)
class Block:
    """What a block file holds: names and sources beside the index."""

    index: np.ndarray  # (D,) INDEX
    names: list[str]
    sources: list[str]

    def source(self, place: int) -> str:
        """The source of a document."""
        return self.sources[self.index["source"][place]]


def document(element: int, block: int, place: int = 0) -> int:
    """The number of a document."""
    return (element << (_BLOCK_BITS + _PLACE_BITS)) | (block << _PLACE_BITS) | place


def place_of(number: int) -> tuple[int, int, int]:
    """Element, block and place of a document's number."""
    return number >> (_BLOCK_BITS + _PLACE_BITS), (number >> _PLACE_BITS) & ((1 << _BLOCK_BITS) - 1), number & (MAX_DOCUMENTS - 1)


def write_block(folder: str, element: int, block: int, texts: list[bytes], index: np.ndarray, names: list[str], sources: list[str]) -> None:
    """Write a block's texts, index and names."""
    stem = _stem(folder, element, block)
    places.write(f"{stem}.text", b"".join(texts))
    places.write(f"{stem}.names", json.dumps({"names": names, "sources": sources}, ensure_ascii=False).encode())
    places.write(f"{stem}.index", index.tobytes())


def read_block(folder: str, element: int, block: int) -> Block:
    """Index and names of a block."""
    stem = _stem(folder, element, block)
    names = json.loads(places.read(f"{stem}.names"))
    return Block(_index(stem), names["names"], names["sources"])


def read_texts(folder: str, element: int, block: int) -> bytes:
    """All texts of a block, one after the other."""
    return places.read(f"{_stem(folder, element, block)}.text")


class Documents:
    """Single documents by number, for comparing candidates; keeps a few files open."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._index = lru_cache(64)(_index)
        self._file = lru_cache(64)(lambda stem: places.opened(f"{stem}.text"))

    def entry(self, number: int) -> np.void:
        """The INDEX entry of a document."""
        element, block, place = place_of(number)
        return self._index(_stem(self._folder, element, block))[place]

    def text(self, number: int) -> str:
        """The text of a document."""
        element, block, _ = place_of(number)
        entry = self.entry(number)
        stream = self._file(_stem(self._folder, element, block))
        stream.seek(int(entry["offset"]))
        return stream.read(int(entry["size"])).decode()


def write_keys(folder: str, element: int, block: int, keys: np.ndarray, partitions: int) -> list[int]:
    """Write the (M,) KEY entries of a block, sorted by partition.

    Returns:
        (partitions + 1) where the entries of each partition begin, and their end.
    """
    partition = (keys["key"] % np.uint64(partitions)).astype(np.int64)
    places.write(f"{_stem(folder, element, block)}.keys", keys[np.argsort(partition, kind="stable")].tobytes())
    return np.concatenate([[0], np.cumsum(np.bincount(partition, minlength=partitions))]).tolist()


def references(element: int, block: int, bounds: list[int]) -> list[tuple[int, Reference]]:
    """Each partition that has keys of a block, with where they lie."""
    ranges = itertools.pairwise(bounds)
    return [(number, (element, block, start, stop)) for number, (start, stop) in enumerate(ranges) if start < stop]


def read_keys(folder: str, references: list[Reference]) -> np.ndarray:
    """The (M,) KEY entries of some ranges, ascending by key and document."""
    keys = np.empty(sum(stop - start for _, _, start, stop in references), KEY)
    end = 0
    for element, block, start, stop in references:
        data = places.read(f"{_stem(folder, element, block)}.keys", start * KEY.itemsize, (stop - start) * KEY.itemsize)
        keys[end : end + stop - start] = np.frombuffer(data, KEY)
        end += stop - start
    return keys[np.lexsort((keys["document"], keys["key"]))]  # sorting whole entries takes ten times as long


def _index(stem: str) -> np.ndarray:
    return np.frombuffer(places.read(f"{stem}.index"), INDEX)


def _stem(folder: str, element: int, block: int) -> str:
    return places.join(folder, f"{element:06d}-{block:06d}")
