"""Formulas in wikitext: as they are where they are plain text, else a mark."""

from __future__ import annotations

import re

FORMULA = "\ufdd3"  # stands for a formula while a page is parsed: a noncharacter, in no text

_PLAIN_FORMULA = re.compile(r"(?:[^\W_]|[\s+\-=.,()!/<>^]|&[lg]t;)*")
_FORMULA_SPACE = re.compile(r"\\[,;:! ]")
_LONGEST_PLAIN_FORMULA = 40


def read_formula(source: str) -> str:
    """The formula itself where it needs no typesetting (n, x + 1, 2H2 + O2), else `FORMULA`."""
    source = _FORMULA_SPACE.sub(" ", source).strip()
    if len(source) > _LONGEST_PLAIN_FORMULA or not _PLAIN_FORMULA.fullmatch(source):
        return FORMULA
    return source.replace("=", "&#61;").replace("<", "&lt;")  # no name of a parameter, no tag
