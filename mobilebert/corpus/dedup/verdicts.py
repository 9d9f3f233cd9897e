"""What becomes of each document: it stays, or goes for one that does.

The step is one for all. It reads the sorted pairs as a stream and holds a byte a document; for which document
each goes, and how many go for each, lies in a file that is mapped into memory.
"""

from __future__ import annotations

import heapq
import shutil
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from mobilebert.corpus.cleaning import CleaningContext
from mobilebert.corpus.dedup import block_store
from mobilebert.corpus.dedup.near_duplicates import ALIKE, COPY, file_of
from mobilebert.storage import paths

# A document that goes for another, which stays or is another corpus's, and how similar the two are.
DROP = np.dtype([("document", "<u8"), ("survivor", "<u8"), ("similarity", "<f4")])
# What becomes of a document; which one it goes for, how similar that is; and how many go for it if it stays.
VERDICT = np.dtype(
    [("fate", "u1"), ("similarity", "<f4"), ("exact", "<u4"), ("near", "<u4"), ("survivor", "<u8")]
)
STAYS, EXACT, NEAR, OTHER = range(4)
OTHERS = np.uint64(1 << 63)  # in the number of a document: it is another corpus's
_PACKED = struct.Struct("<QQf").pack  # a DROP
_DROPS = 10_000  # that are gathered before the file of verdicts is changed
_READ_AHEAD = 400_000  # entries of ALIKE of all groups together, while they are merged


def decide(context: CleaningContext) -> None:
    """Write what becomes of each document, and which one it goes for (`verdicts`, VERDICT).

    The pairs of all groups come in the order of their first documents' ranks. So when a document's pairs
    come, it is known whether it goes: if it stays, those that are alike to it go. What another corpus has
    goes before that.
    """
    if paths.exists(_verdict_file(context)):
        return
    blocks = block_store.Blocks(context.folder)
    with _mapped_verdicts(blocks.documents, context) as verdict:
        for copies in _all_copies(blocks, context):
            # The first of a batch of blocks may be a copy of one in another: then `copies` had it before.
            first = copies["first"]
            known = verdict["fate"][first] == EXACT
            verdict["survivor"][copies["document"]] = np.where(known, verdict["survivor"][first], first)
            verdict["fate"][copies["document"]] = EXACT
        for path in files_of_others(context):
            _drop_for_others(verdict, np.frombuffer(paths.read(path), DROP))
        for drops in _near_drops(bytearray(verdict["fate"]), blocks.partitions, context):
            _drop(verdict, drops, NEAR, "near")
        for copies in _all_copies(blocks, context):
            _drop_copies(verdict, copies["document"])


def verdicts(first: int, end: int, context: CleaningContext) -> np.ndarray:
    """(D,) VERDICT: what becomes of each document from one to before another, by count."""
    size = VERDICT.itemsize
    data = paths.read(_verdict_file(context), first * size, (end - first) * size)
    return np.frombuffer(data, VERDICT)


def alike(group: int, groups: int, context: CleaningContext) -> Iterator[tuple[int, int, int, float]]:
    """What `confirm` wrote for one of the groups; the file is open only while a little of it is read,
    since there are many.
    """
    path, start, size = file_of(context, "alike", group), 0, max(1, _READ_AHEAD // groups) * ALIKE.itemsize
    while data := paths.read(path, start, size):
        yield from struct.iter_unpack("<QQQf", data)
        start += len(data)


@contextmanager
def _mapped_verdicts(documents: int, context: CleaningContext) -> Iterator[np.ndarray]:
    """(D,) VERDICT of 0 in a file that is mapped into memory, which is then written as `verdicts`."""
    with tempfile.TemporaryFile(dir=context.folder if paths.is_local(context.folder) else None) as file:
        file.truncate(documents * VERDICT.itemsize)
        # A file of no bytes cannot be mapped.
        yield np.memmap(file, VERDICT, "r+", shape=(documents,)) if documents else np.zeros(0, VERDICT)
        file.seek(0)
        with paths.writing(_verdict_file(context)) as stream:
            shutil.copyfileobj(file, stream)


def _all_copies(blocks: block_store.Blocks, context: CleaningContext) -> Iterator[np.ndarray]:
    """(N,) COPY of each file: first the copies among the batches' first ones, then those within batches."""
    for name, files in (("copies", blocks.partitions), ("copied", blocks.batches)):
        for number in range(files):
            yield np.frombuffer(paths.read(file_of(context, name, number)), COPY)


def files_of_others(context: CleaningContext) -> list[str]:
    """The files (DROP by count) of what other corpora have; see `other_corpora`."""
    if not context.settings.against:
        return []
    partitions = block_store.Blocks(context.folder).partitions
    return [file_of(context, name, number) for name in ("same", "known") for number in range(partitions)]


def _near_drops(fates: bytearray, groups: int, context: CleaningContext) -> Iterator[np.ndarray]:
    """(N,) DROP, some at a time: what goes for the longest document that stays of those that it is alike to;
    `fates` tells what goes already.
    """
    drops = bytearray()
    for _, first, second, similarity in heapq.merge(
        *(alike(number, groups, context) for number in range(groups))
    ):
        if not fates[first] and not fates[second]:
            fates[second] = NEAR
            drops += _PACKED(second, first, similarity)
            if len(drops) == _DROPS * DROP.itemsize:
                yield np.frombuffer(drops, DROP)
                drops = bytearray()
    yield np.frombuffer(drops, DROP)


def _drop_for_others(verdict: np.ndarray, drops: np.ndarray) -> None:
    """Let documents go for the most similar document of another corpus, the first of several."""
    drops = drops[np.lexsort((drops["survivor"], -drops["similarity"], drops["document"]))]
    drops = drops[np.unique(drops["document"], return_index=True)[1]]
    before = verdict[drops["document"]]
    more = drops["similarity"] > before["similarity"]
    equal = (drops["similarity"] == before["similarity"]) & (drops["survivor"] < before["survivor"])
    _drop(verdict, drops[(before["fate"] == STAYS) | more | equal], OTHER)


def _drop_copies(verdict: np.ndarray, documents: np.ndarray) -> None:
    """Let (N,) copies go for the first document with their text, which stands in their verdict, or for what
    that one goes for.
    """
    drops = np.empty(len(documents), DROP)
    drops["document"], drops["survivor"], drops["similarity"] = documents, verdict["survivor"][documents], 1
    first = verdict[drops["survivor"]]
    stays, other = first["fate"] == STAYS, first["fate"] == OTHER
    drops["survivor"][~stays], drops["similarity"][~stays] = (
        first["survivor"][~stays],
        first["similarity"][~stays],
    )
    _drop(verdict, drops[stays], EXACT, "exact")
    _drop(verdict, drops[~stays & ~other], EXACT, "near")
    _drop(verdict, drops[other], OTHER)


def _drop(verdict: np.ndarray, drops: np.ndarray, fate: int, counted: str = "") -> None:
    """Write (N,) DROP into the verdicts; count them, as `exact` or `near`, for the documents that stay."""
    document = drops["document"]
    verdict["fate"][document] = fate
    verdict["survivor"][document], verdict["similarity"][document] = drops["survivor"], drops["similarity"]
    if counted:
        survivor, number = np.unique(drops["survivor"], return_counts=True)
        verdict[counted][survivor] += number.astype(np.uint32)


def _verdict_file(context: CleaningContext) -> str:
    return paths.join(context.folder, "verdicts")
