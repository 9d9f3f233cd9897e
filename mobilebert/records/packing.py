"""What is made of rows that stand near each other in the shuffled order: full windows, or segments from
another document.

Both work on groups of a fixed number of rows, so what they make depends neither on blocks and workers nor on
memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from mobilebert.records import counter_rng
from mobilebert.records.record_format import RecordFormat
from mobilebert.settings import Records

GROUP = 4096  # rows


class Arrangement(Protocol):
    """Takes the rows of one shard, `GROUP` at a time, and gives those that are written."""

    def group(self, rows: np.ndarray) -> np.ndarray:
        """(n, S) ids of spilled rows (fields key, document, ids)."""
        ...

    def rest(self) -> np.ndarray:
        """(n, S) what is left after the last group."""
        ...


def arrangement(settings: Records, record_format: RecordFormat, special: Sequence[int]) -> Arrangement:
    """The arrangement that the settings ask for; `special` are the ids of [PAD] [UNK] [CLS] [SEP] [MASK]."""
    if settings.layout == "full":
        return _Joined(record_format, special)
    return _NextSentence(record_format, special) if settings.next_sentence else _AsTheyAre(record_format)


class _AsTheyAre:
    """Rows stay what they are."""

    def __init__(self, record_format: RecordFormat) -> None:
        self._none = np.empty((0, record_format.sequence_length), record_format.dtype)

    def group(self, rows: np.ndarray) -> np.ndarray:
        """The rows' ids."""
        return rows["ids"]

    def rest(self) -> np.ndarray:
        """Nothing."""
        return self._none


class _Joined:
    """Full windows: rows without padding stay; the others' texts, each with its [SEP], follow each other
    and are cut anew.
    """

    def __init__(self, record_format: RecordFormat, special: Sequence[int]) -> None:
        self._form = record_format
        self._pad, _, self._cls, self._sep, _ = special
        self._pending = np.empty(0, record_format.dtype)

    def group(self, rows: np.ndarray) -> np.ndarray:
        """The group's full rows, then those made of its short ones and of what was left before."""
        ids = rows["ids"]
        short = ids[:, -1] == self._pad
        texts = ids[short, 1:]
        stream = np.concatenate([self._pending, texts[texts != self._pad]])
        capacity = self._form.sequence_length - 2
        full = len(stream) // capacity
        self._pending = stream[full * capacity :]
        return np.concatenate([ids[~short], self._framed(stream[: full * capacity].reshape(full, capacity))])

    def rest(self) -> np.ndarray:
        """One last row, padded; its last [SEP] is its own."""
        return (
            self._framed(self._pending[None, :-1])
            if len(self._pending) > 1
            else self._framed(self._pending[None, :0])[:0]
        )

    def _framed(self, texts: np.ndarray) -> np.ndarray:
        made = np.full((len(texts), self._form.sequence_length), self._pad, self._form.dtype)
        width = texts.shape[1]
        made[:, 0], made[:, 1 : 1 + width], made[:, 1 + width] = self._cls, texts, self._sep
        cut = made[:, 1] != self._sep  # a word that a window cuts goes on as a word of its own
        made[cut, 1] |= self._form.dtype.type(self._form.word_start)
        return made


class _NextSentence:
    """Rows in pairs; by chance, half of the pairs exchange their second segments, which is flagged at their
    [CLS].

    Partners have second segments of nearly the same length, and both are cut to the shorter one whether they
    exchange or not: how long a row is tells nothing about its label. Rows of the same document never
    exchange.
    """

    def __init__(self, record_format: RecordFormat, special: Sequence[int]) -> None:
        self._form = record_format
        self._pad, _, _, self._sep, _ = special

    def group(self, rows: np.ndarray) -> np.ndarray:
        """The same rows in their order, some with another's second segment."""
        ids, row = rows["ids"], np.arange(len(rows))
        first = (ids == self._sep).argmax(axis=1)
        length = (ids != self._pad).sum(axis=1) - 2 - first  # of the second segment
        order = np.argsort(length, kind="stable")
        one, other = order[: len(order) // 2 * 2].reshape(-1, 2).T
        length[other] = length[one]  # ascending, so the first is the shorter
        exchange = (counter_rng.uniform(rows["key"][one], 0) < 0.5) & (
            rows["document"][one] != rows["document"][other]
        )
        source = row.copy()
        source[one[exchange]], source[other[exchange]] = other[exchange], one[exchange]
        column = np.arange(ids.shape[1])
        inside = column - first[:, None]  # 1 is the first token of the second segment
        second = (inside > 0) & (inside <= length[:, None])
        from_column = np.where(second, first[source][:, None] + inside, column)
        made = np.where(
            second,
            ids[source[:, None], from_column],
            np.where(inside <= 0, ids, self._form.dtype.type(self._pad)),
        )
        made[row, first + 1 + length] = self._sep
        made[source != row, 0] |= self._form.dtype.type(self._form.word_start)
        return made

    def rest(self) -> np.ndarray:
        """Nothing."""
        return np.empty((0, self._form.sequence_length), self._form.dtype)
