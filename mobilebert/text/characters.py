"""Classes of characters, counted at once over a whole text through a look-up table of code points.

A text is looked at as UTF-32 (`codes`), one table look-up a character (386 MB/s measured). The lists of
common characters are computed from the character standards themselves; no data file is needed.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

# Classes of `classes`; a character has exactly one.
OTHER, ASCII, SPACE, PUNCTUATION, FREQUENT, COMMON, RARE, CANTONESE, KANA, HANGUL, BROKEN = range(11)

CODE_POINTS = 0x110000

# The unified ideographs of Unicode and their extensions, the compatibility ideographs, and 〇 (Unicode 16,
# Blocks.txt).
_HAN = ((0x3007, 0x3008), (0x3400, 0x4DC0), (0x4E00, 0xA000), (0xF900, 0xFB00), (0x20000, 0x323B0))
_KANA = ((0x3041, 0x3100), (0x31F0, 0x3200), (0xFF66, 0xFFA0))
_HANGUL = ((0x1100, 0x1200), (0x3130, 0x3190), (0xAC00, 0xD7B0))
_PRIVATE = ((0xE000, 0xF900), (0xF0000, 0x110000))
# Punctuation that Chinese text uses (CJK symbols, full-width and vertical forms, general punctuation), and
# the symbols of the first rows of GB 2312 and Big5: numerals, arrows, mathematics, enclosed figures, box
# drawing, shapes.
_PUNCTUATION = (
    (0x3001, 0x3007),
    (0x3008, 0x3030),
    (0xFE10, 0xFE1A),
    (0xFE30, 0xFE50),
    (0xFF01, 0xFF66),
    (0x2010, 0x2028),
    (0x2030, 0x205F),
    (0xB7, 0xB8),
)
_SYMBOLS = (
    (0x2160, 0x2180),
    (0x2190, 0x219A),
    (0x2200, 0x2270),
    (0x2460, 0x249C),
    (0x2500, 0x25D0),
    (0x2605, 0x2607),
    (0x3220, 0x3230),
)

# The most frequent characters of modern Chinese (general knowledge of frequency lists, Simplified and
# Traditional forms). About 40 % of running text and 3 % of text that is misread from another encoding, even
# where all its characters happen to be common ones.
_FREQUENT = (
    "的一是不了在人有我他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可她里后小么心多天而能好都然没日于起还发成事只作当想看文无开手十用主"
    "行方又如前所本见经头面公同三已老从动两长知其此与及或将法应由被使第二月等中件新民分规定項條者依"
    "這來國個說們為時會過學對裡裏後麼沒於還發當無開見經頭從動兩長與將應規"
)
# What hardly any text but written Cantonese uses (general knowledge): about a tenth of its Han, and one in a
# million in the wiki paragraphs, verse and dialogue of the shared data. Common characters with a Cantonese
# sense (係, 俾, 晒) are not among them.
_CANTONESE = "嘅喺咗哋唔啲嗰嚟佢冇嘢噉咁瞓攞搵揾嘥畀咩喎啱諗谂嬲乜孭掟撳揿嚿嗌噃"


class Counts(NamedTuple):
    """How many characters of each class a text has; or (D,) int64, of each of many texts."""

    other: Any
    ascii: Any
    space: Any
    punctuation: Any
    frequent: Any
    common: Any
    rare: Any
    cantonese: Any
    kana: Any
    hangul: Any
    broken: Any

    @property
    def han(self) -> Any:
        """Han characters of all four classes (each is counted in one of them alone)."""
        return self.frequent + self.common + self.rare + self.cantonese

    @property
    def visible(self) -> Any:
        """All characters but white space."""
        return sum(self) - self.space

    @property
    def beyond_ascii(self) -> Any:
        """All characters outside ASCII but white space."""
        return self.visible - self.ascii


def codes(text: str) -> np.ndarray:
    """(len(text),) uint32 code points; lone surrogates stand for themselves."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def count(text: str) -> Counts:
    """Count the classes of all characters of `text`."""
    return Counts(*np.bincount(classes()[codes(text)], minlength=len(Counts._fields)).tolist())


@cache
def common_han() -> frozenset[str]:
    """Common Han characters of both scripts, 5,209 of them.

    The 3,755 characters of level 1 of GB 2312 (rows 16 to 55), their Traditional forms (OpenCC s2t), and
    those of the 5,401 frequent characters of Big5 (level 1, A440 to C67E) whose Simplified form (OpenCC t2s)
    is among the 3,755: one Simplified character has several Traditional forms.
    """
    from opencc import OpenCC  # loads its dictionaries: only where the list is used

    rows = (bytes((0xA0 + row, 0xA0 + cell)) for row in range(16, 56) for cell in range(1, 95))
    simplified = {row.decode("gb2312", "ignore") for row in rows} - {""}
    cells = (
        bytes((high, low)) for high in range(0xA4, 0xC7) for low in (*range(0x40, 0x7F), *range(0xA1, 0xFF))
    )
    big5 = sorted({cell.decode("cp950", "ignore") for cell in cells if cell <= b"\xc6\x7e"} - {""})
    # One character a line, so that no phrase of the dictionaries matches across two of them.
    reduced = OpenCC("t2s").convert("\n".join(big5)).split("\n")
    traditional = {
        character for character, counterpart in zip(big5, reduced, strict=True) if counterpart in simplified
    }
    return frozenset(
        simplified | traditional | set(OpenCC("s2t").convert("\n".join(sorted(simplified)))) - {"\n"}
    )


@cache
def classes() -> np.ndarray:
    """(0x110000,) uint8: the class of each code point; read-only."""
    table = np.full(CODE_POINTS, OTHER, np.uint8)
    table[:0x80] = ASCII
    for ranges, kind in (
        (_PUNCTUATION, PUNCTUATION),
        (_SYMBOLS, PUNCTUATION),
        (_HAN, RARE),
        (_KANA, KANA),
        (_HANGUL, HANGUL),
        (_PRIVATE, BROKEN),
    ):
        for start, end in ranges:
            table[start:end] = kind
    table[0x80:0xA0] = BROKEN  # C1 controls: Latin-1 readings of other encodings are full of them
    table[0xD800:0xE000] = BROKEN
    table[0xFFFD] = BROKEN
    table[[ord(character) for character in common_han()]] = COMMON
    table[[ord(character) for character in _FREQUENT]] = FREQUENT
    table[[ord(character) for character in _CANTONESE]] = CANTONESE
    table[[ord(character) for character in " \t\n\r\v\f\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000"]] = SPACE
    table[0x2000:0x200B] = SPACE
    table.flags.writeable = False
    return table


@cache
def letters() -> np.ndarray:
    """(0x110000,) uint32: what stands for each code point where only the wording counts: small letters,
    digits and Han, 0 for all else; read-only.
    """
    table = np.zeros(CODE_POINTS, np.uint32)
    # Letters and digits lie in planes 0 to 3 (Unicode 16); the planes above hold tags and private use.
    for code in range(0x40000):
        character = chr(code)
        if character.isalnum():
            lower = character.lower()
            table[code] = ord(lower) if len(lower) == 1 else code
    table.flags.writeable = False
    return table
