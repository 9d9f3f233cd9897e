"""Bytes to text, or a reason why not: a wrong guess is worse than a reject.

Byte order marks and valid UTF-8 decide by themselves. Everything else (GB18030 with GBK and GB2312 inside it,
Big5 with CP950 and HKSCS, UTF-16 and UTF-32 without a mark, UTF-7, HZ) is decoded strictly by each candidate,
and a candidate is believed only if the text reads like Chinese and no other candidate reads nearly as well.
What a page declares of itself (`<meta charset>`) is never trusted: it is one of the candidates anyway.
"""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

from mobilebert.text import characters

UNDECODABLE, AMBIGUOUS, BINARY = "undecodable", "ambiguous_encoding", "binary"

# UTF-32 before UTF-16: its little-endian mark begins with UTF-16's. GB18030's mark is U+FEFF in that
# encoding.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (b"\x84\x31\x95\x33", "gb18030"),
)
_LEGACY = ("gb18030", "cp950", "big5hkscs")
# Codes that CP950 reads as rare symbols and Big5 as the usual ones: A145 •, A241 ／, A242 ＼ (they differ in
# 8 more, where CP950 has the usual ones).
_CP950_SYMBOLS = str.maketrans("\u2027\u2215\ufe68", "•／＼")
_WIDE = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")
_SEVEN_BIT = {"utf-7": re.compile(rb"\+[A-Za-z0-9+/]{5,}-?"), "hz": re.compile(rb"~\{[!-~]+~\}")}

# Judged on the encodings and paragraphs of the shared data: Chinese prose in its own encoding has a `sound`
# share of 0.95 to 1 and a `frequent` share of 0.2 to 0.45; GBK read as Big5 and the reverse stay under 0.75
# sound, Korean read as GBK is all sound, but under 0.03 frequent, Japanese without kana under 0.10.
_MIN_SOUND = 0.90
_MIN_FREQUENT = 0.10
_MIN_LEAD = 0.10
_MIN_EVIDENCE = 6  # characters beyond ASCII; fewer prove nothing about an encoding
_SAMPLE = 400_000  # characters judged of a candidate


class Decoded(NamedTuple):
    """The text and the encoding it was in; or no text and the reason."""

    text: str | None
    encoding: str | None
    reason: str | None = None


def decode(data: bytes) -> Decoded:
    """Decode a whole file or a run of whole lines.

    Returns:
        The text without its byte order mark, or one of the reasons `undecodable` (no encoding gives Chinese
        text), `ambiguous_encoding` (two do), `binary` (NUL bytes, and no wide encoding).
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _strict(data[len(mark) :], encoding)
    if b"\0" in data:
        return _with_nul_bytes(data)
    if data.isascii():
        return _best(data, [name for name, pattern in _SEVEN_BIT.items() if pattern.search(data)]) or Decoded(
            data.decode(), "ascii"
        )
    text = _try(data, "utf-8")
    if text is not None and not _accidental(data, text):
        return Decoded(text, "utf-8")
    return _best(data, [*_LEGACY, *_WIDE]) or Decoded(None, None, UNDECODABLE)


def wide_encoding(head: bytes) -> str | None:
    """UTF-16 or UTF-32 if the first bytes of a file show it (mark, or many NUL bytes): such files cannot
    be cut at b"\\n".
    """
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding if encoding in _WIDE else None
    decoded = _with_nul_bytes(head[: len(head) // 4 * 4]) if b"\0" in head else None
    return decoded.encoding if decoded and decoded.encoding in _WIDE else None


def _with_nul_bytes(data: bytes) -> Decoded:
    """UTF-16 or UTF-32 without a mark; or UTF-8 with a stray NUL byte, which `normalise` drops."""
    wide = _best(data, list(_WIDE))
    if wide is not None and wide.text is not None:
        return wide
    text = _try(data, "utf-8")
    if text is not None and data.count(0) * 100 <= len(data):
        return Decoded(text, "utf-8")
    return Decoded(None, None, BINARY)


def _best(data: bytes, encodings: list[str]) -> Decoded | None:
    """The candidate that reads like Chinese with a clear lead; a reason if two do; None if none does."""
    sound = []
    for encoding in encodings:
        text = _try(data, encoding)
        if text is not None and (share := _soundness(text)) >= _MIN_SOUND:
            sound.append((share, encoding, text))
    if not sound:
        return None
    sound.sort(key=lambda candidate: -candidate[0])
    best = sound[0]
    for other in sound[1:]:
        if best[0] - other[0] < _MIN_LEAD and not _same_words(best[2], other[2]):
            return Decoded(None, None, AMBIGUOUS)
    return Decoded(best[2], best[1])


def _same_words(one: str, other: str) -> bool:
    """Whether two texts differ in punctuation at most: the Big5 family knows two bullets and three dashes
    under one code.
    """
    if one == other or len(one) != len(other):
        return one == other
    table = characters.classes()
    first, second = characters.codes(one), characters.codes(other)
    return bool(
        (
            (first == second)
            | (table[first] == characters.PUNCTUATION) & (table[second] == characters.PUNCTUATION)
        ).all()
    )


def _soundness(text: str) -> float:
    """Share of common Han and Chinese punctuation among the characters beyond ASCII; 0 if the text does
    not read like Chinese at all.
    """
    counts = characters.count(text[:_SAMPLE])
    if (
        "\0" in text
        or counts.beyond_ascii < _MIN_EVIDENCE
        or not counts.han
        or counts.frequent / counts.han < _MIN_FREQUENT
    ):
        return 0.0
    return (counts.common + counts.frequent + counts.punctuation) / counts.beyond_ascii


def _accidental(data: bytes, text: str) -> bool:
    """Whether a short GBK text happens to be valid UTF-8: only two-byte sequences, no Han, and it reads
    like Chinese as GB18030.
    """
    if len(data) > 1000 or max(map(ord, text)) >= 0x800:
        return False
    other = _try(data, "gb18030")
    if other is None:
        return False
    counts = characters.count(other)
    return counts.common + counts.frequent + counts.punctuation == counts.beyond_ascii


def _strict(data: bytes, encoding: str) -> Decoded:
    text = _try(data, encoding)
    return Decoded(None, None, UNDECODABLE) if text is None else Decoded(text, encoding)


def _try(data: bytes, encoding: str) -> str | None:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return None
    return text.translate(_CP950_SYMBOLS) if encoding == "cp950" else text
