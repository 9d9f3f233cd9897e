"""A user's dictionary of words in jieba's form, `word [frequency [tag]]` a line.

jieba splits text at all marks but + # & . _ % - and at letters of other scripts before it looks at any
dictionary, and it finds Latin words inside other words. So entries of Han are the segmenter's, and all others
are looked for here first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from mobilebert.errors import UserError
from mobilebert.text import characters, script
from mobilebert.text.normalise import normalise

# A tag after a Latin word would be a second word: New York.
_LINE = re.compile(
    r"(?P<word>\S+)(?:[ \t]+(?P<frequency>[1-9][0-9]{0,8})|(?<![A-Za-z])(?=[ \t]|$))"
    r"(?:[ \t]+(?P<tag>[A-Za-z]+))?|(?P<latin>\S+)"
)
_HAN = re.compile(
    "[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af]+"
)  # what jieba-rs takes for Han
_EAST_ASIAN = 0x2E80  # first code point of the scripts that are written without spaces


def read_dictionary(path: Path, lowercase: bool, simplified: bool) -> str:
    """The entries of a user's dictionary in the form of the text that they are looked for in, a line each.

    Args:
        path: UTF-8 text; empty lines are nothing.
        lowercase: the vocabulary is in small letters, so entries are too.
        simplified: the corpus was converted to Simplified Chinese, so the entries are, as one text.

    Raises:
        UserError: naming the file and the line that is no entry.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path}: cannot be read as UTF-8 text ({error}); records.user_dictionary names a list of words"
        ) from None
    if simplified:
        text = script.simplify(text, script.names([text])[0])
    entries = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.strip())
        if not match:
            raise UserError(
                f"{path}, line {number}: found {line.strip()!r}, expected `word [frequency [tag]]`: a word "
                f"without spaces, a whole number over 0, letters"
            )
        raw = match["word"] or match["latin"]
        word = normalise(raw)
        if not word or " " in word:
            raise UserError(
                f"{path}, line {number}: {raw!r} is {word!r} once text is cleaned (no control and no "
                f"zero-width characters), which can be no word; remove the line"
            )
        word = _lower(word) if lowercase else word
        entries.append(" ".join(filter(None, (word, match["frequency"], match["tag"]))))
    return "\n".join(entries)


def read_entries(dictionary: str) -> Iterator[tuple[str, int | None, str | None]]:
    """Word, frequency and tag of each line of what `read_dictionary` returns."""
    for line in dictionary.split("\n"):
        if match := _LINE.fullmatch(line):
            frequency = int(match["frequency"]) if match["frequency"] else None
            yield match["word"] or match["latin"], frequency, match["tag"]


def is_han(word: str) -> bool:
    """Whether a word is Han alone, so that the segmenter can find it."""
    return _HAN.fullmatch(word) is not None


class MarkedEntries:
    """Entries with letters, digits or marks, found wherever they stand whole; the longest first."""

    def __init__(self, words: Iterable[str], lowercase: bool) -> None:
        self._words = frozenset(words)
        self._lowercase = lowercase
        self._sizes: dict[str, list[int]] = {}  # of the words by their first character, the longest first
        for word in self._words:
            self._sizes.setdefault(word[0], []).append(len(word))
        for first, sizes in self._sizes.items():
            self._sizes[first] = sorted(set(sizes), reverse=True)
        self._begins = np.zeros(characters.CODE_POINTS, bool)
        self._begins[[ord(first) for first in self._sizes]] = True

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Start and end of each in `text`, ascending.

        One that begins or ends with a letter or digit of a script with spaces counts only where no such
        character goes on.
        """
        text = _lower(text) if self._lowercase else text
        end = 0
        for start in np.flatnonzero(self._begins.take(characters.codes(text))).tolist():
            if start < end or (start and _goes_on(text[start - 1 : start + 1])):
                continue
            for size in self._sizes[text[start]]:
                stop = start + size
                if text[start:stop] in self._words and not _goes_on(text[stop - 1 : stop + 1]):
                    yield start, stop
                    end = stop
                    break


def _goes_on(pair: str) -> bool:
    """Whether two neighbouring characters belong to one word of a script with spaces."""
    return len(pair) == 2 and all(character.isalnum() and ord(character) < _EAST_ASIAN for character in pair)


def _lower(text: str) -> str:
    lower = text.lower()
    # Only U+0130 becomes two characters.
    return lower if len(lower) == len(text) else text.replace("\u0130", "I").lower()
