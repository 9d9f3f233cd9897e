"""Exact and near-duplicates: documents that share a key are compared; what goes is alike to a document that
stays.

Of equal texts the first stays, and stands for them. Of texts that are nearly equal, each goes that is alike
to a longer one that stays (of one length, texts are taken by their hash). Connected groups would be simpler,
but in a chain of documents, each a little different from the one before, they drop documents that are like
nothing that stays.

Between the steps all lies in files, of which a step reads its share; `verdicts` decides by them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from mobilebert.corpus.cleaning import CleaningContext
from mobilebert.corpus.dedup import block_store, minhash
from mobilebert.splitmix import mixed
from mobilebert.storage import paths

ALL_PAIRS = 8
# Two documents, the first the one that stays if they are alike, and its rank.
PAIR = np.dtype([("rank", "<u8"), ("first", "<u8"), ("second", "<u8")])
# A pair that is alike, and how much.
ALIKE = np.dtype([*PAIR.descr, ("similarity", "<f4")])
# A document whose text is that of another, and the first that has it.
COPY = np.dtype([("document", "<u8"), ("first", "<u8")])
# entries of KEY that are paired, about 350 bytes each; more of PAIR are looked through for equal ones
_AT_ONCE = 100_000
# entries for each of `block_store.TOGETHER` documents that a partition may have: it has 15, but for chance
_ROOM = 18
_SAMPLED = 61  # one of so many entries says where to cut; a prime, since a document's keys follow each other
_COMPARED = 200_000  # characters of the longer texts of pairs that are compared together


def gather(batch: int, context: CleaningContext) -> int:
    """Bring the keys of a batch of blocks together (`keys-NNNNNN`, KEY by partition); returns it.

    Of equal texts in the batch only the first keeps its keys, so that copies of one text, however many, do
    not fill a partition; the others are `copied-NNNNNN` (COPY by count).
    """
    keys_file = file_of(context, "keys", batch)
    if paths.exists(keys_file):
        return batch  # by a run that was killed
    blocks = block_store.Blocks(context.folder)
    _, first, end = blocks.batch(batch)
    keys = blocks.keys(batch)
    whole = keys[_of_text(keys)]
    whole = whole[np.lexsort((whole["rank"], whole["key"]))]
    copies = _with_first(whole, _copies(whole), blocks)
    paths.write(file_of(context, "copied", batch), copies.tobytes())
    gone = np.zeros(end - first, bool)
    gone[copies["document"] - first] = True
    keys = keys[~gone[blocks.counted(keys["document"]) - first]]
    owner = block_store.partition_of(keys["key"], blocks.partitions)
    block_store.write_ranges(keys_file, keys, owner, blocks.partitions)
    return batch


def candidates(partition: int, context: CleaningContext) -> int:
    """Find the documents with equal keys in a partition of the keys; returns it.

    Writes the copies of each text but the first (`copies-NNNNNN`, COPY by count) and the pairs of similar
    texts (`pairs-NNNNNN`, PAIR by number), in as many groups by the pair itself, so that each is compared
    once. Of up to `ALL_PAIRS` texts with one key, all are paired; of more, each with the one that stays
    first, and with the one before.
    """
    pairs_file = file_of(context, "pairs", partition)
    if paths.exists(pairs_file):
        return partition
    blocks = block_store.Blocks(context.folder)
    copies = [np.zeros(0, COPY)]
    carried = np.zeros(0, block_store.KEY)
    with paths.writing(pairs_file) as stream:
        for keys in _shared(partition, blocks, context):
            keys = np.concatenate([carried, keys])
            copy = _copies(keys)
            copies.append(_with_first(keys, copy & _of_text(keys), blocks))
            keys = keys[~copy]
            pairs = _pairs(keys)
            group = mixed(mixed(pairs["first"]) ^ pairs["second"]) % np.uint64(blocks.partitions)
            block_store.add_ranges(stream, pairs, group, blocks.partitions)
            last = keys[
                keys["key"] == keys["key"][-1]
            ]  # if it goes on, the first and the one before are known, and whether there are many
            carried = last[[0, *range(-ALL_PAIRS, 0)]] if len(last) > ALL_PAIRS else last
        paths.write(file_of(context, "copies", partition), np.concatenate(copies).tobytes())
    return partition


def confirm(group: int, context: CleaningContext) -> int:
    """Compare the pairs of a group, of all partitions; returns it.

    Writes those whose 5-grams have a Jaccard similarity of at least `corpus.near_duplicate_similarity`
    (`alike-NNNNNN`, ALIKE by count, ascending).
    """
    out = file_of(context, "alike", group)
    if paths.exists(out):
        return group
    blocks = block_store.Blocks(context.folder)
    pairs = read_pairs("pairs", group, blocks, context)
    # A pair's rank is that of its longer text.
    together = np.cumsum(block_store.lengths(pairs["rank"])) // _COMPARED
    similarity = similarities(pairs, together, block_store.Documents(context.folder).text)
    similar = similarity >= context.settings.near_duplicate_similarity
    pairs = pairs[similar]
    entries = np.empty(len(pairs), ALIKE)
    entries["rank"], entries["similarity"] = pairs["rank"], similarity[similar]
    entries["first"], entries["second"] = blocks.counted(pairs["first"]), blocks.counted(pairs["second"])
    paths.write(out, entries.tobytes())
    return group


def _of_text(keys: np.ndarray) -> np.ndarray:
    """(M,) bool: which of the KEY entries are of whole texts."""
    return (keys["key"] & block_store.OF_TEXT).astype(bool)


def _with_first(keys: np.ndarray, copy: np.ndarray, blocks: block_store.Blocks) -> np.ndarray:
    """(N,) COPY by count: those of the KEY entries, as `_copies` takes them, that are copies, each with the
    first of its text.
    """
    first = np.maximum.accumulate(np.where(_copies(keys), 0, np.arange(len(keys))))
    copies = np.empty(int(copy.sum()), COPY)
    copies["document"] = blocks.counted(keys["document"][copy])
    copies["first"] = blocks.counted(keys["document"][first[copy]])
    return copies


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
    for keys in map(_sharing, slices(partition, blocks, context)):
        yield from _some_at_a_time(keys)


def first_texts(partition: int, blocks: block_store.Blocks, context: CleaningContext) -> Iterator[np.ndarray]:
    """The KEY entries of a partition by key, rank and document, some at a time: of each text those of the
    first document that has it.
    """
    for keys in slices(partition, blocks, context):
        keys = keys[np.lexsort((keys["document"], keys["rank"], keys["key"]))]
        yield from _some_at_a_time(keys[~_copies(keys)])


def _some_at_a_time(keys: np.ndarray) -> Iterator[np.ndarray]:
    """Sorted KEY entries, about `_AT_ONCE` at a time, those of one key together unless they are more."""
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


def slices(partition: int, blocks: block_store.Blocks, context: CleaningContext) -> Iterator[np.ndarray]:
    """The KEY entries of a partition: all of them, if they are about as many as its share of the documents
    has.

    They are more where millions of texts have one key. Then they come by key and, of such a key, by rank, cut
    where a sample of them says.
    """
    files = [file_of(context, "keys", batch) for batch in range(blocks.batches)]
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
    sliced = [file_of(context, f"slices-{partition:06d}", batch) for batch in range(blocks.batches)]
    for file, out in zip(files, sliced, strict=True):
        keys = block_store.read_ranges([file], partition, blocks.partitions, block_store.KEY)
        owner = np.zeros(len(keys), np.int64)
        for cut in cuts:
            owner += (keys["key"] > cut["key"]) | (keys["key"] == cut["key"]) & (keys["rank"] >= cut["rank"])
        block_store.write_ranges(out, keys, owner, len(cuts) + 1)
    for number in range(len(cuts) + 1):
        yield block_store.read_ranges(sliced, number, len(cuts) + 1, block_store.KEY)


def read_pairs(name: str, group: int, blocks: block_store.Blocks, context: CleaningContext) -> np.ndarray:
    """(N,) PAIR of a group, of the files of this name of all partitions, ascending, each once."""
    return _distinct(
        block_store.read_ranges([file_of(context, name, partition)], group, blocks.partitions, PAIR)
        for partition in range(blocks.partitions)
    )


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


def similarities(pairs: np.ndarray, together: np.ndarray, text_of: Callable[[int], str]) -> np.ndarray:
    """(N,) the Jaccard similarities of the 5-grams of (N,) PAIR; those with one number of (N,) `together`,
    ascending, at once.
    """
    measured: list[float] = []
    sets: dict[int, np.ndarray] = {}
    for batch in np.split(pairs, np.flatnonzero(np.diff(together)) + 1):
        wanted = np.union1d(batch["first"], batch["second"]).tolist()  # in the order of the files
        sets = {number: sets[number] for number in wanted if number in sets}
        missing = [number for number in wanted if number not in sets]
        sets |= zip(missing, minhash.shingle_sets([text_of(number) for number in missing]), strict=True)
        ends = zip(batch["first"].tolist(), batch["second"].tolist(), strict=True)
        measured += [minhash.jaccard(sets[first], sets[second]) for first, second in ends]
    return np.array(measured)


def file_of(context: CleaningContext, name: str, number: int) -> str:
    """A file of the work folder, of a batch, partition or group."""
    return paths.join(context.folder, f"{name}-{number:06d}")
