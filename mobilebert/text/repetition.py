"""Rules on whole documents that say the same again and again: each says of every document whether it drops
it, (D,) bool.
"""

from __future__ import annotations

import numpy as np

from mobilebert.settings import Corpus
from mobilebert.text.document import Documents
from mobilebert.text.ngrams import ngrams

PHRASE_N = 4  # characters: two words of FineWeb-2's Chinese segmenter, a word having 1.7 on average
_MIN_PHRASE_EVIDENCE = 40  # characters: in a line or two anything is frequent
_BINS = 256  # of the hashes of a text's phrases
_SLOTS = 17  # bits: of the hashes of all texts' wording


def duplicate_lines(documents: Documents, settings: Corpus) -> np.ndarray:
    """Lines that repeat an earlier one over `corpus.max_duplicate_line_share` of the lines (FineWeb-2
    cmn_Hani.yml dup_line_frac: 0.287), or over `corpus.max_duplicate_line_characters` of the characters
    (Gopher, Rae et al. 2021, table A1: 0.20).
    """
    dropped = np.zeros(len(documents), bool)
    for index in candidates_of_duplicate_lines(documents).tolist():
        each = [line for line in documents.texts[index].split("\n") if line]
        unique = set(each)
        if repeats := len(each) - len(unique):
            characters = sum(map(len, each)) - sum(map(len, unique))
            many = repeats > settings.max_duplicate_line_share * len(each)
            dropped[index] = (
                many or characters > settings.max_duplicate_line_characters * documents.sizes[index]
            )
    return dropped


def candidates_of_duplicate_lines(documents: Documents) -> np.ndarray:
    """(M,) int64: the numbers of the documents that may have a line twice: all that have, and hardly any
    other.
    """
    codes, starts, ends = documents.codes, documents.line_starts, documents.line_ends
    # Equal lines of a text have equal lengths, first, middle and last characters.
    keys = (ends - starts).astype(np.uint64)
    for at in (starts, (starts + ends) >> 1, ends - 1):
        keys = (keys + codes[at]) * np.uint64(0x9E3779B97F4A7C15)
        keys ^= keys >> np.uint64(29)
    keys = (keys >> np.uint64(24)) | (documents.line_owners.astype(np.uint64) << np.uint64(40))
    keys.sort()
    return np.unique(keys[1:][keys[1:] == keys[:-1]] >> np.uint64(40)).astype(np.int64)


def frequent_phrase(documents: Documents, settings: Corpus) -> np.ndarray:
    """One 4-gram of characters that fills more than `corpus.max_phrase_share` of them (FineWeb-2 cmn_Hani.yml
    top_n_grams, two words: 0.256): stuffed keywords, laughter, rows of one character.
    """
    judged = documents.sizes >= _MIN_PHRASE_EVIDENCE
    hashes = ngrams(documents.codes, PHRASE_N)
    # Counted exactly only where the fullest of 256 bins, which holds the most frequent phrase or more, says
    # that it may be needed.
    binned = (hashes >> np.uint64(56)).astype(np.int64)
    binned += np.repeat(np.arange(0, _BINS * len(documents), _BINS), documents.sizes + 1)[: len(binned)]
    fullest = np.bincount(binned, minlength=_BINS * len(documents)).reshape(-1, _BINS).max(axis=1)
    dropped = judged & (fullest * PHRASE_N / np.maximum(documents.sizes, 1) > settings.max_phrase_share)
    for index in np.flatnonzero(dropped).tolist():
        start = documents.starts[index]
        most = most_frequent(hashes[start : start + documents.sizes[index] - PHRASE_N + 1])
        dropped[index] = most * PHRASE_N / documents.sizes[index] > settings.max_phrase_share
    return dropped


def repeated_ngrams(documents: Documents, settings: Corpus) -> np.ndarray:
    """13-grams of letters, digits and Han that repeat an earlier one over `corpus.max_repeated_share`
    (EvalWeb preprocess.py: 0.5).
    """
    hashes, bounds = documents.wording
    sizes = np.diff(bounds)
    # Counted exactly only where so many do not hold a slot of their own that it may be needed.
    slot = (hashes >> np.uint64(64 - _SLOTS)).astype(np.int64)
    number = np.arange(len(hashes), dtype=np.int32)
    holder = np.empty(1 << _SLOTS, np.int32)
    holder[slot] = number
    without = np.diff(np.searchsorted(np.flatnonzero(holder[slot] != number), bounds))
    dropped = without / np.maximum(sizes, 1) > settings.max_repeated_share
    for index in np.flatnonzero(dropped).tolist():
        dropped[index] = (
            repeats(hashes[bounds[index] : bounds[index + 1]]) / sizes[index] > settings.max_repeated_share
        )
    return dropped


def most_frequent(hashes: np.ndarray) -> int:
    """How often the most frequent of the hashes occurs; 0 where each occurs once."""
    most = int(np.unique(hashes, return_counts=True)[1].max(initial=0))
    return most if most > 1 else 0


def repeats(hashes: np.ndarray) -> int:
    """How many of the hashes are equal to an earlier one."""
    return len(hashes) - len(np.unique(hashes))
