"""Rules on whole documents that say the same again and again: each returns the reason to drop the document, or None."""

from __future__ import annotations

from mobilebert.settings import Corpus
from mobilebert.text.document import Document

_MIN_PHRASE_EVIDENCE = 40  # characters: in a line or two anything is frequent


def duplicate_lines(document: Document, settings: Corpus) -> str | None:
    """Lines that repeat an earlier one over `corpus.max_duplicate_line_share` of the lines (FineWeb-2 cmn_Hani.yml dup_line_frac: 0.287),
    or over `corpus.max_duplicate_line_characters` of the characters (Gopher, Rae et al. 2021, table A1: 0.20).
    """
    lines = document.lines
    unique = set(lines)
    repeats = len(lines) - len(unique)
    if not repeats:
        return None
    characters = sum(map(len, lines)) - sum(map(len, unique))
    many = repeats > settings.max_duplicate_line_share * len(lines)
    return "duplicate_lines" if many or characters > settings.max_duplicate_line_characters * len(document.text) else None


def frequent_phrase(document: Document, settings: Corpus) -> str | None:
    """One 4-gram of characters that fills more than `corpus.max_phrase_share` of them (FineWeb-2 cmn_Hani.yml top_n_grams, two words:
    0.256): stuffed keywords, laughter, rows of one character.
    """
    judged = len(document.text) >= _MIN_PHRASE_EVIDENCE
    return "frequent_phrase" if judged and document.phrase_share > settings.max_phrase_share else None


def repeated_ngrams(document: Document, settings: Corpus) -> str | None:
    """13-grams of letters, digits and Han that repeat an earlier one over `corpus.max_repeated_share` (EvalWeb preprocess.py: 0.5)."""
    return "repeated_ngrams" if document.repeated_share > settings.max_repeated_share else None
