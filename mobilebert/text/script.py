"""Simplified or Traditional: what a text is written in, and Traditional text as Simplified.

A character tells the script if only one of the two writes it: OpenCC maps it into the other (one by one), and
the character set of the other, GB 2312 or Big5, does not have it. So 乾, 后, 里, 干, 只 and 著, which both
write, tell nothing; 這, 裡 and 这 do.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from mobilebert.text import characters

SIMPLIFIED, TRADITIONAL, MIXED, NEITHER = "simplified", "traditional", "mixed", "neither"
_ONLY_SIMPLIFIED, _ONLY_TRADITIONAL = 1, 2  # of `_kinds`
# Most share of the telling characters that a quotation or a name in the other script may have.
_QUOTED = 0.1
# Hong Kong writes these, Taiwan does not; beside them 著 stands only where Simplified text has it, too.
_HONG_KONG = re.compile("[着衞]")
# Words that keep their 著 and that OpenCC's table of them (1.4.2, TWVariantsRevPhrases) does not have, as it
# writes them, unless 着 begins a word: 原著, 所著《…》, “，著有”, but 派出所着手.
_KEPT = re.compile(
    "(?<=[原土专拙遗卓])着(?![火急手想眼陆色迷装力重落])"
    "|(?<=所)着(?=[的《〈「『“，。、；])|(?<=[，。、；])着(?=有)|(?<=见微知)着"
)


def counts(texts: Sequence[str]) -> np.ndarray:
    """(D, 2) int64: how many characters of each text Simplified alone writes, and Traditional alone."""
    kinds = _kinds().take(characters.codes("\0".join([*texts, ""])))
    sizes = np.fromiter(map(len, texts), np.int64, len(texts)) + 1
    starts = np.cumsum(sizes) - sizes
    telling = [kinds == _ONLY_SIMPLIFIED, kinds == _ONLY_TRADITIONAL]
    return np.stack([np.add.reduceat(each, starts, dtype=np.int64) for each in telling], axis=1)


def name(simplified: int, traditional: int) -> str:
    """The script of a text with so many telling characters of each: `mixed` where the fewer ones are over a
    tenth, `neither` where there is none.
    """
    if not simplified + traditional:
        return NEITHER
    if min(simplified, traditional) > _QUOTED * (simplified + traditional):
        return MIXED
    return SIMPLIFIED if simplified > traditional else TRADITIONAL


def names(texts: Sequence[str]) -> list[str]:
    """The script of each text, best some 50,000 characters together."""
    return [name(*each) for each in counts(texts).tolist()] if texts else []


def simplify(text: str, script: str) -> str:
    """A text of this script in Simplified characters, its words as they are.

    A Simplified text stays as it is. Of the others go the lines that have more characters of Traditional
    alone than of Simplified alone, and in a Traditional text those that have none of either.
    """
    if script in (SIMPLIFIED, NEITHER):
        return text
    config = "hk2s" if _HONG_KONG.search(text) else "tw2s"
    lines = text.split("\n")
    return "\n".join(
        _converted(line, config)
        if traditional > simplified or (script == TRADITIONAL and traditional == simplified == 0)
        else line
        for line, (simplified, traditional) in zip(lines, counts(lines).tolist(), strict=True)
    )


def changes(text: str, simplified: str) -> int:
    """How many characters of a text are others in what `simplify` made of it."""
    if text is simplified:
        return 0
    return abs(len(text) - len(simplified)) + sum(map(operator.ne, text, simplified))


def _converted(text: str, config: str) -> str:
    made: str = _converter(config).convert(text)
    return _KEPT.sub("著", made) if config == "tw2s" else made


@cache
def _converter(config: str) -> Any:
    from opencc import OpenCC  # loads its dictionaries

    return OpenCC(config)


@cache
def _kinds() -> np.ndarray:
    """(0x110000,) uint8: `_ONLY_SIMPLIFIED`, `_ONLY_TRADITIONAL`, or 0 for a character that tells nothing."""
    table = np.zeros(characters.CODE_POINTS, np.uint8)
    # The unified ideographs and extension A; one character a line, so that no phrase matches across two.
    han = [chr(code) for code in (*range(0x3400, 0x4DC0), *range(0x4E00, 0xA000))]
    for kind, into, other in ((_ONLY_SIMPLIFIED, "s2t", "big5"), (_ONLY_TRADITIONAL, "t2s", "gb2312")):
        counterparts = _converter(into).convert("\n".join(han)).split("\n")
        table[
            [
                ord(one)
                for one, counterpart in zip(han, counterparts, strict=True)
                if one != counterpart and not one.encode(other, "ignore")
            ]
        ] = kind
    return table
