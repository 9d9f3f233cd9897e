"""Shorter sequences out of longer records, for the steps of a training that see shorter ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mobilebert.records.record_format import SHORTEST_WINDOW, RecordFormat


def cut(
    rows: np.ndarray,
    length: int,
    chance: np.ndarray,
    record_format: RecordFormat,
    special: Sequence[int],
    *,
    paired: bool,
) -> np.ndarray:
    """One piece of each record, framed as a record of its own: [CLS] tokens [SEP] [PAD] ...

    A record's text is what lies between its [CLS] and its last [SEP], a [SEP] inside counted. It falls into
    windows of `length` - 2 tokens as documents do (a rest shorter than `SHORTEST_WINDOW` is none), of which
    one is drawn. Of `paired` records, whose label says whether B follows A, the piece is drawn among those
    that hold the end of A and the beginning of B.

    Args:
        rows: (n, S) ids with flags, as stored.
        length: of the pieces, at most S.
        chance: (n,) uniform numbers in [0, 1).
        record_format: of the rows.
        special: ids of [PAD] [UNK] [CLS] [SEP] [MASK].
        paired: whether the records are pairs with a next-sentence label.

    Returns:
        (n, length) ids with flags; the first column is the records' own.
    """
    pad, _, _, sep, _ = special
    flag, room = record_format.dtype.type(record_format.word_start), length - 2
    ids = rows & ~flag
    tokens = (ids != pad).sum(axis=1) - 2
    if paired:
        middle = (ids == sep).argmax(axis=1) - 1  # tokens of A
        last = np.clip(np.minimum(middle - 1, tokens - room), 0, None)
        least = np.clip(middle + 2 - room, 0, last)
        first = least + (chance * (last - least + 1)).astype(np.int64)
    else:
        windows = np.maximum(1, tokens // room + (tokens % room >= SHORTEST_WINDOW))
        first = (chance * windows).astype(np.int64) * room
    size = np.minimum(room, tokens - first)
    column = np.arange(room)
    taken = np.take_along_axis(rows, np.minimum(1 + first[:, None] + column, rows.shape[1] - 1), axis=1)
    made = np.full((len(rows), length), pad, record_format.dtype)
    made[:, 0] = rows[:, 0]
    made[:, 1:-1] = np.where(column < size[:, None], taken, record_format.dtype.type(pad))
    made[np.arange(len(rows)), 1 + size] = sep
    made[made[:, 1] != sep, 1] |= flag  # a word that a piece cuts goes on as a word of its own
    return made
