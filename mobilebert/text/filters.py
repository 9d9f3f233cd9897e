"""Rules on whole documents: each returns the reason to drop the document, or None.

Thresholds that are settings stand in `settings.Corpus` with their source; the others are fixed here, with theirs. No rule looks at
anything but the document itself, so a verdict depends on nothing else in the corpus.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from mobilebert.settings import Corpus
from mobilebert.text import lines, repetition
from mobilebert.text.document import Document

_MAX_BROKEN_SHARE = 0.005  # Clean text of the shared data has none in 99 % of its documents, damaged text at least 0.01
_MAX_LOST_SHARE = (
    0.03  # "?" before Han: 0.004 at most in prose and 0.016 in dialogue of the shared data, 0.27 and more where "?" stands for Han
)
_MAX_FOREIGN_SHARE = 0.20  # Japanese prose is 40 to 60 % kana, Korean prose nearly all Hangul; Chinese text quotes them
_MIN_FREQUENT_SHARE = 0.05  # Prose 0.15 and more, dialogue 0.2, classical verse 0.03 to 0.3 (rarely under 0.05), misread text 0.02 at most
_MIN_FREQUENT_EVIDENCE = 50  # Han characters below which the share of frequent ones says nothing
_STOP_WORDS = "的年在月是和日了於·為有被人中为他與後也而由"  # FineWeb-2 cmn_Hani.yml stopwords
_MIN_STOP_WORD_EVIDENCE = 200  # characters below which a text may well have none
_BULLETS = frozenset("•‣▶◀◦■□▪▫●○◆★*-–·")  # Gopher's, and those of Chinese pages
_MIN_LINES = 3  # below which a share of lines says nothing


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
    least, ended = settings.min_punctuated_line_share * len(document.lines), 0
    for line in document.lines:
        if ended >= least:
            return None
        ended += lines.is_prose(line)
    return "few_punctuated_lines" if ended < least else None


def few_stop_words(document: Document, settings: Corpus) -> str | None:
    """Fewer than `corpus.min_stop_words` of FineWeb-2's 22 Chinese stop words (cmn_Hani.yml stopwords; Gopher asks for two): lists, tables.

    Looked at from 200 characters up: a fifth of the shared classical poems, which are shorter, have none or one.
    """
    if len(document.text) < _MIN_STOP_WORD_EVIDENCE:
        return None
    found = 0
    for word in _STOP_WORDS:
        if found >= settings.min_stop_words:
            return None
        found += word in document.text
    return "few_stop_words" if found < settings.min_stop_words else None


def short_lines(document: Document, settings: Corpus) -> str | None:
    """Lines shorter than `corpus.min_mean_line` on average: menus, lists of names, tables.

    EvalWeb preprocess.py asks for 10 characters, and FineWeb-2's new_line_ratio (0.178 a word) is 9.5; poems of five characters a verse
    have 6.25 and more, with title and author.
    """
    mean = sum(map(len, document.lines)) / len(document.lines)
    return "short_lines" if mean < settings.min_mean_line else None


def many_symbols(document: Document, settings: Corpus) -> str | None:
    """Number signs and ellipses over `corpus.max_symbol_share` of the visible characters (Gopher: 0.1 a word, of 1.7 characters)."""
    text = document.text
    found = text.count("#") + text.count("…") + text.count("...")
    return "many_symbols" if found > settings.max_symbol_share * document.counts.visible else None


def bullet_lines(document: Document, settings: Corpus) -> str | None:
    """Lines that begin with a bullet over `corpus.max_bullet_line_share` (Gopher, Rae et al. 2021: 0.9)."""
    if len(document.lines) < _MIN_LINES:
        return None
    bullets = sum([line[0] in _BULLETS for line in document.lines])
    return "bullet_lines" if bullets > settings.max_bullet_line_share * len(document.lines) else None


def ellipsis_lines(document: Document, settings: Corpus) -> str | None:
    """Lines that end in an ellipsis over `corpus.max_ellipsis_line_share` (Gopher, Rae et al. 2021: 0.3): lists of teasers."""
    if len(document.lines) < _MIN_LINES or ("…" not in document.text and "..." not in document.text):
        return None
    cut = sum(line.endswith(("…", "...")) for line in document.lines)
    return "ellipsis_lines" if cut > settings.max_ellipsis_line_share * len(document.lines) else None


# The order is that of the reasons: the first that applies is counted. Cheap ones and those that explain the others stand first.
FILTERS: tuple[Callable[[Document, Corpus], str | None], ...] = (
    empty,
    broken_characters,
    other_language,
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


def judge(document: Document, settings: Corpus) -> str | None:
    """The reason of the first rule that drops the document, or None: keep it."""
    for rule in FILTERS:
        reason = rule(document, settings)
        if reason is not None:
            return reason
    return None
