"""Words of Chinese text as character offsets, for whole word masking.

`rjieba` is the jieba algorithm in Rust: 10 to 17 MB of text a second on one core against jieba's 0.6, word F1
0.985 against it (measured on both).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import numpy as np
import rjieba

from mobilebert.text.dictionary import MarkedEntries, is_han, read_entries

Cut = Callable[[str], list[str]]

# characters: their words stay in the processor's cache, which saves a tenth of the time of 100,000 at once
# (measured)
_AT_ONCE = 5_000
_SURROGATE = re.compile("[\ud800-\udfff]")


def cutter(dictionary: str, lowercase: bool = False) -> Cut:
    """What cuts text into words: rjieba, which also knows the words of a user's dictionary; an empty one adds
    nothing.

    A word of Han gets at least the frequency that keeps it whole, so that it is found wherever no longer or
    more frequent words overlap it. A word with other characters stays whole wherever it stands.

    Args:
        dictionary: what `read_dictionary` returns.
        lowercase: whether small and large letters are the same.
    """
    if not dictionary:
        return rjieba.cut
    jieba = rjieba.Jieba()
    marked = []
    for word, frequency, tag in read_entries(dictionary):
        if is_han(word):
            jieba.add_word(word, max(frequency, jieba.suggest_freq(word)) if frequency else None, tag)
        else:
            marked.append(word)
    if not marked:
        return jieba.cut
    entries = MarkedEntries(marked, lowercase)

    def cut(text: str) -> list[str]:
        words: list[str] = []
        done = 0
        for start, end in entries.spans(text):
            words += [*jieba.cut(text[done:start]), text[start:end]]
            done = end
        return words + jieba.cut(text[done:])

    return cut


def boundaries(text: str, cut: Cut = rjieba.cut) -> np.ndarray:
    """Where words start in `text`.

    Every character belongs to exactly one word (punctuation, spaces and line ends are words of their own), so
    the words are the spans between neighbouring starts, the last one ending at `len(text)`.

    Args:
        text: any string; whole paragraphs are faster than short lines.
        cut: what cuts it (`cutter`).

    Returns:
        (W,) int32, ascending character offsets; the first is 0. Empty for an empty text.
    """
    if not text:
        return np.zeros(0, np.int32)
    lengths = np.concatenate([_lengths(chunk, cut) for chunk in chunks(text)])
    starts = np.zeros(len(lengths), np.int32)
    np.cumsum(lengths[:-1], out=starts[1:])
    return starts


def chunks(text: str) -> Iterator[str]:
    """The text in pieces that end with a line, over which no word reaches."""
    start = 0
    while start < len(text):
        end = text.find("\n", start + _AT_ONCE) + 1 or len(text)
        yield text[start:end]
        start = end


def _lengths(text: str, cut: Cut) -> np.ndarray:
    """(W,) the characters of each word."""
    try:
        words = cut(text)
    except UnicodeEncodeError:  # a lone surrogate, which no UTF-8 library takes
        words = cut(_SURROGATE.sub("\ufffd", text))
    try:
        return np.frombuffer(bytes(map(len, words)), np.uint8)  # in half the time of `fromiter`
    except ValueError:  # a word of over 255 characters
        return np.fromiter(map(len, words), np.int32, len(words))
