"""Cleaned blocks and band keys on disk, between the two stages.

A block is a file of concatenated UTF-8 texts with an index, so that any one document is read by its offset; its keys lie in a second
file, sorted by hash partition, so that a partition of all blocks is read without the rest.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

# A document is known by one number, ascending in the order of the input: element, block of the element, place in the block.
_BLOCK_BITS, _PLACE_BITS = 20, 20
MAX_DOCUMENTS = 1 << _PLACE_BITS

INDEX = np.dtype([("offset", "<u8"), ("size", "<u4"), ("characters", "<u4"), ("raw", "<u8"), ("digest", "<u8", 2), ("source", "<u2")])
KEY = np.dtype([("key", "<u8"), ("document", "<u8")])


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


def write_block(
    folder: Path, element: int, block: int, texts: list[bytes], index: np.ndarray, names: list[str], sources: list[str]
) -> None:
    """Write a block's texts, index and names; each file appears whole or not at all."""
    stem = _stem(element, block)
    write(folder / f"{stem}.text", lambda path: path.write_bytes(b"".join(texts)))
    write(
        folder / f"{stem}.names",
        lambda path: path.write_text(json.dumps({"names": names, "sources": sources}, ensure_ascii=False), encoding="utf-8"),
    )
    write(folder / f"{stem}.index", lambda path: path.write_bytes(index.tobytes()))


def read_block(folder: Path, element: int, block: int) -> Block:
    """Index and names of a block."""
    stem = _stem(element, block)
    names = json.loads((folder / f"{stem}.names").read_text(encoding="utf-8"))
    return Block(np.fromfile(folder / f"{stem}.index", INDEX), names["names"], names["sources"])


def read_texts(folder: Path, element: int, block: int) -> bytes:
    """All texts of a block, one after the other."""
    return (folder / f"{_stem(element, block)}.text").read_bytes()


class Documents:
    """Single documents by number, for comparing candidates; keeps a few files open."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._index = lru_cache(64)(lambda stem: np.fromfile(folder / f"{stem}.index", INDEX))
        self._file = lru_cache(64)(lambda stem: (folder / f"{stem}.text").open("rb"))

    def entry(self, number: int) -> np.void:
        """The INDEX entry of a document."""
        element, block, place = place_of(number)
        return self._index(_stem(element, block))[place]

    def text(self, number: int) -> str:
        """The text of a document."""
        element, block, _ = place_of(number)
        entry = self.entry(number)
        return os.pread(self._file(_stem(element, block)).fileno(), int(entry["size"]), int(entry["offset"])).decode()


def write_keys(folder: Path, element: int, block: int, keys: np.ndarray, partitions: int) -> list[tuple[int, tuple[str, int, int]]]:
    """Write the (M,) KEY entries of a block, sorted by partition.

    Returns:
        Each partition that has keys, with the file's name and the range of entries.
    """
    partition = (keys["key"] % np.uint64(partitions)).astype(np.int64)
    name = f"{_stem(element, block)}.keys"
    write(folder / name, lambda path: path.write_bytes(keys[np.argsort(partition, kind="stable")].tobytes()))
    bounds = np.concatenate([[0], np.cumsum(np.bincount(partition, minlength=partitions))]).tolist()
    return [(number, (name, bounds[number], bounds[number + 1])) for number in range(partitions) if bounds[number] < bounds[number + 1]]


def read_keys(folder: Path, references: list[tuple[str, int, int]]) -> np.ndarray:
    """The (M,) KEY entries that `write_keys` named, ascending by key and document."""
    read = [np.fromfile(folder / name, KEY, stop - start, offset=start * KEY.itemsize) for name, start, stop in sorted(references)]
    return np.sort(np.concatenate(read), order=("key", "document")) if read else np.zeros(0, KEY)


def write(path: Path, fill: Callable[[Path], object]) -> None:
    """Fill a file under a temporary name, then rename it: a worker that dies or is tried again leaves no half file."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    fill(temporary)
    temporary.replace(path)


def _stem(element: int, block: int) -> str:
    return f"{element:06d}-{block:06d}"
