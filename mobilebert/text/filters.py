"""Rules on whole documents: each says of every document of a batch whether it drops it, (D,) bool; its name
is the reason.

Thresholds that are settings stand in `settings.Corpus` with their source; the others are fixed here, with
theirs. No rule looks at anything but the document itself, so a verdict depends on nothing else in the corpus.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from mobilebert.settings import Corpus
from mobilebert.text import lines, repetition
from mobilebert.text.document import Documents

_MAX_BROKEN_SHARE = (
    0.005  # Clean text of the shared data has none in 99 % of its documents, damaged text at least 0.01
)
# "?" before Han: 0.004 at most in prose and 0.016 in dialogue of the shared data, 0.27 and more where "?"
# stands for Han
_MAX_LOST_SHARE = 0.03
_MAX_FOREIGN_SHARE = (
    0.20  # Japanese prose is 40 to 60 % kana, Korean prose nearly all Hangul; Chinese text quotes them
)
# Prose 0.15 and more, dialogue 0.2, classical verse 0.03 to 0.3 (rarely under 0.05), misread text 0.02 at
# most
_MIN_FREQUENT_SHARE = 0.05
_MIN_CANTONESE_SHARE = 0.05  # of Han; other text of the shared data under 0.01, written Cantonese about 0.1
_MIN_FREQUENT_EVIDENCE = 50  # Han characters below which the share of frequent ones says nothing
# FineWeb-2 cmn_Hani.yml stopwords; and the Cantonese words for five of them.
_STOP_WORDS = "的年在月是和日了於·為有被人中为他與後也而由嘅喺係咗佢"
_MIN_STOP_WORD_EVIDENCE = 200  # characters below which a text may well have none
_BULLETS = [ord(mark) for mark in "•‣▶◀◦■□▪▫●○◆★*-–·"]  # Gopher's, and those of Chinese pages
_MIN_LINES = 3  # below which a share of lines says nothing


def empty(documents: Documents, settings: Corpus) -> np.ndarray:
    """No visible character is left."""
    return documents.counts.visible == 0


def broken_characters(documents: Documents, settings: Corpus) -> np.ndarray:
    """Replacement characters, C1 controls, private-use characters over 0.5 %, or question marks in the place
    of Han over 3 %: lost in decoding.
    """
    dropped = documents.counts.broken > np.maximum(
        1, _MAX_BROKEN_SHARE * documents.sizes
    )  # one alone damages nothing
    for index, text in enumerate(documents.texts):
        if "?" in text:
            lost = sum(1 for _ in re.finditer(r"\?+(?=[\u3400-\u9fff])", text))
            dropped[index] |= lost > _MAX_LOST_SHARE * len(text)
    return dropped


def other_language(documents: Documents, settings: Corpus) -> np.ndarray:
    """Kana or Hangul over a fifth of all letters of East Asian scripts: Japanese or Korean. (Latin and other
    scripts fall to `low_han_share`.)
    """
    foreign = documents.counts.kana + documents.counts.hangul
    return foreign > _MAX_FOREIGN_SHARE * (documents.counts.han + foreign)


def low_han_share(documents: Documents, settings: Corpus) -> np.ndarray:
    """Han under `corpus.min_han_share` of the visible characters (EvalWeb preprocess.py: 0.30): other
    scripts, code, escapes, tables of figures.
    """
    return documents.counts.han < settings.min_han_share * documents.counts.visible


def uncommon_characters(documents: Documents, settings: Corpus) -> np.ndarray:
    """Han outside the fixed common list over `corpus.max_uncommon_share`, or hardly any of the most frequent
    ones: text in a wrong encoding.

    UTF-8 read as GBK has 0.7 to 0.87 uncommon Han, clean text of the shared data 0.15 at most and 0.075 in
    99.5 % of its documents; Korean read as GBK has none, but no frequent ones either.
    """
    counts, han = documents.counts, documents.counts.han
    frequent = counts.frequent + counts.cantonese
    no_function_words = (han >= _MIN_FREQUENT_EVIDENCE) & (frequent < _MIN_FREQUENT_SHARE * han)
    return (counts.rare > settings.max_uncommon_share * han) | no_function_words


def too_short(documents: Documents, settings: Corpus) -> np.ndarray:
    """Fewer than `corpus.min_characters` visible characters."""
    return documents.counts.visible < settings.min_characters


def few_punctuated_lines(documents: Documents, settings: Corpus) -> np.ndarray:
    """Lines of sentences under `corpus.min_punctuated_line_share` (FineWeb-2 cmn_Hani.yml line_punct_thr:
    0.106): lists, menus.

    FineWeb-2 counts lines that end in punctuation; a line with a sentence's end inside counts too here, or a
    paragraph that was cut short, alone on its line, would be lost (4.5 % of the shared wiki paragraphs).
    """
    least = settings.min_punctuated_line_share * documents.lines
    # One line is enough for most texts, and "。" is in nearly all of them.
    dropped = least > np.array(["。" in text for text in documents.texts], bool)
    for index in np.flatnonzero(dropped).tolist():
        dropped[index] = sum(map(lines.is_prose, documents.texts[index].split("\n"))) < least[index]
    return dropped


def is_cantonese(documents: Documents) -> np.ndarray:
    """(D,) bool: whether each text is written Cantonese, which has its own characters for the most frequent
    words."""
    return documents.counts.cantonese > _MIN_CANTONESE_SHARE * documents.counts.han


def cantonese(documents: Documents, settings: Corpus) -> np.ndarray:
    """Written Cantonese, with `corpus.cantonese: drop`; else it is Chinese like any other."""
    return is_cantonese(documents) & (settings.cantonese == "drop")


def few_stop_words(documents: Documents, settings: Corpus) -> np.ndarray:
    """Fewer than `corpus.min_stop_words` of FineWeb-2's 22 Chinese stop words (cmn_Hani.yml stopwords; Gopher
    asks for two) and five Cantonese ones: lists, tables.

    Looked at from 200 characters up: a fifth of the shared classical poems, which are shorter, have none or
    one.
    """
    dropped = documents.sizes >= _MIN_STOP_WORD_EVIDENCE
    for index in np.flatnonzero(dropped).tolist():
        count = 0
        for word in _STOP_WORDS:
            if count >= settings.min_stop_words:
                break
            count += word in documents.texts[index]
        dropped[index] = count < settings.min_stop_words
    return dropped


def short_lines(documents: Documents, settings: Corpus) -> np.ndarray:
    """Lines shorter than `corpus.min_mean_line` on average: menus, lists of names, tables.

    EvalWeb preprocess.py asks for 10 characters, and FineWeb-2's new_line_ratio (0.178 a word) is 9.5; poems
    of five characters a verse have 6.25 and more, with title and author.
    """
    characters = np.bincount(
        documents.line_owners, documents.line_ends - documents.line_starts, len(documents)
    )
    return characters / np.maximum(documents.lines, 1) < settings.min_mean_line


def many_symbols(documents: Documents, settings: Corpus) -> np.ndarray:
    """Number signs and ellipses over `corpus.max_symbol_share` of the visible characters (Gopher: 0.1 a
    word, of 1.7 characters).
    """
    symbols = documents.counted(
        documents.owners(np.flatnonzero((documents.codes == ord("#")) | (documents.codes == ord("…"))))
    )
    symbols += [text.count("...") for text in documents.texts]
    return symbols > settings.max_symbol_share * documents.counts.visible


def bullet_lines(documents: Documents, settings: Corpus) -> np.ndarray:
    """Lines that begin with a bullet over `corpus.max_bullet_line_share` (Gopher, Rae et al. 2021: 0.9)."""
    bullets = documents.counted(
        documents.line_owners[np.isin(documents.codes[documents.line_starts], _BULLETS)]
    )
    return (documents.lines >= _MIN_LINES) & (bullets > settings.max_bullet_line_share * documents.lines)


def ellipsis_lines(documents: Documents, settings: Corpus) -> np.ndarray:
    """Lines that end in an ellipsis over `corpus.max_ellipsis_line_share` (Gopher, Rae et al.

    2021: 0.3): lists of teasers.
    """
    last = documents.codes[documents.line_ends - 1]
    dots = (documents.line_ends - documents.line_starts > 2) & (last == ord("."))
    for back in (2, 3):
        dots &= documents.codes[documents.line_ends - back] == ord(".")
    cut = documents.counted(documents.line_owners[dots | (last == ord("…"))])
    return (documents.lines >= _MIN_LINES) & (cut > settings.max_ellipsis_line_share * documents.lines)


# The order is that of the reasons: the first that applies is counted. Cheap ones and those that explain the
# others stand first.
FILTERS: tuple[Callable[[Documents, Corpus], np.ndarray], ...] = (
    empty,
    broken_characters,
    other_language,
    cantonese,
    low_han_share,
    uncommon_characters,
    too_short,
    few_punctuated_lines,
    few_stop_words,
    short_lines,
    many_symbols,
    bullet_lines,
    ellipsis_lines,
    repetition.duplicate_lines,
    repetition.frequent_phrase,
    repetition.repeated_ngrams,
)


def judge(documents: Documents, settings: Corpus) -> list[str | None]:
    """Of every document the reason of the first rule that drops it, or None: keep it."""
    reasons: list[str | None] = [None] * len(documents)
    for rule in reversed(FILTERS):
        for index in np.flatnonzero(rule(documents, settings)).tolist():
            reasons[index] = rule.__name__
    return reasons
