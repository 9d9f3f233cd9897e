"""Paragraphs that many documents share: notices, templates, introductions, which no list of phrases knows.

CCNet (Wenzek et al. 2020, section 3.1) compares paragraphs by 64-bit hashes of their small letters, digits as 0 and nothing else, and
drops those that were seen before in its 5 GB of pages. Here a paragraph is a line of a cleaned text, and it goes from all documents if
over `corpus.max_paragraph_documents` of those that are left after deduplication have it: of a text with copies the copies go, not its
paragraphs.

Each batch of blocks counts the paragraphs of its documents, by partition of their hashes; each partition adds the counts of all batches
up, and tells every batch which of its paragraphs go. So a paragraph of a million documents is one entry a batch, and what is told is never
more than was counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np

from mobilebert.corpus import duplicates, minhash, store
from mobilebert.corpus.clean import Work
from mobilebert.pipelines import places
from mobilebert.text import characters

LEAST_LETTERS = 10  # shorter lines are headings, replies, verses, which many documents rightly share
_COUNT = np.dtype([("hash", "<u8"), ("documents", "<u4"), ("batch", "<u4")])
_HASH = np.dtype("<u8")
_BATCHES_OF_A_PARTITION = 4  # whose paragraphs, of ten letters each, would take 64 MB
_TOGETHER = 100_000  # characters
_FACTOR = 0x9E3779B97F4A7C15  # odd, so that it has an inverse
_LINE_END = np.uint64(1)


def hashes(texts: Sequence[str]) -> np.ndarray:
    """(L,) uint64: the hash of every line of the texts, which hold no empty ones; 0 where it has fewer than `LEAST_LETTERS`."""
    values = _forms()[characters.codes("\n".join([*texts, ""]))]
    values = values[values != 0]
    ends = np.flatnonzero(values == _LINE_END)
    starts = np.append(0, ends[:-1] + 1)
    # A polynomial in the place of a letter in all texts, then divided by that of its line.
    powers, inverse = (np.cumprod(np.full(len(values), factor, np.uint64)) for factor in (_FACTOR, pow(_FACTOR, -1, 1 << 64)))
    made = minhash.mixed(np.add.reduceat(values * powers, starts) * inverse[starts])
    made[ends - starts < LEAST_LETTERS] = 0
    return made


def partitions(work: Work) -> int:
    """How many parts the paragraphs of all documents are counted in."""
    return max(4, -(-store.Blocks(work.folder).batches // _BATCHES_OF_A_PARTITION))


def count(batch: int, work: Work) -> int:
    """Count in how many documents of a batch of blocks each paragraph stands (`paragraphs-NNNNNN`); returns it."""
    out = _file(work, "paragraphs", batch)
    if places.exists(out):
        return batch  # by a run that was killed
    hash_, documents = np.unique(np.concatenate([np.zeros(0, _HASH), *map(_once, _kept(batch, work))]), return_counts=True)
    entries = np.empty(len(hash_), _COUNT)
    entries["hash"], entries["documents"], entries["batch"] = hash_, documents, batch
    store.write_ranges(out, entries, hash_ % np.uint64(partitions(work)), partitions(work))
    return batch


def share(partition: int, work: Work) -> int:
    """Tell every batch which of its paragraphs too many documents have (`shared-NNNNNN`), of a partition; returns it."""
    out = _file(work, "shared", partition)
    if places.exists(out):
        return partition
    batches = store.Blocks(work.folder).batches
    files = (_file(work, "paragraphs", batch) for batch in range(batches))
    entries = np.sort(store.read_ranges(files, partition, partitions(work), _COUNT), order="hash")
    starts = np.flatnonzero(np.append(True, entries["hash"][1:] != entries["hash"][:-1])[: len(entries)])
    total = np.add.reduceat(entries["documents"], starts, dtype=np.uint64) if len(entries) else np.zeros(0, np.uint64)
    most = work.settings.max_paragraph_documents or 0
    found = entries[np.repeat(total > most, np.diff(np.append(starts, len(entries))))]
    store.write_ranges(out, found["hash"], found["batch"], batches)
    return partition


def shared(batch: int, work: Work) -> np.ndarray:
    """(H,) uint64, ascending: the paragraphs that go from the documents of a batch."""
    files = (_file(work, "shared", partition) for partition in range(partitions(work)))
    return np.sort(store.read_ranges(files, batch, store.Blocks(work.folder).batches, _HASH))


def cut(texts: Sequence[str], gone: np.ndarray) -> dict[int, tuple[str, list[str]]]:
    """Of each text, by place, that has paragraphs of (H,) `gone`: what is left of it, and these."""
    if not len(texts) or not len(gone):
        return {}
    made = hashes(texts)
    found = gone[np.minimum(np.searchsorted(gone, made), len(gone) - 1)] == made
    ends = np.cumsum([text.count("\n") + 1 for text in texts])
    taken = {}
    for place in np.unique(np.searchsorted(ends, np.flatnonzero(found), "right")).tolist():
        lines = texts[place].split("\n")
        goes = found[ends[place] - len(lines) : ends[place]].tolist()
        left = "\n".join(line for line, out in zip(lines, goes, strict=True) if not out)
        taken[place] = left, [line for line, out in zip(lines, goes, strict=True) if out]
    return taken


def _kept(batch: int, work: Work) -> Iterator[list[str]]:
    """The texts of the batch's documents that stay, some at a time."""
    numbers, first, end = store.Blocks(work.folder).batch(batch)
    fates = duplicates.fates(first, end, work)
    held: list[str] = []
    size = 0
    for number in numbers:
        element, block, _ = store.place_of(number)
        index, texts = store.read_index(work.folder, element, block), store.read_texts(work.folder, element, block)
        for entry in index[fates[: len(index)] == duplicates.STAYS].tolist():
            held.append(texts[entry[0] : entry[0] + entry[1]].decode())
            size += len(held[-1])
            if size >= _TOGETHER:
                yield held
                held, size = [], 0
        fates = fates[len(index) :]
    if held:
        yield held


def _once(texts: Sequence[str]) -> np.ndarray:
    """(M,) uint64: the hashes of the paragraphs of each text, one that it repeats only once."""
    made = hashes(texts)
    owner = np.repeat(np.arange(len(texts)), [text.count("\n") + 1 for text in texts])
    order = np.lexsort((made, owner))
    made, owner = made[order], owner[order]
    return made[np.append(True, (made[1:] != made[:-1]) | (owner[1:] != owner[:-1])) & (made != 0)]


@cache
def _forms() -> np.ndarray:
    """(0x110000,) uint64: what stands for each code point in a hash: small letters, one digit for all, 0 for what is left out."""
    table = characters.letters().astype(np.uint64)
    table[ord("0") : ord("9") + 1] = ord("0")
    table = minhash.mixed(table)
    table[ord("\n")] = _LINE_END
    return table


def _file(work: Work, name: str, number: int) -> str:
    return places.join(work.folder, f"{name}-{number:06d}")
