"""The `wordpiece` tokenizer: Google's BERT tokenization, id for id, most of it by table look-up.

One Han character is one token, and so is nearly every punctuation mark, whatever stands around it. Those go
through a code-point table on a UTF-32 view of the text; only the runs between them (Latin words, digits,
kana, ...) take the exact road of `google.py`, and each distinct run takes it once.
"""

from __future__ import annotations

import functools
import unicodedata
from array import array
from collections.abc import Callable, Sequence

import numpy as np

from mobilebert.tokenization import google
from mobilebert.tokenization.tokenizer import Encoding, Tokenizer

CODE_POINTS = 0x110000
WORD, DROPPED, SPACE, PUNCTUATION, HAN = range(5)
CAPITAL_SIGMA = "Σ"  # the one character whose lower case depends on its neighbours, punctuation included
CACHED_TOKENS = 1 << 17  # some 50,000 different runs, about 15 MB of memory


class _Runs(dict[str, int]):
    """Run of text -> its number, tokenized when first asked for.

    Run n is made of the tokens `first[n] : first[n] + count[n]` of `ids`, `starts`, `ends` (offsets inside
    the run).
    """

    def __init__(self, tokenize: Callable[[str], tuple[list[int], list[int], list[int]]]) -> None:
        super().__init__()
        self._tokenize = tokenize
        self.first, self.count, self.ids, self.starts, self.ends = (array("i") for _ in range(5))

    def __missing__(self, text: str) -> int:
        ids, starts, ends = self._tokenize(text)
        self.first.append(len(self.ids))
        self.count.append(len(ids))
        self.ids.extend(ids)
        self.starts.extend(starts)
        self.ends.extend(ends)
        self[text] = number = len(self.first) - 1
        return number

    def tokens(self, texts: Sequence[str], offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ids, starts and ends of all the runs' tokens; `offsets` (R,) says where each run begins."""
        numbers = np.fromiter(map(self.__getitem__, texts), np.int64, len(offsets))
        if not numbers.size:
            return (np.zeros(0, np.int32),) * 3
        first, count, ids, starts, ends = (
            np.frombuffer(buffer, np.int32)
            for buffer in (self.first, self.count, self.ids, self.starts, self.ends)
        )
        counts = count[numbers]
        before = np.cumsum(counts) - counts
        where = np.arange(counts.sum()) + np.repeat(first[numbers] - before, counts)
        shift = np.repeat(offsets, counts)
        return ids[where], starts[where] + shift, ends[where] + shift


class WordPieceTokenizer(Tokenizer):
    """Google's BERT tokenization over a `vocab.txt`."""

    kind = "wordpiece"

    def __init__(
        self,
        tokens: Sequence[str],
        lowercase: bool,
        where: str = "vocab.txt",
        strip_accents: bool | None = None,
    ) -> None:
        """Args: the lines of vocab.txt; lower-case or not; the file's name for messages; whether accents are
        taken off, None where small letters are made, as Google's code does it.
        """
        super().__init__(tokens, lowercase, where)
        self.strip_accents = lowercase if strip_accents is None else strip_accents
        # Google strips each line, and the last of equal entries wins.
        self._vocabulary = {token.strip(): id for id, token in enumerate(self.tokens)}
        self._kinds, self._ids = self._tables()
        self._runs = _Runs(self._tokenize)

    def encode_many(self, texts: Sequence[str]) -> list[Encoding]:
        """Tokens of each text; a line end between texts keeps them apart, since no token reaches over
        white space.
        """
        ids, starts, ends = self._encode("\n".join(texts))
        offsets = _offsets(texts)
        cuts = np.searchsorted(starts, offsets)
        return [
            Encoding(ids[a:b], (starts[a:b] - first).astype(np.int32), (ends[a:b] - first).astype(np.int32))
            for a, b, first in zip(cuts[:-1], cuts[1:], offsets, strict=False)
        ]

    def encode_joined(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As the base has it, without a detour over single texts."""
        ids, starts, _ = self._encode("\n".join(texts))
        return ids, starts, np.searchsorted(starts, _offsets(texts))

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        """Tokens joined: "##" glued to what stands before, a space only between two words in letters or
        digits.
        """
        text = ""
        for token in (self.tokens[int(id)] for id in ids):
            if token.startswith("##") and len(token) > 2:
                text += token[2:]
            else:
                text += " " + token if text and _spelt(text[-1]) and _spelt(token[0]) else token
        return text

    def _encode(self, text: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ids, starts and ends of the tokens, as in `Encoding` but for the type of the offsets."""
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.intp)
        kinds = self._kinds.take(points)
        if CAPITAL_SIGMA in text:
            kinds[kinds == PUNCTUATION] = WORD
        inside = np.zeros(len(points) + 2, bool)
        inside[1:-1] = kinds <= DROPPED
        edges = np.flatnonzero(inside[1:] != inside[:-1])
        firsts, lasts = edges[::2], edges[1::2]
        if len(self._runs.ids) > CACHED_TOKENS:
            self._runs = _Runs(self._tokenize)
        texts = [text[first:last] for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True)]
        run_ids, run_starts, run_ends = self._runs.tokens(texts, firsts)
        alone = kinds >= PUNCTUATION
        begins = alone.copy()
        begins[run_starts] = True
        starts = np.flatnonzero(begins)
        if len(starts) < np.count_nonzero(alone) + len(run_starts):  # a character became several tokens
            starts = np.sort(np.concatenate([np.flatnonzero(alone), run_starts]))
        of_runs = kinds.take(starts) <= DROPPED
        ids, ends = self._ids.take(points.take(starts)), starts + 1
        ids[of_runs], ends[of_runs] = run_ids, run_ends
        starts[of_runs] = run_starts  # not ascending where marks change places
        return ids, starts, ends

    def _tokenize(self, text: str) -> tuple[list[int], list[int], list[int]]:
        return google.tokenize(text, self._vocabulary, self.unk, self.lowercase, self.strip_accents)

    def _shape(self) -> bytes:
        return b"" if self.strip_accents == self.lowercase else f"strip_accents {self.strip_accents}".encode()

    def _tables(self) -> tuple[np.ndarray, np.ndarray]:
        """Kind (uint8) and, for HAN and PUNCTUATION, id (int32) of every code point, both (0x110000,)."""
        kinds = _kinds().copy()
        ids = np.full(CODE_POINTS, self.unk, np.int32)
        for token, id in self._vocabulary.items():
            if len(token) == 1:
                ids[ord(token)] = id
        for point in np.flatnonzero((kinds == PUNCTUATION) | _decomposing_han()).tolist():
            token_ids = self._tokenize(chr(point))[0]
            if len(token_ids) == 1:
                ids[point] = token_ids[0]
            else:
                kinds[point] = WORD
        return kinds, ids


def _offsets(texts: Sequence[str]) -> np.ndarray:
    """(len(texts) + 1,) where each text begins, joined by a line end, and where one more would."""
    return np.cumsum([0, *(len(text) + 1 for text in texts)])


def _spelt(character: str) -> bool:
    return character.isalnum() and not any(
        first <= ord(character) <= last for first, last in google.HAN_RANGES
    )


@functools.cache
def _kinds() -> np.ndarray:
    """Kind of every code point, before the vocabulary has a say; surrogates are words, as for Google."""
    # All marks, spaces and controls lie in planes 0, 1 and 14 (Unicode 16); looking at each code point takes
    # eight times as long.
    points = np.array([*range(0x20000), *range(0xE0000, 0xE1000)])
    categories = np.fromiter(
        (unicodedata.category(chr(point)) for point in points.tolist()), "U2", len(points)
    )
    kinds = np.full(CODE_POINTS, WORD, np.uint8)
    for first, last in google.HAN_RANGES:
        kinds[first : last + 1] = HAN
    for category in ("Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po"):
        kinds[points[categories == category]] = PUNCTUATION
    for point in range(128):
        if google.is_punctuation(chr(point)):
            kinds[point] = PUNCTUATION
    kinds[points[np.isin(categories, ("Zs", "Zl", "Zp"))]] = SPACE  # str.split splits at Zl and Zp too
    kinds[points[np.isin(categories, ("Cc", "Cf"))]] = DROPPED
    kinds[[0, 0xFFFD]] = DROPPED
    kinds[[ord(c) for c in "\t\n\r"]] = SPACE
    return kinds


@functools.cache
def _decomposing_han() -> np.ndarray:
    """(0x110000,) bool: compatibility ideographs, which NFD turns into other characters."""
    table = np.zeros(CODE_POINTS, bool)
    table[0xF900 : 0xFAFF + 1] = True
    table[0x2F800 : 0x2FA1F + 1] = True
    return table
