"""Texts as the rules on documents look at them: measured many at a time, since NumPy's calls cost more than a short text's characters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from mobilebert.text import characters
from mobilebert.text.ngrams import ngrams

PHRASE_N = 4  # characters: two words of FineWeb-2's Chinese segmenter, a word having 1.7 on average
WORDING_N = 13  # characters: EvalWeb's share of repeated n-grams; GPT-3's decontamination has 13 words


@dataclass(frozen=True)
class Document:
    """A normalised text after the line rules, and its measures."""

    text: str
    lines: list[str]  # none is empty
    counts: characters.Counts
    phrase_share: float  # of its characters, in the most frequent 4-gram
    repeated_share: float  # of its wording, equal to earlier ones
    wording: np.ndarray  # (M,) uint64 hashes of the 13-grams of its letters, digits and Han


def documents(texts: Sequence[str]) -> list[Document]:
    """Measure texts without NUL, best some 50,000 characters at a time."""
    codes = characters.codes("\0".join([*texts, ""]))
    sizes = np.array([len(text) for text in texts], np.int64)
    owner = np.repeat(np.arange(len(texts)), sizes + 1)
    counts = np.bincount(owner * 16 + characters.classes()[codes], minlength=16 * len(texts)).reshape(-1, 16)
    counts[:, characters.ASCII] -= 1  # the NUL after each text
    phrases = _most_frequent(codes, owner, len(texts)) * PHRASE_N / np.maximum(sizes, 1)
    hashes, owners = _wording(codes, owner)
    repeats = _repeats(hashes, owners, len(texts))
    bounds = np.searchsorted(owners, np.arange(len(texts) + 1))
    return [
        Document(
            text,
            [line for line in text.split("\n") if line],
            characters.Counts(*counts[at, : len(characters.Counts._fields)].tolist()),
            float(phrases[at]),
            float(repeats[at]),
            hashes[bounds[at] : bounds[at + 1]],
        )
        for at, text in enumerate(texts)
    ]


def wording(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """(M,) uint64 hashes of the 13-grams of letters, digits and Han of texts without NUL, without punctuation, small letters for large
    and Simplified for Traditional, and
    (M,) int64 the index of each one's text.
    """
    codes = characters.codes("\0".join([*texts, ""]))
    return _wording(codes, np.repeat(np.arange(len(texts)), [len(text) + 1 for text in texts]))


def _wording(codes: np.ndarray, owner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    folded = _simplified()[codes]
    letter = folded != 0
    hashes, owner = ngrams(folded[letter], WORDING_N), owner[letter]
    within = owner[: len(hashes)] == owner[len(owner) - len(hashes) :]
    return hashes[within], owner[: len(hashes)][within]


def _most_frequent(codes: np.ndarray, owner: np.ndarray, count: int) -> np.ndarray:
    """(count,) int64: how often the most frequent 4-gram of each text occurs; 0 where it occurs once."""
    hashes = ngrams(codes, PHRASE_N)
    within = owner[: len(hashes)] == owner[len(owner) - len(hashes) :]
    keys = _keys(hashes[within], owner[: len(hashes)][within])
    most = np.zeros(count, np.int64)
    if len(keys):
        ends = np.flatnonzero(np.append(keys[1:] != keys[:-1], True))
        runs = np.diff(ends, prepend=-1)
        repeated = runs > 1
        np.maximum.at(most, (keys[ends[repeated]] >> np.uint64(40)).astype(np.int64), runs[repeated])
    return most


def _repeats(hashes: np.ndarray, owner: np.ndarray, count: int) -> np.ndarray:
    """(count,) float64: the share of each text's hashes that are equal to an earlier one of it."""
    keys = _keys(hashes, owner)
    again = keys[1:][keys[1:] == keys[:-1]]
    repeats = np.bincount((again >> np.uint64(40)).astype(np.int64), minlength=count)
    return repeats / np.maximum(np.bincount(owner, minlength=count), 1)


def _keys(hashes: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """(M,) uint64 in order: the text's index, then 40 bits of the hash."""
    keys = owner.astype(np.uint64) << np.uint64(40)
    keys |= hashes >> np.uint64(24)
    keys.sort()
    return keys


@cache
def _simplified() -> np.ndarray:
    """(0x110000,) uint32: `characters.letters`, Traditional characters as their Simplified forms (OpenCC t2s, one by one)."""
    from opencc import OpenCC  # loads its dictionaries

    table = characters.letters().copy()
    han = [chr(code) for code in (*range(0x3400, 0x4DC0), *range(0x4E00, 0xA000))]
    # One character a line, so that no phrase of the dictionaries matches across two of them.
    simple = OpenCC("t2s").convert("\n".join(han)).split("\n")
    table[[ord(character) for character in han]] = [ord(character[0]) for character in simple]
    return table
