"""Exact and near-duplicates: documents that share a key are compared; what goes is alike to a document that stays.

Equal texts are one; of texts that are nearly equal, a star's centre stays and the others go. Connected groups would be simpler, but in a
chain of documents, each a little different from the one before, they drop documents that are like nothing that stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mobilebert.corpus import minhash, store
from mobilebert.corpus.clean import Work

# A confirmed pair: two document numbers, their lengths in characters, whether their texts are equal.
EDGE = np.dtype([("first", "<u8"), ("second", "<u8"), ("first_length", "<u4"), ("second_length", "<u4"), ("exact", "?")])
ALL_PAIRS = 8
_PAIR = np.dtype([("first", "<u8"), ("second", "<u8")])
# What becomes of a document: its number, and whether it is an exact duplicate.
DROP = np.dtype([("document", "<u8"), ("exact", "?")])


def candidates(partition: tuple[int, Iterable[store.Reference]], work: Work) -> Iterator[tuple[int, bytes]]:
    """Pairs of documents with an equal key, in `work.partitions` groups by the pair itself, so that each is compared once.

    Of up to `ALL_PAIRS` documents with one key, all are paired; of more, each with the first, which so becomes the centre of their star,
    and with the one before.
    """
    keys = store.read_keys(work.folder, list(partition[1]))
    documents = keys["document"]
    value = keys["key"]
    starts = np.flatnonzero(np.concatenate([[True], value[1:] != value[:-1]])) if len(keys) else np.zeros(0, np.int64)
    sizes = np.diff(np.append(starts, len(keys)))
    head, few = np.repeat(starts, sizes), np.repeat(sizes <= ALL_PAIRS, sizes)
    places = np.arange(len(keys))
    ends = [np.stack([head[head < places], places[head < places]])]
    for step in range(1, ALL_PAIRS):
        here = places[step:][(value[step:] == value[:-step]) & (few[step:] | (step == 1))]
        ends.append(np.stack([here - step, here]))
    first, second = documents[np.concatenate(ends, axis=1)]
    pairs = np.zeros(len(first), _PAIR)
    pairs["first"], pairs["second"] = first, second
    pairs = np.unique(pairs[pairs["first"] != pairs["second"]])
    group = ((pairs["first"] * np.uint64(0x9E3779B97F4A7C15) ^ pairs["second"]) >> np.uint64(20)) % np.uint64(work.partitions)
    for number in range(work.partitions):
        chosen = pairs[group == number]
        if len(chosen):
            yield number, chosen.tobytes()


def confirm(group: tuple[int, Iterable[bytes]], work: Work) -> Iterator[tuple[int, bytes]]:
    """The pairs that are equal, or whose 5-grams have a Jaccard similarity of at least `corpus.near_duplicate_similarity`, all under one
    key.
    """
    pairs = np.unique(np.concatenate([np.frombuffer(data, _PAIR) for data in group[1]]))
    documents = store.Documents(work.folder)
    shingles = lru_cache(256)(lambda number: minhash.shingle_set(documents.text(number)))
    least = work.settings.near_duplicate_similarity
    found = []
    for first, second in zip(pairs["first"].tolist(), pairs["second"].tolist(), strict=True):
        one, other = documents.entry(first), documents.entry(second)
        exact = bool((one["digest"] == other["digest"]).all())
        if exact or (work.settings.near_duplicates and minhash.jaccard(shingles(first), shingles(second)) >= least):
            found.append((first, second, one["characters"], other["characters"], exact))
    if found:
        yield 0, np.array(found, EDGE).tobytes()


def drops(edges: tuple[int, Iterable[bytes]], elements_per_part: int) -> Iterator[tuple[int, bytes]]:
    """What goes, by the part of the output: of equal texts all but the first, and of the stars of alike texts all but their centres."""
    edge = np.sort(np.concatenate([np.frombuffer(data, EDGE) for data in edges[1]]), order=("first", "second"))
    numbers, places = np.unique(np.concatenate([edge["first"], edge["second"]]), return_inverse=True)
    lengths = np.zeros(len(numbers), np.int64)
    lengths[places] = np.concatenate([edge["first_length"], edge["second_length"]])
    first, second = places[: len(edge)], places[len(edge) :]
    text = _groups(len(numbers), first[edge["exact"]], second[edge["exact"]])
    # (texts,) the first document of each text; documents of one text have one length
    leader = np.unique(text, return_index=True)[1]
    near = text[first] != text[second]
    stays = _centres(text[first[near]], text[second[near]], lengths[leader])
    gone = np.ones(len(numbers), bool)
    gone[leader[stays]] = False
    exact = np.ones(len(numbers), bool)
    exact[leader] = False
    dropped = np.zeros(int(gone.sum()), DROP)
    dropped["document"], dropped["exact"] = numbers[gone], exact[gone]
    part = (dropped["document"] >> np.uint64(40)) // np.uint64(elements_per_part)
    for number in np.unique(part).tolist():
        yield number, dropped[part == number].tobytes()


def _centres(first: np.ndarray, second: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """(texts,) bool: a set of texts of which no two are alike, while each of the others is alike to one of it.

    Texts that are alike to many come first, then longer ones, then earlier ones.
    """
    count = len(lengths)
    alike = coo_array((np.ones(2 * len(first), bool), (np.append(first, second), np.append(second, first))), shape=(count, count)).tocsr()
    alike.sum_duplicates()
    undecided = np.ones(count, bool)
    centres = np.zeros(count, bool)
    for text in np.lexsort((-lengths, -np.diff(alike.indptr))).tolist():
        if undecided[text]:
            centres[text] = True
            undecided[alike.indices[alike.indptr[text] : alike.indptr[text + 1]]] = False
    return centres


def _groups(count: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(count,) int: the connected component of each node."""
    graph = coo_array((np.ones(len(first), np.int8), (first, second)), shape=(count, count))
    return connected_components(graph, directed=False)[1]
