"""One form for the same text: NFC, line ends, no control or zero-width characters, half-width letters and digits.

Never NFKC: it rewrites Chinese punctuation (，to a comma) and was measured four times slower (`reference/performance-data.md` section 1).
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

import numpy as np

from mobilebert.text import characters

# Line ends of all systems, and Unicode's own; "\r\n" is replaced before, since a set of characters alone is looked for many times faster.
_LINE_END = re.compile("[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
# What `_replacements` maps or drops: controls but tab and newline, soft hyphen, zero-width and direction marks, BOM, odd spaces,
# full-width forms, lone surrogates, noncharacters, interlinear annotation, tags.
_ODD = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\xa0\xad\u061c\u180e\u2000-\u200f\u202a-\u202f\u205f-\u206f\u3000\ufeff\uff10-\uff19\uff21-\uff3a\uff41-\uff5a"
    "\ud800-\udfff\ufdd0-\ufdef\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e007f]"
)
# All characters that NFC might change or compose lie outside these ranges: composing costs 60 ns a character (16 MB/s), this look 5.
_MAY_COMPOSE = re.compile(
    "[^\x00-\u02ff\u0400-\u0482\u2010-\u205e\u2190-\u2328\u232b-\u2adb\u3001-\u3029\u3030-\u3098\u309b-\u312f\u31a0-\u9fff\ue000-\uf8ff\uff01-\uffef"
    "\U0001f000-\U0001faff\U00020000-\U0002f7ff]"
)
_IS_LINE_END, _IS_ODD, _IS_COMPOSED = 1, 2, 4
_BLANKS = (" ", "\t", "\n\n")  # most Chinese text has none of them, and no blank that is `_unusual`


def normalise(text: str) -> str:
    """The text in one form; applying it again changes nothing.

    Lines are stripped and empty lines dropped: a line end is the only mark of a paragraph that later stages use. Lone surrogates become
    U+FFFD, so that the filters can see them.
    """
    unusual = _unusual().search(text) is not None
    if unusual:
        text = _usual(text)
    if unusual or any(blank in text for blank in _BLANKS):
        text = text.replace("\t", " ")
        while "  " in text:  # halves every run; an expression takes three times as long
            text = text.replace("  ", " ")
        text = "\n".join(filter(None, map(str.strip, text.split("\n"))))
    return text.strip("\n")


def _usual(text: str) -> str:
    """With one kind of line end, and composed, and without what is odd."""
    found = np.bitwise_or.reduce(_kinds()[characters.codes(text)])
    if found & _IS_LINE_END:
        text = _LINE_END.sub("\n", text.replace("\r\n", "\n"))
    if found & _IS_ODD:
        text = _ODD.sub(lambda match: _replacements().get(match[0], ""), text)
    # Composing may only be needed after a zero-width character between base and mark is gone.
    if found & _IS_COMPOSED:
        text = unicodedata.normalize("NFC", text)
    return text


@cache
def _replacements() -> dict[str, str]:
    """What stands for an odd character; those not named are dropped."""
    full_width = {chr(code): chr(code - 0xFEE0) for span in ((0xFF10, 0xFF1A), (0xFF21, 0xFF3B), (0xFF41, 0xFF5B)) for code in range(*span)}
    spaces = dict.fromkeys("\xa0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000", " ")
    surrogates = {chr(code): "\ufffd" for code in range(0xD800, 0xE000)}
    return full_width | spaces | surrogates


@cache
def _unusual() -> re.Pattern[str]:
    """Any character that one of the patterns may fall to, as one set: a short text is looked through in a third of the time."""
    edges = np.flatnonzero(np.diff(_kinds() == 0, prepend=False, append=False)).reshape(-1, 2).tolist()
    return re.compile("[^" + "".join(f"{re.escape(chr(first))}-{re.escape(chr(end - 1))}" for first, end in edges) + "]")


@cache
def _kinds() -> np.ndarray:
    """(0x110000,) uint8: which of the patterns each code point may fall to; one look-up a text tells which need to run."""
    table = np.zeros(characters.CODE_POINTS, np.uint8)
    for pattern, kind in ((_LINE_END, _IS_LINE_END), (_ODD, _IS_ODD), (_MAY_COMPOSE, _IS_COMPOSED)):
        named = np.zeros(characters.CODE_POINTS, bool)
        for first, last in re.findall("(.)(?:-(.))?", pattern.pattern.strip("[^]"), re.DOTALL):
            named[ord(first) : ord(last or first) + 1] = True
        table[named != pattern.pattern.startswith("[^")] |= kind
    return table
