"""Documents that other corpora have already (`corpus.against`), by the keys that every corpus keeps.

The keys of a corpus (`kept_keys`) ascend over all its files. So each partition of the new corpus's keys meets
its own range of them, all together in one pass, and texts are read only where a key is shared.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mobilebert.corpus.against import KEYS_FOLDER
from mobilebert.corpus.cleaning import CleaningContext
from mobilebert.corpus.dedup import block_store, near_duplicates, verdicts
from mobilebert.splitmix import mixed
from mobilebert.storage import artifacts, paths

_CORPUS_BITS = 40  # of a row, below the number of its corpus
_ROWS_TOGETHER = 12  # bits: so many rows in a row are compared in one group, since a row group has them
_COMPARED = 600_000  # bytes of texts that are compared together
_ROW_GROUPS = 4  # of texts that are kept


class OtherCorpora:
    """The documents of finished corpora, each by one number: its corpus in the list, and its row."""

    def __init__(self, folders: Sequence[str]) -> None:
        self.corpora = [_OtherCorpus(folder) for folder in folders]

    def text(self, number: int) -> str:
        """The text of a document."""
        corpus, row = self._at(number)
        return str(corpus.cells(row, ("text",))[0])

    def name(self, number: int) -> tuple[str, str, str]:
        """Id, source, and the first digits of the digest of the corpus's manifest."""
        corpus, row = self._at(number)
        identifier, source = corpus.cells(row, ("id", "source"))
        return identifier, source, corpus.digest[:12]

    def _at(self, number: int) -> tuple[_OtherCorpus, int]:
        number &= ~int(verdicts.OTHERS)
        return self.corpora[number >> _CORPUS_BITS], number & ((1 << _CORPUS_BITS) - 1)


class _OtherCorpus:
    """One of them; files are opened as they are needed."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        manifest = paths.read(paths.join(folder, artifacts.MANIFEST))
        self.digest = hashlib.sha256(manifest).hexdigest()
        names = sorted(name for name in json.loads(manifest)["files"] if name.endswith(".parquet"))
        self._texts = [name for name in names if "/" not in name]
        self._keys = [name for name in names if PurePosixPath(name).parent.name == KEYS_FOLDER]
        self._file = lru_cache(16)(lambda name: pq.ParquetFile(paths.opened(self._path(name))))
        self._columns = lru_cache(_ROW_GROUPS)(self._read)
        self._groups: list[tuple[str, int]] = []
        self._starts: np.ndarray | None = None

    def keys(self, first: int, last: int) -> Iterator[np.ndarray]:
        """(M,) KEYS as a structured array, some at a time: all keys of a range, and some beside it."""
        bounds = block_store.partition_of(np.array([first, last], np.uint64), len(self._keys)).tolist()
        for name in self._keys[bounds[0] : bounds[1] + 1]:
            file = self._file(name)
            for group in range(file.num_row_groups):
                range_ = file.metadata.row_group(group).column(0).statistics
                if range_.max >= first and range_.min <= last:
                    table = file.read_row_group(group)
                    made = np.empty(len(table), [("key", "<u8"), ("row", "<u8")])
                    made["key"], made["row"] = table["key"].to_numpy(), table["row"].to_numpy()
                    yield made

    def cells(self, row: int, columns: tuple[str, ...]) -> list[Any]:
        """The values of a row of the corpus."""
        if self._starts is None:
            sizes = [0]
            for name in self._texts:
                metadata = self._file(name).metadata
                for group in range(metadata.num_row_groups):
                    self._groups.append((name, group))
                    sizes.append(metadata.row_group(group).num_rows)
            self._starts = np.cumsum(sizes)
        group = int(np.searchsorted(self._starts, row, side="right")) - 1
        table = self._columns(*self._groups[group], columns)
        return [table[column][row - int(self._starts[group])].as_py() for column in columns]

    def _read(self, name: str, group: int, columns: tuple[str, ...]) -> pa.Table:
        return self._file(name).read_row_group(group, columns=list(columns))

    def _path(self, name: str) -> str:
        return paths.join(self._folder, *name.split("/"))


def meet(partition: int, context: CleaningContext) -> int:
    """Find the documents of a partition of the keys that share one with a document of another corpus;
    returns it.

    Writes those whose text is the same (`same-NNNNNN`, DROP by count), and the pairs that share a band
    (`met-NNNNNN`, PAIR of the other and the new document, by number), in groups by the other's row. Of more
    than `ALL_PAIRS` others with one key, the first ones are paired.
    """
    out = near_duplicates.file_of(context, "met", partition)
    if paths.exists(out):
        return partition
    blocks = block_store.Blocks(context.folder)
    others = OtherCorpora(context.settings.against)
    same = [np.zeros(0, verdicts.DROP)]
    with paths.writing(out) as stream:
        for keys in near_duplicates.first_texts(partition, blocks, context):
            for number, corpus in enumerate(others.corpora):
                base = verdicts.OTHERS | np.uint64(number << _CORPUS_BITS)
                for chunk in corpus.keys(int(keys["key"][0]), int(keys["key"][-1])):
                    pairs = _pairs(keys, chunk)
                    pairs["first"] |= base
                    equal = pairs["rank"].astype(bool)
                    same.append(_equal(pairs[equal], blocks))
                    pairs = pairs[~equal]
                    group = mixed(pairs["first"] >> np.uint64(_ROWS_TOGETHER)) % np.uint64(blocks.partitions)
                    block_store.add_ranges(stream, pairs, group, blocks.partitions)
        paths.write(near_duplicates.file_of(context, "same", partition), np.concatenate(same).tobytes())
    return partition


def _pairs(keys: np.ndarray, chunk: np.ndarray) -> np.ndarray:
    """(N,) PAIR: rows of another corpus and (M,) KEY entries of the same key, `rank` 1 where it is that of a
    whole text, else 0.
    """
    start = np.searchsorted(chunk["key"], keys["key"], "left")
    end = np.searchsorted(chunk["key"], keys["key"], "right")
    size = np.minimum(end - start, near_duplicates.ALL_PAIRS)
    mine = np.repeat(np.arange(len(keys)), size)
    pairs = np.empty(len(mine), near_duplicates.PAIR)
    pairs["first"] = chunk["row"][np.repeat(start - np.cumsum(size) + size, size) + np.arange(len(mine))]
    pairs["second"] = keys["document"][mine]
    pairs["rank"] = keys["key"][mine] & block_store.OF_TEXT
    return pairs


def _equal(pairs: np.ndarray, blocks: block_store.Blocks) -> np.ndarray:
    drops = np.ones(len(pairs), verdicts.DROP)
    drops["document"], drops["survivor"] = blocks.counted(pairs["second"]), pairs["first"]
    return drops


def compare(group: int, context: CleaningContext) -> int:
    """Compare the pairs of a group that `meet` wrote, of all partitions; returns it.

    Writes those that are alike by `corpus.near_duplicate_similarity` (`known-NNNNNN`, DROP by count).
    """
    out = near_duplicates.file_of(context, "known", group)
    if paths.exists(out):
        return group
    blocks = block_store.Blocks(context.folder)
    documents, others = block_store.Documents(context.folder), OtherCorpora(context.settings.against)
    pairs = near_duplicates.read_pairs("met", group, blocks, context)
    sizes = np.fromiter((documents.entry(number)["size"] for number in pairs["second"].tolist()), np.int64)
    similarity = near_duplicates.similarities(
        pairs,
        np.cumsum(sizes) // _COMPARED,
        lambda number: others.text(number) if number & int(verdicts.OTHERS) else documents.text(number),
    )
    alike = similarity >= context.settings.near_duplicate_similarity
    drops = np.empty(int(alike.sum()), verdicts.DROP)
    drops["document"], drops["survivor"] = blocks.counted(pairs["second"][alike]), pairs["first"][alike]
    drops["similarity"] = similarity[alike]
    paths.write(out, drops.tobytes())
    return group
