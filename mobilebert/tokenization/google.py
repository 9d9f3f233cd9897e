"""Google's BERT tokenization on one stretch of text, with character offsets.

Follows `BasicTokenizer` and `WordpieceTokenizer` of
https://github.com/google-research/bert/blob/master/tokenization.py step by step; every character is carried
with the offset that it came from. This is the slow, exact road: `wordpiece.py` sends only what is neither Han
nor punctuation down it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

# Google gives up on longer words.
MAX_WORD_CHARACTERS = 200
# CJK ranges of BasicTokenizer._is_chinese_char.
HAN_RANGES = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)

Characters = list[tuple[str, int]]  # (character, offset in the text that it came from)


def is_dropped(character: str) -> bool:
    """Whether Google's clean-up removes it: NUL, U+FFFD and control or format characters that are not
    white space.
    """
    if character in "\t\n\r":
        return False
    return character in "\0\ufffd" or unicodedata.category(character) in ("Cc", "Cf")


def is_punctuation(character: str) -> bool:
    """Whether it is a token of its own: all ASCII that is neither letter, digit, space nor control, and
    Unicode's P classes.
    """
    point = ord(character)
    if 33 <= point <= 47 or 58 <= point <= 64 or 91 <= point <= 96 or 123 <= point <= 126:
        return True
    return unicodedata.category(character).startswith("P")


def tokenize(
    text: str, vocabulary: Mapping[str, int], unk: int, lowercase: bool, strip_accents: bool
) -> tuple[list[int], list[int], list[int]]:
    """Ids, start offsets and end offsets of a stretch of text.

    Args:
        text: without white space, and without Han characters unless it is a single one.
        vocabulary: token -> id; word-internal tokens begin with "##".
        unk: id of a word that the vocabulary cannot spell.
        lowercase: make capitals small.
        strip_accents: take accents off; Google's code does both or neither.
    """
    if text.isascii() and text.isalnum():  # as nearly all are: nothing to drop, to strip or to split
        subwords = _pieces(text.lower() if lowercase else text, vocabulary, unk)
        return (
            [id for id, _, _ in subwords],
            [first for _, first, _ in subwords],
            [end for _, _, end in subwords],
        )
    characters: Characters = [(c, offset) for offset, c in enumerate(text) if not is_dropped(c)]
    if lowercase:
        characters = _lowered(characters)
    if strip_accents and not text.isascii():
        characters = _without_accents(characters)
    ids: list[int] = []
    starts: list[int] = []
    ends: list[int] = []
    for word in _split_on_punctuation(characters):
        for id, first, end in _pieces("".join(c for c, _ in word), vocabulary, unk):
            ids.append(id)
            starts.append(word[first][1])
            ends.append(word[end - 1][1] + 1)
    return ids, starts, ends


def _lowered(characters: Characters) -> Characters:
    # As a whole, since the lower case of a capital sigma depends on its neighbours; only U+0130 becomes
    # longer.
    lowered = "".join(c for c, _ in characters).lower()
    offsets = [offset for c, offset in characters for _ in c.lower()]
    return list(zip(lowered, offsets, strict=True))


def _without_accents(characters: Characters) -> Characters:
    """NFD, then without non-spacing marks."""
    apart = [(character, offset) for c, offset in characters for character in unicodedata.normalize("NFD", c)]
    first = 0
    for index in range(
        len(apart) + 1
    ):  # canonical ordering: marks that follow each other are sorted by their combining class
        if index == len(apart) or unicodedata.combining(apart[index][0]) == 0:
            if index - first > 1:
                apart[first:index] = sorted(
                    apart[first:index], key=lambda item: unicodedata.combining(item[0])
                )
            first = index + 1
    return [(c, offset) for c, offset in apart if unicodedata.category(c) != "Mn"]


def _split_on_punctuation(characters: Characters) -> list[Characters]:
    words: list[Characters] = []
    inside = False
    for item in characters:
        if is_punctuation(item[0]):
            words.append([item])
            inside = False
        elif inside:
            words[-1].append(item)
        else:
            words.append([item])
            inside = True
    return words


def _pieces(word: str, vocabulary: Mapping[str, int], unk: int) -> list[tuple[int, int, int]]:
    """Greedy longest match first: (id, first character, end) of each piece, or one unknown for the whole
    word.
    """
    unknown = [(unk, 0, len(word))]
    if len(word) > MAX_WORD_CHARACTERS:
        return unknown
    subwords = []
    start = 0
    while start < len(word):
        prefix = "##" if start else ""
        for end in range(len(word), start, -1):
            id = vocabulary.get(prefix + word[start:end])
            if id is not None:
                break
        else:
            return unknown
        subwords.append((id, start, end))
        start = end
    return subwords
