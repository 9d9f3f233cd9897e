"""Bytes of a known encoding as every browser reads them (WHATWG, Encoding Standard,
https://encoding.spec.whatwg.org): what cannot be read becomes U+FFFD, and the text goes on after it.

Python's codecs differ from the standard in a few codes of GB18030 and in how far one bad byte reaches. Where
a byte is missing or too many between pairs of bytes, a browser shows the rest of the line garbled; here it is
read on from where it makes sense again.
"""

from __future__ import annotations

import codecs
import re
from functools import cache

import numpy as np

from mobilebert.text import characters

REPLACEMENT = "\ufffd"
# Python's codec is GB 18030-2000: A3A0 is a space on the web, and the 19 codes that the 2000 edition had in
# it and later ones moved out of the private use area are as in the standard's index gb18030.
_GB18030 = str.maketrans(
    "\ue5e5\ue78d\ue78e\ue78f\ue790\ue791\ue792\ue793\ue794\ue795\ue796"
    "\ue7c7\ue81e\ue826\ue82b\ue82c\ue832\ue843\ue854\ue864",
    "\u3000\ufe10\ufe12\ufe11\ufe13\ufe14\ufe15\ufe16\ufe17\ufe18\ufe19"
    "\u1e3f\u9fb4\u9fb5\u9fb6\u9fb7\u9fb8\u9fb9\u9fba\u9fbb",
)
# Codes that CP950 reads as rare symbols and Big5 as the usual ones: A145 •, A241 ／, A242 ＼ (they differ in
# 8 more, where CP950 has the usual ones).
_CP950 = str.maketrans("\u2027\u2215\ufe68", "•／＼")
_TABLES = {"gb18030": _GB18030, "cp950": _CP950}
_ODD = {name: re.compile(f"[{''.join(map(chr, table))}]") for name, table in _TABLES.items()}
_CJK = {"gb18030", "cp950", "big5hkscs"}
# Encodings of units of two bytes, whose ends cannot be seen in the bytes.
_PAIRED = _CJK | {"utf-16-le", "utf-16-be"}
# What one fault leaves of a character of UTF-8: its first bytes, a byte that UTF-8 never has, its last bytes.
_REMAINS = re.compile(rb"(?:[\xc2-\xf4][\x80-\xbf]{0,2})?[\xc0\xc1\xf5-\xff]?[\x80-\xbf]{0,3}")
_UNFINISHED = re.compile(rb"[\x81-\xfe](?:[0-9][\x81-\xfe]?)?")  # character at the end of the bytes
_BROKEN = re.compile("[\ufffd\ue000-\uf8ff]")  # a pair read across two others is often a private character
# Characters before and bytes after a broken character among which its fault is looked for.
_BACK, _AHEAD = 40, 160
# With more faults the text is dropped anyway (`filters.broken_characters`: 1 in 200 characters).
_BYTES_A_FAULT = 400
_MOST_FAULTS = 100
# How well a reading makes sense, by class of characters: misread text has few frequent and many rare ones. A
# rare character tells nothing by itself, or it would be given up where a foreign byte follows it.
_SENSE = {
    characters.FREQUENT: 2,
    characters.COMMON: 1,
    characters.CANTONESE: 1,
    characters.PUNCTUATION: 1,
    characters.BROKEN: -2,
}


def decode(data: bytes, encoding: str) -> str:
    """The text of all bytes, U+FFFD for what is no character of `encoding` (a name of Python's)."""
    text = decode_strictly(data, encoding)
    if text is not None:
        return text
    text = data.decode(encoding, _handler() if encoding in {"utf-8", *_CJK} else "replace")
    return _as_on_the_web(text, encoding)


def decode_strictly(data: bytes, encoding: str) -> str | None:
    """The text, or None if a byte of it is no character."""
    try:
        return _as_on_the_web(data.decode(encoding), encoding)
    except UnicodeDecodeError:
        return None


def _as_on_the_web(text: str, encoding: str) -> str:
    if encoding not in _TABLES:
        return text
    return _ODD[encoding].sub(lambda match: chr(_TABLES[encoding][ord(match[0])]), text)


def resynchronise(text: str, data: bytes, encoding: str) -> str:
    """`decode(data, encoding)`, which is `text`, with its lines read on in step after a byte that is missing
    or too many; it stands unchanged if it has no such line.
    """
    if encoding not in _PAIRED or not _BROKEN.search(text):
        return text
    newline = "\n".encode(encoding)
    left = min(_MOST_FAULTS, 1 + len(data) // _BYTES_A_FAULT)
    lines = data.split(newline)  # a line end is one at an even and an odd byte, so each line begins in step
    texts = []
    for line in lines:
        mended, faults = _in_step(line, encoding, left)
        left -= faults
        texts.append(mended)
    return "\n".join(texts)


def _in_step(line: bytes, encoding: str, most: int) -> tuple[str, int]:
    """A line with U+FFFD for what stands where it is out of step, and at how many of at most `most`
    faults."""
    done: list[str] = []
    for fault in range(most):
        text = decode(line, encoding)
        broken = _BROKEN.search(text)
        if not broken:
            return "".join([*done, text]), fault
        kept, offset = _best_cut(line, text[: broken.start()], encoding)
        done += [kept, REPLACEMENT]
        line = line[offset:]
    return "".join([*done, decode(line, encoding)]), most


def _best_cut(line: bytes, sound: str, encoding: str) -> tuple[str, int]:
    """How much of `sound`, which ends at a broken character, to keep, and the byte from which to read on.

    A byte may be missing (the other one of its pair is alone: one byte is left out), a pair be no character
    (two) or a foreign byte stand in a pair (three).
    """
    sizes = [len(character.encode(encoding, "replace")) for character in sound[-_BACK:]]
    offset = len(sound.encode(encoding, "replace"))
    until = offset + _AHEAD
    options: list[tuple[str, int]] = []
    for back in range(len(sizes) + 1):
        options += [(sound[: len(sound) - back], offset + left_out) for left_out in (1, 2, 3)]
        offset -= sizes[len(sizes) - 1 - back] if back < len(sizes) else 0
    first = max(0, len(sound) - _BACK)
    readings = [kept[first:] + REPLACEMENT + decode(line[start:until], encoding) for kept, start in options]
    values = _sense()[characters.classes()[characters.codes("".join(readings))]]
    starts = np.cumsum([0, *map(len, readings[:-1])])
    return options[int(np.add.reduceat(values, starts).argmax())]


@cache
def _sense() -> np.ndarray:
    """(11,) int64: `_SENSE` by class."""
    return np.array([_SENSE.get(kind, 0) for kind in range(len(characters.Counts._fields))])


@cache
def _handler() -> str:
    """The name under which Python's codecs know `_replaced`."""
    codecs.register_error("mobilebert.whatwg", _replaced)
    return "mobilebert.whatwg"


def _replaced(error: UnicodeError) -> tuple[str, int]:
    """What the decoders of the standard do with bytes that are no character: a lone 0x80 of GBK is the euro;
    the second byte of a pair goes with the first unless it is ASCII. What is left of a character of UTF-8
    without its first byte is one U+FFFD here and two or three in a browser, so that a lost byte costs one
    character.
    """
    assert isinstance(error, UnicodeDecodeError)
    data, start = error.object, error.start
    if error.encoding == "utf-8":
        remains = _REMAINS.match(data, start)
        return REPLACEMENT, remains.end() if remains else error.end
    if data[start] == 0x80 and error.encoding == "gb18030":
        return "€", start + 1
    if start + 1 == len(data) or _UNFINISHED.fullmatch(data, start):
        return REPLACEMENT, len(data)
    pair = 0x81 <= data[start] <= 0xFE and data[start + 1] >= 0x80
    return REPLACEMENT, start + (2 if pair else 1)
