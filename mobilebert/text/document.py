"""Texts as the rules on documents look at them: measured many at a time, since NumPy's calls cost more
than a short text's characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, cached_property

import numpy as np

from mobilebert.text import characters
from mobilebert.text.ngrams import SEPARATOR, of_texts

WORDING_N = 13  # characters: EvalWeb's share of repeated n-grams; GPT-3's decontamination has 13 words
_LINE_END = 10


class Documents:
    """Normalised texts without NUL after the line rules, best some 50,000 characters at a time, and their
    measures.

    Attributes: `texts` (D); `codes` (N,) uint32 of all texts, a NUL after each; `starts` (D,) int64 of each
    text in them; `sizes` (D,) int64 characters; `counts` of (D,) int64 by class; of all lines that are not
    empty `line_starts`, `line_ends` (L,) in `codes` and `line_owners` (L,), the number of the text; `lines`
    (D,) int64 how many a text has.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts
        self.codes = characters.codes("\0".join([*texts, ""]))
        self.sizes = np.fromiter(map(len, texts), np.int64, len(texts))
        self.starts = np.cumsum(self.sizes + 1) - (self.sizes + 1)
        wide = np.repeat(np.arange(0, 16 * len(texts), 16), self.sizes + 1)
        wide += characters.classes().take(self.codes)
        counted = np.bincount(wide, minlength=16 * len(texts)).reshape(-1, 16)[
            :, : len(characters.Counts._fields)
        ]
        counted[:, characters.ASCII] -= 1  # the NUL after each text
        self.counts = characters.Counts(*counted.T)
        ends = np.flatnonzero((self.codes == _LINE_END) | (self.codes == 0))
        starts = np.append(0, ends[:-1] + 1)
        self.line_starts, self.line_ends = starts[starts < ends], ends[starts < ends]
        self.line_owners = np.searchsorted(self.starts, self.line_starts, "right") - 1
        self.lines = self.counted(self.line_owners)

    def __len__(self) -> int:
        return len(self.texts)

    def counted(self, owners: np.ndarray) -> np.ndarray:
        """(D,) int64: how often each text's number stands in `owners`."""
        return np.bincount(owners, minlength=len(self.texts))

    def owners(self, positions: np.ndarray) -> np.ndarray:
        """The number of the text at each place of `codes`."""
        return np.searchsorted(self.starts, positions, "right") - 1

    @cached_property
    def wording(self) -> tuple[np.ndarray, np.ndarray]:
        """(M,) uint64 and (D + 1,) int64: hashes of the 13-grams of letters, digits and Han, small letters
        for large and Simplified for Traditional; those of text d are `wording[0][bounds[d] : bounds[d + 1]]`.
        """
        return of_texts(self.codes, _folded(), WORDING_N)

    def wording_of(self, index: int) -> np.ndarray:
        """(M,) uint64: the hashes of one text's 13-grams."""
        hashes, bounds = self.wording
        return hashes[bounds[index] : bounds[index + 1]]


@cache
def _folded() -> np.ndarray:
    """(0x110000,) uint32: `characters.letters`, Traditional characters as their Simplified forms (OpenCC t2s,
    one by one), a separator for NUL.
    """
    from opencc import OpenCC  # loads its dictionaries

    table = characters.letters().copy()
    han = [chr(code) for code in (*range(0x3400, 0x4DC0), *range(0x4E00, 0xA000))]
    # One character a line, so that no phrase of the dictionaries matches across two of them.
    simple = OpenCC("t2s").convert("\n".join(han)).split("\n")
    table[[ord(character) for character in han]] = [ord(character[0]) for character in simple]
    table[0] = SEPARATOR
    return table
