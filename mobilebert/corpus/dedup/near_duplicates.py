"""Exact and near-duplicates: documents that share a key are compared; what goes is alike to a document that
stays.

Of equal texts the first stays, and stands for them. Of texts that are nearly equal, each goes that is alike
to a longer one that stays (of one length, texts are taken by their hash). Connected groups would be simpler,
but in a chain of documents, each a little different from the one before, they drop documents that are like
nothing that stays.

Between the steps all lies in files, of which a step reads its share. Only the last step is one for all: it
reads the sorted pairs as a stream and holds a byte a document.
"""

from __future__ import annotations

import heapq
import struct
from collections.abc import Iterable, Iterator

import numpy as np

from mobilebert.corpus.cleaning import CleaningContext
from mobilebert.corpus.dedup import block_store, minhash
from mobilebert.splitmix import mixed
from mobilebert.storage import paths

ALL_PAIRS = 8
# Two documents, the first the one that stays if they are alike, and its rank.
PAIR = np.dtype([("rank", "<u8"), ("first", "<u8"), ("second", "<u8")])
# What becomes of a document.
STAYS, EXACT, NEAR = range(3)
# entries of KEY that are paired, about 350 bytes each; more of PAIR are looked through for equal ones
_AT_ONCE = 100_000
# entries for each of `block_store.TOGETHER` documents that a partition may have: it has 15, but for chance
_ROOM = 18
_SAMPLED = 61  # one of so many entries says where to cut; a prime, since a document's keys follow each other
_COMPARED = 200_000  # characters of the longer texts of pairs that are compared together
_READ_AHEAD = 400_000  # entries of PAIR of all groups together, while they are merged


def gather(batch: int, context: CleaningContext) -> int:
    """Bring the keys of a batch of blocks together (`keys-NNNNNN`, KEY by partition); returns it.

    Of equal texts in the batch only the first keeps its keys, so that copies of one text, however many, do
    not fill a partition; the others are `copied-NNNNNN` (uint64 by count).
    """
    keys_file = _file(context, "keys", batch)
    if paths.exists(keys_file):
        return batch  # by a run that was killed
    blocks = block_store.Blocks(context.folder)
    _, first, end = blocks.batch(batch)
    keys = blocks.keys(batch)
    whole = keys[keys["key"] >= block_store.OF_TEXT]
    whole = whole[np.lexsort((whole["rank"], whole["key"]))]
    copies = blocks.counted(whole["document"][_copies(whole)])
    paths.write(_file(context, "copied", batch), copies.tobytes())
    gone = np.zeros(end - first, bool)
    gone[copies - first] = True
    keys = keys[~gone[blocks.counted(keys["document"]) - first]]
    block_store.write_ranges(keys_file, keys, keys["key"] % np.uint64(blocks.partitions), blocks.partitions)
    return batch


def candidates(partition: int, context: CleaningContext) -> int:
    """Find the documents with equal keys in a partition of the keys; returns it.

    Writes the copies of each text but the first (`copies-NNNNNN`, uint64 by count) and the pairs of similar
    texts (`pairs-NNNNNN`, PAIR by number), in as many groups by the pair itself, so that each is compared
    once. Of up to `ALL_PAIRS` texts with one key, all are paired; of more, each with the one that stays
    first, and with the one before.
    """
    pairs_file = _file(context, "pairs", partition)
    if paths.exists(pairs_file):
        return partition
    blocks = block_store.Blocks(context.folder)
    copies = [np.zeros(0, np.uint64)]
    carried = np.zeros(0, block_store.KEY)
    with paths.writing(pairs_file) as stream:
        for keys in _shared(partition, blocks, context):
            keys = np.concatenate([carried, keys])
            copy = _copies(keys)
            copies.append(blocks.counted(keys["document"][copy & (keys["key"] >= block_store.OF_TEXT)]))
            keys = keys[~copy]
            pairs = _pairs(keys)
            group = mixed(mixed(pairs["first"]) ^ pairs["second"]) % np.uint64(blocks.partitions)
            block_store.add_ranges(stream, pairs, group, blocks.partitions)
            last = keys[
                keys["key"] == keys["key"][-1]
            ]  # if it goes on, the first and the one before are known, and whether there are many
            carried = last[[0, *range(-ALL_PAIRS, 0)]] if len(last) > ALL_PAIRS else last
        paths.write(_file(context, "copies", partition), np.concatenate(copies).tobytes())
    return partition


def confirm(group: int, context: CleaningContext) -> int:
    """Compare the pairs of a group, of all partitions; returns it.

    Writes those whose 5-grams have a Jaccard similarity of at least `corpus.near_duplicate_similarity`
    (`alike-NNNNNN`, PAIR by count, ascending).
    """
    out = _file(context, "alike", group)
    if paths.exists(out):
        return group
    blocks = block_store.Blocks(context.folder)
    pairs = _distinct(
        block_store.read_ranges([_file(context, "pairs", partition)], group, blocks.partitions, PAIR)
        for partition in range(blocks.partitions)
    )
    # A pair's rank is that of its longer text.
    together = np.cumsum(block_store.lengths(pairs["rank"])) // _COMPARED
    similar = pairs[
        _similarities(pairs, together, block_store.Documents(context.folder))
        >= context.settings.near_duplicate_similarity
    ]
    similar["first"], similar["second"] = blocks.counted(similar["first"]), blocks.counted(similar["second"])
    paths.write(out, similar.tobytes())
    return group


def alike(group: int, groups: int, context: CleaningContext) -> Iterator[tuple[int, int, int]]:
    """What `confirm` wrote for one of the groups; the file is open only while a little of it is read,
    since there are many.
    """
    path, start, size = _file(context, "alike", group), 0, max(1, _READ_AHEAD // groups) * PAIR.itemsize
    while data := paths.read(path, start, size):
        yield from struct.iter_unpack("<QQQ", data)
        start += len(data)


def decide(context: CleaningContext) -> None:
    """Write what becomes of each document (`verdicts`, a byte each: STAYS, EXACT or NEAR).

    The pairs of all groups come in the order of their first documents' ranks. So when a document's pairs
    come, it is known whether it goes: if it stays, those that are alike to it go.
    """
    if paths.exists(_verdict_file(context)):
        return
    blocks = block_store.Blocks(context.folder)
    fates = bytearray(blocks.documents)
    groups = blocks.partitions
    for name, files in (("copied", blocks.batches), ("copies", groups)):
        for number in range(files):
            np.frombuffer(fates, np.uint8)[
                np.frombuffer(paths.read(_file(context, name, number)), np.uint64)
            ] = EXACT
    for _, first, second in heapq.merge(*(alike(number, groups, context) for number in range(groups))):
        if not fates[first]:
            fates[second] = NEAR
    paths.write(_verdict_file(context), fates)


def verdicts(first: int, end: int, context: CleaningContext) -> np.ndarray:
    """(D,) uint8: what becomes of each document from one to before another, by count."""
    return np.frombuffer(paths.read(_verdict_file(context), first, end - first), np.uint8)


def _copies(keys: np.ndarray) -> np.ndarray:
    """(M,) bool: which of the KEY entries, sorted by key and rank, are of a text that the one before is
    of.
    """
    copy = np.zeros(len(keys), bool)
    copy[1:] = (keys["key"][1:] == keys["key"][:-1]) & (keys["rank"][1:] == keys["rank"][:-1])
    return copy


def _shared(partition: int, blocks: block_store.Blocks, context: CleaningContext) -> Iterator[np.ndarray]:
    """The KEY entries of a partition whose key another has too, by key, rank and document, some at a time.

    Those of one key come together, unless they are more than `_AT_ONCE`. Some may come that share their key
    with none.
    """
    for keys in map(_sharing, _slices(partition, blocks, context)):
        start = 0
        while start < len(keys):
            end = start + _AT_ONCE
            if end < len(keys):
                first = int(np.searchsorted(keys["key"], keys["key"][end]))
                end = first if first > start else end
            yield keys[start:end]
            start = end


def _sharing(keys: np.ndarray) -> np.ndarray:
    """The KEY entries whose key another has too, and those of the first key, which may have more
    elsewhere; by key, rank and document.
    """
    order = np.argsort(keys["key"])
    value = keys["key"][order]
    same = value[1:] == value[:-1]
    keys = keys[order[np.append(same, False)[: len(order)] | np.append(True, same)[: len(order)]]]
    return keys[np.lexsort((keys["document"], keys["rank"], keys["key"]))]


def _slices(partition: int, blocks: block_store.Blocks, context: CleaningContext) -> Iterator[np.ndarray]:
    """The KEY entries of a partition: all of them, if they are about as many as its share of the documents
    has.

    They are more where millions of texts have one key. Then they come by key and, of such a key, by rank, cut
    where a sample of them says.
    """
    files = [_file(context, "keys", batch) for batch in range(blocks.batches)]
    most = _ROOM * block_store.TOGETHER
    if block_store.count_ranges(files, partition, blocks.partitions, block_store.KEY) <= most:
        yield block_store.read_ranges(files, partition, blocks.partitions, block_store.KEY)
        return
    key_arrays = (
        block_store.read_ranges([file], partition, blocks.partitions, block_store.KEY) for file in files
    )
    sample = np.concatenate([keys[::_SAMPLED].copy() for keys in key_arrays])
    step = max(1, most // 2 // _SAMPLED)
    cuts = sample[np.lexsort((sample["rank"], sample["key"]))][step::step]
    cuts["rank"][np.append(True, cuts["key"][1:] != cuts["key"][:-1])] = (
        0  # only what has more than one cut is cut itself
    )
    sliced = [_file(context, f"slices-{partition:06d}", batch) for batch in range(blocks.batches)]
    for file, out in zip(files, sliced, strict=True):
        keys = block_store.read_ranges([file], partition, blocks.partitions, block_store.KEY)
        owner = np.zeros(len(keys), np.int64)
        for cut in cuts:
            owner += (keys["key"] > cut["key"]) | (keys["key"] == cut["key"]) & (keys["rank"] >= cut["rank"])
        block_store.write_ranges(out, keys, owner, len(cuts) + 1)
    for number in range(len(cuts) + 1):
        yield block_store.read_ranges(sliced, number, len(cuts) + 1, block_store.KEY)


def _distinct(arrays: Iterable[np.ndarray]) -> np.ndarray:
    """(N,) PAIR: those of all parts, ascending, each once: all bands of two texts may have found them."""
    pending: list[np.ndarray] = []
    size = known = 0
    for array in arrays:
        pending.append(array)
        size += len(array)
        if size > 2 * known + _AT_ONCE:
            pending = [_ascending(pending)]
            size = known = len(pending[0])
    return _ascending(pending)


def _ascending(arrays: list[np.ndarray]) -> np.ndarray:
    pairs = np.concatenate(arrays)
    pairs = pairs[np.lexsort((pairs["second"], pairs["first"], pairs["rank"]))]
    return pairs[np.append(True, pairs[1:] != pairs[:-1])[: len(pairs)]]


def _pairs(keys: np.ndarray) -> np.ndarray:
    """(N,) PAIR: pairs of documents with equal keys, of (M,) KEY entries as `_shared` gives them."""
    value = keys["key"]
    starts = np.flatnonzero(np.append(True, value[1:] != value[:-1])[: len(keys)])
    sizes = np.diff(np.append(starts, len(keys)))
    head, many = np.repeat(starts, sizes), np.repeat(sizes > ALL_PAIRS, sizes)
    position = np.arange(len(keys))
    after = position - head
    star = position[many & (after > 1)]
    steps = [(step, position[(after >= step) & (~many | (step == 1))]) for step in range(1, ALL_PAIRS)]
    first = np.concatenate([head[star], *(here - step for step, here in steps)])
    second = np.concatenate([star, *(here for _, here in steps)])
    pairs = np.empty(len(first), PAIR)
    pairs["rank"], pairs["first"], pairs["second"] = (
        keys["rank"][first],
        keys["document"][first],
        keys["document"][second],
    )
    return pairs


def _similarities(pairs: np.ndarray, together: np.ndarray, documents: block_store.Documents) -> np.ndarray:
    """(N,) the Jaccard similarities of the 5-grams of (N,) PAIR; those with one number of (N,) `together`,
    ascending, at once.
    """
    similarities: list[float] = []
    sets: dict[int, np.ndarray] = {}
    for batch in np.split(pairs, np.flatnonzero(np.diff(together)) + 1):
        wanted = np.union1d(batch["first"], batch["second"]).tolist()  # in the order of the files
        sets = {number: sets[number] for number in wanted if number in sets}
        missing = [number for number in wanted if number not in sets]
        sets |= zip(
            missing, minhash.shingle_sets([documents.text(number) for number in missing]), strict=True
        )
        ends = zip(batch["first"].tolist(), batch["second"].tolist(), strict=True)
        similarities += [minhash.jaccard(sets[first], sets[second]) for first, second in ends]
    return np.array(similarities)


def _file(context: CleaningContext, name: str, number: int) -> str:
    return paths.join(context.folder, f"{name}-{number:06d}")


def _verdict_file(context: CleaningContext) -> str:
    return paths.join(context.folder, "fates")
