"""One form for the same text: NFC, line ends, no control or zero-width characters, half-width letters and
digits, radicals as the characters they show.

Never NFKC: it rewrites Chinese punctuation (，to a comma) and was measured four times slower. Ideographs for
compatibility (U+F900 to U+FAFF) are unified by NFC.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache

import numpy as np

from mobilebert.text import characters, mojibake, radicals

# Line ends of all systems, and Unicode's own; "\r\n" is replaced before, since a set of characters alone is
# looked for many times faster.
_LINE_END = re.compile("[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
# What `_replacements` maps or drops: controls but tab and newline, soft hyphen, zero-width and direction
# marks, BOM, odd spaces, full-width forms, radicals, lone surrogates, noncharacters, interlinear annotation,
# tags, variation selectors.
_ODD = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\xa0\xad\u061c\u1680\u180e\u2000-\u200f\u202a-\u202f\u205f-\u206f"
    "\u2e81-\u2e99\u2e9b-\u2ef3\u2f00-\u2fd5\u3000\ufe00-\ufe0f\ufeff\uff10-\uff19\uff21-\uff3a\uff41-\uff5a"
    "\ud800-\udfff\ufdd0-\ufdef\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e007f\U000e0100-\U000e01ef]"
)
_SIGN = re.compile(f"[{mojibake.SIGNS}]")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")  # of terminals, as bulletin boards have them
# All characters that NFC might change or compose lie outside these ranges: composing costs 60 ns a character
# (16 MB/s), this look 5.
_MAY_COMPOSE = re.compile(
    "[^\x00-\u02ff\u0400-\u0482\u2010-\u205e\u2190-\u2328\u232b-\u2adb\u3001-\u3029\u3030-\u3098\u309b-\u312f"
    "\u31a0-\u9fff\ue000-\uf8ff\uff01-\uffef"
    "\U0001f000-\U0001faff\U00020000-\U0002f7ff]"
)
_IS_LINE_END, _IS_ODD, _IS_COMPOSED, _IS_TAB, _IS_BLANK, _IS_SIGN = 1, 2, 4, 8, 16, 32
_MOST_AT_ONCE = 200_000  # characters of texts that are looked at together, whose measures take 15 bytes each


def normalise(text: str) -> str:
    """The text in one form; applying it again changes nothing.

    Lines are stripped and empty lines dropped: a line end is the only mark of a paragraph that later stages
    use. Lone surrogates and mojibake of U+FFFD become U+FFFD, so that the filters can see them.
    """
    text = _usual(text).replace("\t", " ")
    while "  " in text:  # halves every run; an expression takes three times as long
        text = text.replace("  ", " ")
    return "\n".join(filter(None, map(str.strip, text.split("\n"))))


def normalise_all(texts: Sequence[str]) -> list[str]:
    """Each text as `normalise` gives it, best some 50,000 characters together: most Chinese texts have
    their one form and stay.
    """
    joined = "\n".join(["", *texts, ""])
    if len(joined) > _MOST_AT_ONCE:
        return list(map(normalise, texts))
    kinds = _kinds().take(characters.codes(joined))
    blank = kinds == _IS_BLANK
    changing = np.flatnonzero((blank[:-1] & blank[1:]) | (kinds[1:] & ~np.uint8(_IS_BLANK) != 0)) + 1
    ends = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)) + 1)  # of the texts in `joined`
    normalised = list(texts)
    for index in np.unique(np.searchsorted(ends, changing)).tolist():
        normalised[index] = normalise(texts[index])
    return normalised


def _usual(text: str) -> str:
    """With one kind of line end, and composed, and without what is odd."""
    kinds = np.bitwise_or.reduce(_kinds()[characters.codes(text)], initial=0)
    if kinds & _IS_LINE_END:
        text = _LINE_END.sub("\n", text.replace("\r\n", "\n"))
    if kinds & _IS_ODD:
        text = _COLOUR.sub("", text) if "\x1b" in text else text
        text = _ODD.sub(lambda match: _replacements().get(match[0], ""), text)
    if kinds & _IS_SIGN:
        text = mojibake.restore(text)
    # Composing may only be needed after a zero-width character between base and mark is gone.
    if kinds & _IS_COMPOSED:
        text = unicodedata.normalize("NFC", text)
    return text


@cache
def _replacements() -> dict[str, str]:
    """What stands for an odd character; those not named are dropped."""
    full_width = {
        chr(code): chr(code - 0xFEE0)
        for span in ((0xFF10, 0xFF1A), (0xFF21, 0xFF3B), (0xFF41, 0xFF5B))
        for code in range(*span)
    }
    spaces = dict.fromkeys(
        "\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000", " "
    )
    surrogates = {chr(code): "\ufffd" for code in range(0xD800, 0xE000)}
    return full_width | spaces | surrogates | radicals.unified()


@cache
def _kinds() -> np.ndarray:
    """(0x110000,) uint8: which of the patterns each code point may fall to, and which are blanks; one
    look-up tells which need to run.
    """
    table = np.zeros(characters.CODE_POINTS, np.uint8)
    for pattern, kind in (
        (_LINE_END, _IS_LINE_END),
        (_ODD, _IS_ODD),
        (_MAY_COMPOSE, _IS_COMPOSED),
        (_SIGN, _IS_SIGN),
    ):
        named = np.zeros(characters.CODE_POINTS, bool)
        for first, last in re.findall("(.)(?:-(.))?", pattern.pattern.strip("[^]"), re.DOTALL):
            named[ord(first) : ord(last or first) + 1] = True
        table[named != pattern.pattern.startswith("[^")] |= kind
    table[ord("\t")] |= _IS_TAB
    table[[ord(" "), ord("\n")]] |= _IS_BLANK
    return table
