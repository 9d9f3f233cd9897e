"""Rules on whole documents: each returns the reason to drop the document, or None.

Thresholds that are settings stand in `settings.Corpus` with their source; the others are fixed here, with theirs. No rule looks at
anything but the document itself, so a verdict depends on nothing else in the corpus.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mobilebert.settings import Corpus
from mobilebert.text import characters, lines

REPEATED_N = 13  # EvalWeb preprocess.py: share of repeated 13-grams
_MAX_BROKEN_SHARE = 0.005  # Clean text of the shared data has none in 99 % of its documents, damaged text at least 0.01
_MAX_LOST_SHARE = (
    0.03  # "?" before Han: 0.004 at most in prose and 0.016 in dialogue of the shared data, 0.27 and more where "?" stands for Han
)
_MAX_FOREIGN_SHARE = 0.20  # Japanese prose is 40 to 60 % kana, Korean prose nearly all Hangul; Chinese text quotes them
_MIN_FREQUENT_SHARE = 0.05  # Prose 0.15 and more, dialogue 0.2, classical verse 0.03 to 0.3 (rarely under 0.05), misread text 0.02 at most
_MIN_FREQUENT_EVIDENCE = 50  # Han characters below which the share of frequent ones says nothing
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio: mixes well in a polynomial hash


@dataclass(frozen=True)
class Document:
    """A normalised text after the line rules, and what several filters count of it once."""

    text: str

    @cached_property
    def codes(self) -> np.ndarray:
        """(N,) uint32 code points."""
        return characters.codes(self.text)

    @cached_property
    def counts(self) -> characters.Counts:
        """Characters by class."""
        return characters.Counts(*np.bincount(characters.classes()[self.codes], minlength=len(characters.Counts._fields)).tolist())

    @cached_property
    def lines(self) -> list[str]:
        """Its lines; none is empty."""
        return [line for line in self.text.split("\n") if line]


def empty(document: Document, settings: Corpus) -> str | None:
    """No visible character is left."""
    return "empty" if not document.counts.visible else None


def broken_characters(document: Document, settings: Corpus) -> str | None:
    """Replacement characters, C1 controls, private-use characters over 0.5 %, or question marks in the place of Han over 3 %: lost in
    decoding.
    """
    if document.counts.broken > max(1, _MAX_BROKEN_SHARE * len(document.text)):  # one alone damages nothing
        return "broken_characters"
    if "?" not in document.text:
        return None
    lost = sum(1 for _ in re.finditer(r"\?+(?=[\u3400-\u9fff])", document.text))
    return "broken_characters" if lost > _MAX_LOST_SHARE * len(document.text) else None


def other_language(document: Document, settings: Corpus) -> str | None:
    """Kana or Hangul over a fifth of all letters of East Asian scripts: Japanese or Korean. (Latin and other scripts fall to
    `low_han_share`.)
    """
    counts = document.counts
    east_asian = counts.han + counts.kana + counts.hangul
    return "other_language" if counts.kana + counts.hangul > _MAX_FOREIGN_SHARE * east_asian else None


def low_han_share(document: Document, settings: Corpus) -> str | None:
    """Han under `corpus.min_han_share` of the visible characters (EvalWeb preprocess.py: 0.30): other scripts, code, escapes, tables of
    figures.
    """
    return "low_han_share" if document.counts.han < settings.min_han_share * document.counts.visible else None


def uncommon_characters(document: Document, settings: Corpus) -> str | None:
    """Han outside the fixed common list over `corpus.max_uncommon_share`, or hardly any of the most frequent ones: text in a wrong
    encoding.

    UTF-8 read as GBK has 0.7 to 0.87 uncommon Han, clean text of the shared data 0.15 at most and 0.075 in 99.5 % of its documents;
    Korean read as GBK has none, but no frequent ones either.
    """
    counts = document.counts
    rare = counts.rare > settings.max_uncommon_share * counts.han
    no_function_words = counts.han >= _MIN_FREQUENT_EVIDENCE and counts.frequent < _MIN_FREQUENT_SHARE * counts.han
    return "uncommon_characters" if rare or no_function_words else None


def too_short(document: Document, settings: Corpus) -> str | None:
    """Fewer than `corpus.min_characters` visible characters."""
    return "too_short" if document.counts.visible < settings.min_characters else None


def few_punctuated_lines(document: Document, settings: Corpus) -> str | None:
    """Lines of sentences under `corpus.min_punctuated_line_share` (FineWeb-2 cmn_Hani.yml line_punct_thr: 0.106): lists, menus.

    FineWeb-2 counts lines that end in punctuation; a line with a sentence's end inside counts too here, or a paragraph that was cut
    short, alone on its line, would be lost (4.5 % of the shared wiki paragraphs).
    """
    ended = sum(map(lines.is_prose, document.lines))
    return "few_punctuated_lines" if ended < settings.min_punctuated_line_share * len(document.lines) else None


def duplicate_lines(document: Document, settings: Corpus) -> str | None:
    """Lines that repeat an earlier one over `corpus.max_duplicate_line_share` (FineWeb-2 cmn_Hani.yml dup_line_frac: 0.287)."""
    repeats = len(document.lines) - len(set(document.lines))
    return "duplicate_lines" if repeats > settings.max_duplicate_line_share * len(document.lines) else None


def repeated_ngrams(document: Document, settings: Corpus) -> str | None:
    """Character 13-grams that repeat an earlier one over `corpus.max_repeated_share` (EvalWeb preprocess.py: 0.5)."""
    grams = ngrams(document.codes, REPEATED_N)
    if not len(grams):
        return None
    grams.sort()
    repeats = int((grams[1:] == grams[:-1]).sum())
    return "repeated_ngrams" if repeats > settings.max_repeated_share * len(grams) else None


# The order is that of the reasons: the first that applies is counted. Cheap ones and those that explain the others stand first.
FILTERS: tuple[Callable[[Document, Corpus], str | None], ...] = (
    empty,
    broken_characters,
    other_language,
    low_han_share,
    uncommon_characters,
    too_short,
    few_punctuated_lines,
    duplicate_lines,
    repeated_ngrams,
)


def judge(text: str, settings: Corpus) -> str | None:
    """The reason of the first filter that drops the normalised `text`, or None: keep it."""
    document = Document(text)
    for rule in FILTERS:
        reason = rule(document, settings)
        if reason is not None:
            return reason
    return None


def ngrams(codes: np.ndarray, n: int) -> np.ndarray:
    """(max(N - n + 1, 0),) uint64: a polynomial hash of each n-gram of the code points (N,), by doubling window lengths."""
    # hash of length a+b at i = hash_a[i] * M**b + hash_b[i + a]: log2(n) passes over the text instead of n.
    hashes = codes.astype(np.uint64) * _MULTIPLIER
    hashes ^= hashes >> np.uint64(29)
    made, width = hashes, 1
    result: np.ndarray | None = None
    covered = 0
    with np.errstate(over="ignore"):
        while True:
            if n & width:
                result = made if result is None else _joined(result, made, covered, width)
                covered += width
            width *= 2
            if width > n:
                break
            made = _joined(made, made, width // 2, width // 2)
    if result is None or len(codes) < n:
        return np.zeros(0, np.uint64)
    return result[: len(codes) - n + 1].copy()


def _joined(first: np.ndarray, second: np.ndarray, first_width: int, second_width: int) -> np.ndarray:
    """Hashes of windows of first_width + second_width from those of their two parts."""
    factor = np.uint64(pow(int(_MULTIPLIER), second_width, 2**64))
    count = max(min(len(first), len(second) - first_width), 0)
    return first[:count] * factor + second[first_width : first_width + count]
