"""Google's BERT tokenization, written plainly a second time as the tests' judge: no tables, no offsets, no
cache.

After https://github.com/google-research/bert/blob/master/tokenization.py (FullTokenizer, BasicTokenizer,
WordpieceTokenizer).
"""

from __future__ import annotations

import unicodedata


def tokenize(text: str, vocabulary: dict[str, int], lowercase: bool) -> list[str]:
    """The written tokens of a text."""
    spaced = []
    for character in text:
        if character in "\0\ufffd" or (
            unicodedata.category(character) in ("Cc", "Cf") and character not in "\t\n\r"
        ):
            continue
        if character in " \t\n\r" or unicodedata.category(character) == "Zs":
            spaced.append(" ")
        elif _chinese(ord(character)):
            spaced.append(f" {character} ")
        else:
            spaced.append(character)
    split = []
    for token in "".join(spaced).strip().split():
        if lowercase:
            token = "".join(
                c for c in unicodedata.normalize("NFD", token.lower()) if unicodedata.category(c) != "Mn"
            )
        split.append("".join(f" {c} " if _punctuation(c) else c for c in token))
    return [subword for word in " ".join(split).split() for subword in _wordpiece(word, vocabulary)]


def _wordpiece(word: str, vocabulary: dict[str, int]) -> list[str]:
    if len(word) > 200:
        return ["[UNK]"]
    subwords, start = [], 0
    while start < len(word):
        for end in range(len(word), start, -1):
            subword = ("##" if start else "") + word[start:end]
            if subword in vocabulary:
                break
        else:
            return ["[UNK]"]
        subwords.append(subword)
        start = end
    return subwords


def _chinese(point: int) -> bool:
    return (
        0x4E00 <= point <= 0x9FFF
        or 0x3400 <= point <= 0x4DBF
        or 0x20000 <= point <= 0x2A6DF
        or 0x2A700 <= point <= 0x2B73F
        or 0x2B740 <= point <= 0x2B81F
        or 0x2B820 <= point <= 0x2CEAF
        or 0xF900 <= point <= 0xFAFF
        or 0x2F800 <= point <= 0x2FA1F
    )


def _punctuation(character: str) -> bool:
    point = ord(character)
    ascii_mark = 33 <= point <= 47 or 58 <= point <= 64 or 91 <= point <= 96 or 123 <= point <= 126
    return ascii_mark or unicodedata.category(character).startswith("P")
