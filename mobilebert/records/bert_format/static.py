"""Records that bring their masks with them: the form in which classic BERT records are kept here, and batches
from it.

A row is S masked ids, P positions, P labels and the length of the sequence, all in the integers of
`record_format.RecordFormat`. The top bit of an id is its segment (of the first, [CLS], the next-sentence
label), the top bit of a label says that it counts (weight 1).
"""

from __future__ import annotations

import numpy as np

from mobilebert.records.masking import Batch
from mobilebert.records.record_format import RecordFormat


def format_of(sequence_length: int, predictions: int, vocabulary_size: int) -> RecordFormat:
    """The form of such rows."""
    return RecordFormat(sequence_length + 2 * predictions + 1, vocabulary_size)


def rows(batch: Batch, of: RecordFormat) -> np.ndarray:
    """(n, S + 2 P + 1) rows of a batch as `masking.mask` makes it, with `next_sentence_labels`."""
    flag = of.dtype.type(of.word_start)
    ids = batch["input_ids"].astype(of.dtype)
    ids |= flag * (batch["segment_ids"] > 0)
    ids[:, 0] |= flag * (batch["next_sentence_labels"] > 0)
    labels = batch["masked_ids"].astype(of.dtype) | flag * (batch["masked_weights"] > 0)
    length = batch["input_mask"].sum(axis=1, keepdims=True)
    return np.concatenate(
        [ids, batch["masked_positions"].astype(of.dtype), labels, length.astype(of.dtype)], axis=1
    )


def batch(stored: np.ndarray, predictions: int, of: RecordFormat) -> Batch:
    """What `rows` was given."""
    length = stored.shape[1] - 2 * predictions - 1
    flag = of.dtype.type(of.word_start)
    tokens, positions, labels, ends = np.split(
        stored, [length, length + predictions, length + 2 * predictions], axis=1
    )
    segments = (tokens >= flag).astype(np.int32)
    made = {"next_sentence_labels": segments[:, 0].copy(), "segment_ids": segments}
    segments[:, 0] = 0
    return made | {
        "input_ids": (tokens & ~flag).astype(np.int32),
        "input_mask": (np.arange(length) < ends).astype(np.int32),
        "masked_positions": positions.astype(np.int32),
        "masked_ids": (labels & ~flag).astype(np.int32),
        "masked_weights": (labels >= flag).astype(np.float32),
    }
