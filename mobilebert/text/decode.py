"""Bytes to text, or a reason why not: a wrong guess is worse than a reject.

Which encoding a text is in is judged strictly. Byte order marks and valid UTF-8 decide by themselves.
Everything else (GB18030 with GBK and GB2312 inside it, Big5 with CP950 and HKSCS, UTF-16 and UTF-32 without a
mark, UTF-7, HZ) is decoded by each candidate, and a candidate is believed only if the text reads like Chinese
and no other candidate reads nearly as well. What a page declares of itself (`<meta charset>`) is never
trusted: it is one of the candidates anyway.

Once the encoding is clear, decoding is lenient (`whatwg`): a bad byte becomes U+FFFD, and the rules on
documents judge how many are too many. A text whose lines are in UTF-8 and in one other encoding is read line
by line.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from mobilebert.text import characters, whatwg

UNDECODABLE, AMBIGUOUS, BINARY, MIXED = "undecodable", "ambiguous_encoding", "binary", "mixed_encodings"

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
_BIG5 = ("cp950", "big5hkscs")
_LEGACY = ("gb18030", "big5")  # `big5` is the one of `_BIG5` that reads more
_UTF16 = ("utf-16-le", "utf-16-be")
_WIDE = ("utf-32-le", "utf-32-be", *_UTF16)  # every character of UTF-32 has a NUL byte
_SEVEN_BIT = {"utf-7": re.compile(rb"\+[A-Za-z0-9+/]{5,}-?"), "hz": re.compile(rb"~\{[!-~]+~\}")}

# Of terminals; bulletin boards put them even between the two bytes of a character.
_COLOUR = re.compile(rb"\x1b\[[0-9;]*m")
# Judged on the encodings and paragraphs of the shared data: Chinese prose in its own encoding has a `sound`
# share of 0.95 to 1 and a `frequent` share of 0.2 to 0.45; GBK read as Big5 and the reverse stay under 0.75
# sound, Korean read as GBK is all sound, but under 0.03 frequent, Japanese without kana under 0.10.
_MIN_SOUND = 0.90
_MIN_FREQUENT = 0.10
_MIN_LEAD = 0.10
_MIN_EVIDENCE = 6  # characters beyond ASCII; fewer prove nothing about an encoding
_SAMPLE = 800_000  # bytes of which a candidate is judged; a multiple of 4
_MAX_NUL_SHARE = 0.01
_NUL_TAIL = 16  # bytes: no text of a wide encoding ends so
# A line is UTF-8 if it has so many characters of three bytes (three pairs of GBK are two of them once in
# 5,000 times, by computation), and its other bytes beyond ASCII are a fourth of them at most.
_MIN_UTF8, _MAX_DAMAGE = 3, 0.25
_MAX_DAMAGED_LINES = 0.1  # of the bytes of UTF-8 that may lie in lines of which nothing can be made
_MIN_LEGACY = 4  # bytes beyond ASCII that are no UTF-8, by which a line is known to be in another encoding
# Blocks in which a text of a whole is looked at for a second encoding: so many at most, of so many bytes at
# least.
_BLOCKS, _BLOCK_BYTES = 64, 200


class Decoded(NamedTuple):
    """The text and the encoding it was in (`utf-8+gb18030`: both, by lines); or no text and the reason."""

    text: str | None
    encoding: str | None
    reason: str | None = None


def decode(data: bytes) -> Decoded:
    """Decode a whole file or a run of whole lines.

    Returns:
        The text without its byte order mark, with U+FFFD for bad bytes; or one of the reasons `undecodable`
        (no encoding gives Chinese text), `ambiguous_encoding` (two do), `mixed_encodings` (its lines are in
        two, neither of them UTF-8: `encoding` names them), `binary` (NUL bytes, and no wide encoding).
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark) and encoding != "utf-8":
            return _unmixed(_read(data[len(mark) :], encoding), data)
    rest = data.removeprefix(codecs.BOM_UTF8)
    if b"\0" in rest:
        return _with_nul_bytes(rest)
    if rest.isascii():
        return _best(rest, _seven_bit(rest)) or Decoded(rest.decode(), "ascii")
    text = _try_utf8(rest)
    if text is not None and (len(rest) < len(data) or not _accidental(data, text)):
        return Decoded(text, "utf-8")
    return _by_lines(rest)


def decode_lines(lines: Sequence[bytes]) -> list[str | None]:
    """The text of each line, None for one whose encoding is not clear.

    A line is in UTF-8, or in the encoding that all other lines together are in, or else in one that it shows
    by itself.
    """
    texts = [_try_utf8(line.removeprefix(codecs.BOM_UTF8)) for line in lines]
    if None not in texts:
        return texts
    utf8 = _utf8_lines(lines)
    others = b"".join(line for line, is_utf8 in zip(lines, utf8, strict=True) if not is_utf8)
    whole = _judged(others)
    few = len(others) <= _MAX_DAMAGED_LINES * sum(map(len, lines))
    for number, (line, is_utf8) in enumerate(zip(lines, utf8, strict=True)):
        if not is_utf8 and not line.isascii():
            one = whole if whole.text is not None else _best(line, _LEGACY, strict=True)
            texts[number] = _read(line, one.encoding).text if one and one.encoding else None
        if texts[number] is None and (is_utf8 or few):
            texts[number] = whatwg.decode(line, "utf-8")
    return texts


def wide_encoding(head: bytes) -> str | None:
    """UTF-16 or UTF-32 if the first bytes of a file show it (mark, or many NUL bytes): such files cannot
    be cut at b"\\n".
    """
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding if encoding in _WIDE else None
    decoded = _with_nul_bytes(head[: len(head) // 4 * 4]) if b"\0" in head else None
    return decoded.encoding if decoded and decoded.encoding in _WIDE else None


def is_wide(encoding: str) -> bool:
    """Whether an encoding has two bytes or four for each character."""
    return encoding in _WIDE


def _with_nul_bytes(data: bytes) -> Decoded:
    """UTF-16 or UTF-32 without a mark; or another encoding with stray NUL bytes, or a tail of them as a file
    system leaves it after a crash, which are left out.
    """
    if data.endswith(bytes(_NUL_TAIL)):
        data = data.rstrip(b"\0")
        data += bytes(len(data) % 2)
    wide = _best(data, _WIDE)
    if wide is not None and wide.text is not None:
        return wide
    data = data.strip(b"\0")
    rest = data.replace(b"\0", b"")
    if not rest or len(data) - len(rest) > _MAX_NUL_SHARE * len(data):
        return Decoded(None, None, BINARY)
    decoded = decode(rest)
    return Decoded(None, None, BINARY) if decoded.text is None else decoded


def _by_lines(data: bytes) -> Decoded:
    """What is not valid UTF-8: damaged UTF-8, another encoding, or lines of both."""
    data = _COLOUR.sub(b"", data)
    lines = data.split(b"\n")
    utf8 = _utf8_lines(lines)
    if all(utf8):
        return Decoded(whatwg.decode(data, "utf-8"), "utf-8")
    if not any(utf8):
        return _judged(data)
    rest = b"\n".join(line for line, is_utf8 in zip(lines, utf8, strict=True) if not is_utf8)
    other = _judged(rest)
    if other.text is not None and other.encoding:
        names = ["utf-8" if is_utf8 else other.encoding for is_utf8 in utf8]
        texts = (_read(line, name).text or "" for line, name in zip(lines, names, strict=True))
        return Decoded("\n".join(texts), f"utf-8+{other.encoding}")
    if len(rest) <= _MAX_DAMAGED_LINES * len(data):
        return Decoded(whatwg.decode(data, "utf-8"), "utf-8")
    return other


def _utf8_lines(lines: Sequence[bytes]) -> list[bool]:
    """Whether each line is in UTF-8, be it damaged; lines that tell nothing are as those before them."""
    data = np.frombuffer(b"".join([*lines, b"\0\0\0"]), np.uint8)
    follows = (data & 0xC0) == 0x80
    two = ((data[:-3] & 0xE0) == 0xC0) & follows[1:-2]
    three = ((data[:-3] & 0xF0) == 0xE0) & follows[1:-2] & follows[2:-1]
    four = ((data[:-3] & 0xF8) == 0xF0) & follows[1:-2] & follows[2:-1] & follows[3:]
    sizes = np.fromiter(map(len, lines), np.int64, len(lines))
    ends = np.cumsum(sizes)

    def count(mask: np.ndarray) -> np.ndarray:
        sums = np.append(0, np.cumsum(mask, dtype=np.int32))
        return sums[ends] - sums[ends - sizes]

    long = count(three) + count(four)
    damage = count(data[:-3] >= 0x80) - 2 * count(two) - 3 * count(three) - 4 * count(four)
    sure = (long >= _MIN_UTF8) & (damage <= _MAX_DAMAGE * long)
    other = (damage >= _MIN_LEGACY) & (damage > 2 * long)
    if not other.any():  # short lines may tell only together
        return [bool(long.sum() >= _MIN_UTF8 and damage.sum() <= _MAX_DAMAGE * long.sum())] * len(lines)
    decided = np.flatnonzero(sure | other)
    nearest = np.maximum(np.searchsorted(decided, np.arange(len(lines)), "right") - 1, 0)
    return sure[decided[nearest]].tolist()


def _judged(data: bytes) -> Decoded:
    """A text that is not in UTF-8, in the encoding that fits all of it."""
    return _unmixed(_best(data, [*_seven_bit(data), *_LEGACY, *_UTF16]), data)


def _unmixed(decoded: Decoded | None, data: bytes) -> Decoded:
    """What was decoded as a whole, or the reason why not: blocks that do not read like Chinese in it are in
    another encoding.
    """
    if decoded is not None and not (decoded.text and _is_uneven(decoded.text)):
        return decoded
    names = _encodings(data)
    if decoded is not None and decoded.encoding in _WIDE:
        names.add(decoded.encoding)
    if len(names) > 1:
        return Decoded(None, "+".join(sorted(names)), MIXED)
    return decoded or Decoded(None, None, UNDECODABLE)


def _is_uneven(text: str) -> bool:
    """Whether some block of a text that reads like Chinese does not."""
    kinds = characters.classes()[characters.codes(text)]
    starts = np.arange(0, len(kinds), _BLOCK_BYTES)
    sound, beyond = (np.add.reduceat(table[kinds], starts) for table in _sound_kinds())
    return bool(((1 - _MIN_SOUND) * np.maximum(beyond, _MIN_EVIDENCE) < beyond - sound).any())


@cache
def _sound_kinds() -> tuple[np.ndarray, np.ndarray]:
    """(11,) int64 each, by class of characters: 1 for what Chinese text is of; 1 for all beyond ASCII."""
    sound = (characters.PUNCTUATION, characters.FREQUENT, characters.COMMON, characters.CANTONESE)
    kinds = range(len(characters.Counts._fields))
    return (
        np.array([kind in sound for kind in kinds], np.int64),
        np.array([kind not in (characters.ASCII, characters.SPACE) for kind in kinds], np.int64),
    )


def _encodings(data: bytes) -> set[str]:
    """The encodings that blocks of lines are in, by themselves."""
    least = max(_BLOCK_BYTES, len(data) // _BLOCKS)
    bests = (
        _best(block, ("utf-8", *_LEGACY), strict=True)
        for block in _blocks(data, least)
        if len(block) >= _BLOCK_BYTES
    )
    return {"big5" if best.encoding in _BIG5 else best.encoding for best in bests if best and best.encoding}


def _blocks(data: bytes, least: int) -> Iterator[bytes]:
    """Whole lines, at least so many bytes of them but for the last ones."""
    start = 0
    while start < len(data):
        end = data.find(b"\n", start + least) + 1 or len(data)
        yield data[start:end]
        start = end


def _seven_bit(data: bytes) -> list[str]:
    return [name for name, pattern in _SEVEN_BIT.items() if pattern.search(data)]


def _best(data: bytes, encodings: Sequence[str], strict: bool = False) -> Decoded | None:
    """The candidate that reads like Chinese with a clear lead; a reason if two do; None if none does, or
    only with a bad byte and `strict` asks for none.
    """
    sample = data[:_SAMPLE]
    exact = [name for encoding in encodings for name in (_BIG5 if encoding == "big5" else (encoding,))]
    tried = ((name, whatwg.decode_strictly(sample, name)) for name in exact)
    texts = {name: text for name, text in tried if text is not None}
    if "cp950" in texts:
        texts.pop("big5hkscs", None)
    sound = _sound(texts)
    if not sound and not strict:
        names = (_closest(sample, name) for name in encodings)
        texts = {name: whatwg.decode(sample, name) for name in names}
        sound = _sound(texts)
    if not sound and not strict:  # a line that is out of step reads badly
        texts = {name: whatwg.resynchronise(text, sample, name) for name, text in texts.items()}
        sound = _sound(texts)
    if not sound:
        return None
    (lead, name), *others = sound
    if any(lead - share < _MIN_LEAD and texts[other] != texts[name] for share, other in others):
        return Decoded(None, None, AMBIGUOUS)
    return _read(data, _closest(data, "big5") if name in _BIG5 else name)


def _sound(texts: dict[str, str]) -> list[tuple[float, str]]:
    """Soundness and encoding of the texts that read like Chinese, the soundest first."""
    shares = [(_soundness(text), name) for name, text in texts.items()]
    return sorted((pair for pair in shares if pair[0] >= _MIN_SOUND), key=lambda pair: -pair[0])


def _closest(data: bytes, encoding: str) -> str:
    """Of `big5` the one that reads more: CP950, or Big5 with HKSCS."""
    if encoding != "big5":
        return encoding
    if whatwg.decode_strictly(data, "cp950") is not None:
        return "cp950"
    return min(_BIG5, key=lambda name: whatwg.decode(data, name).count(whatwg.REPLACEMENT))


def _soundness(text: str) -> float:
    """Share of common Han and Chinese punctuation among the characters beyond ASCII; 0 if the text does
    not read like Chinese at all.
    """
    counts = characters.count(text)
    if (
        "\0" in text
        or counts.beyond_ascii < _MIN_EVIDENCE
        or not counts.han
        or (counts.frequent + counts.cantonese) / counts.han < _MIN_FREQUENT
    ):
        return 0.0
    sound = counts.common + counts.frequent + counts.cantonese + counts.punctuation
    return sound / counts.beyond_ascii


def _accidental(data: bytes, text: str) -> bool:
    """Whether a short GBK text happens to be valid UTF-8: only two-byte sequences, no Han, and it reads
    like Chinese as GB18030.
    """
    if len(data) > 1000 or max(map(ord, text)) >= 0x800:
        return False
    try:
        other = data.decode("gb18030")
    except UnicodeDecodeError:
        return False
    counts = characters.count(other)
    return counts.common + counts.frequent + counts.punctuation == counts.beyond_ascii


def _read(data: bytes, encoding: str) -> Decoded:
    """All of it in a known encoding."""
    text = whatwg.decode(data, encoding)
    return Decoded(whatwg.resynchronise(text, data, encoding), encoding)


def _try_utf8(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None
