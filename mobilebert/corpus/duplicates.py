"""Exact and near-duplicates: documents that share a key are compared, those that are alike are grouped, one of each group stays."""

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
_PAIR = np.dtype([("first", "<u8"), ("second", "<u8")])
# What becomes of a document: its number, and whether it is an exact duplicate.
DROP = np.dtype([("document", "<u8"), ("exact", "?")])


def candidates(partition: tuple[int, Iterable[store.Reference]], work: Work) -> Iterator[tuple[int, bytes]]:
    """Pairs of documents with an equal key, in `work.partitions` groups by the pair itself, so that each is compared once.

    Of n documents with one key, each is paired with the first and with the one before: 2n pairs instead of n², and still a connected group
    where some pairs fail the comparison.
    """
    keys = store.read_keys(work.folder, list(partition[1]))
    documents = keys["document"]
    same = np.flatnonzero(keys["key"][1:] == keys["key"][:-1]) + 1
    starts = np.flatnonzero(np.concatenate([[True], keys["key"][1:] != keys["key"][:-1]])) if len(keys) else np.zeros(0, np.int64)
    heads = starts[np.searchsorted(starts, same, side="right") - 1]
    pairs = np.zeros(2 * len(same), _PAIR)
    pairs["first"] = np.concatenate([documents[heads], documents[same - 1]])
    pairs["second"] = np.concatenate([documents[same], documents[same]])
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
    """What goes of every group, by the part of the output: all but the longest document, the first of equally long ones."""
    edge = np.sort(np.concatenate([np.frombuffer(data, EDGE) for data in edges[1]]), order=("first", "second"))
    numbers, places = np.unique(np.concatenate([edge["first"], edge["second"]]), return_inverse=True)
    lengths = np.zeros(len(numbers), np.int64)
    lengths[places] = np.concatenate([edge["first_length"], edge["second_length"]])
    first, second = places[: len(edge)], places[len(edge) :]
    group = _groups(len(numbers), first, second)
    same_text = _groups(len(numbers), first[edge["exact"]], second[edge["exact"]])
    # The longest first, then the first in order; lexsort's last key is the main one.
    order = np.lexsort((numbers, -lengths, group))
    kept = np.zeros(len(numbers), bool)
    kept[order[np.concatenate([[True], group[order][1:] != group[order][:-1]])]] = True
    # Of documents with one text only the first (or the one that stays) can count as a near-duplicate of another group member.
    leader = np.ones(len(numbers), bool)
    by_text = np.lexsort((numbers, ~kept, same_text))
    leader[by_text[1:]] = same_text[by_text][1:] != same_text[by_text][:-1]
    dropped = np.zeros(int((~kept).sum()), DROP)
    dropped["document"], dropped["exact"] = numbers[~kept], ~leader[~kept]
    part = (dropped["document"] >> np.uint64(40)) // np.uint64(elements_per_part)
    for number in np.unique(part).tolist():
        yield number, dropped[part == number].tobytes()


def _groups(count: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(count,) int: the connected component of each node."""
    graph = coo_array((np.ones(len(first), np.int8), (first, second)), shape=(count, count))
    return connected_components(graph, directed=False)[1]
