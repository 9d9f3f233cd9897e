"""Masks for masked language modelling, drawn by computation from a key per record; whole batches in NumPy.

Measured here against a few dozen TensorFlow operations doing the same: several times faster, and the writer can use it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mobilebert.records import streams
from mobilebert.settings import Masking

# Of the chosen tokens: replaced by [MASK], replaced by a random token, left as they are (Devlin et al. 2018, 3.1).
MASKED, RANDOM = 0.8, 0.1
# Chance that a choice takes one word, at most two, three, four words: 40, 30, 20 and 10 % (MacBERT, Cui et al. 2020, 3.1). MacBERT's
# similar words in place of [MASK] would need word vectors, which this project has none of.
NGRAMS = np.cumsum([0.4, 0.3, 0.2])
# Where in a record's stream each use begins; sequences have at most 512 tokens.
PRIORITY, FATE, REPLACEMENT, NGRAM = 0, 1024, 2048, 3072
LAST, WORD_BITS = np.uint64(2**64 - 1), np.uint64(2**32 - 1)

Batch = dict[str, np.ndarray]


@dataclass(frozen=True)
class _Words:
    """The words of a batch in reading order, each (W,): flat place of the first token, tokens in all, tokens that may be chosen, row.

    `before` (B,): words in the rows before.
    """

    first: np.ndarray
    span: np.ndarray
    size: np.ndarray
    row: np.ndarray
    before: np.ndarray


def mask(ids: np.ndarray, starts: np.ndarray, keys: np.ndarray, special: Sequence[int], vocabulary_size: int, settings: Masking) -> Batch:
    """A training batch from plain sequences.

    Args:
        ids: (B, S) of any integer type, [CLS] A [SEP] B [SEP] [PAD] ...
        starts: (B, S) bool, whether a token is the first of its word.
        keys: (B,) uint64, one stream a record.
        special: ids of [PAD] [UNK] [CLS] [SEP] [MASK]; never chosen, never put in.
        vocabulary_size: random replacements are drawn from it.
        settings: strategy, share, most predictions P.

    Returns:
        input_ids, segment_ids, input_mask (B, S) int32; masked_positions ascending, masked_ids (B, P) int32 and masked_weights (B, P)
        float32, zeros where a record has fewer than P predictions.
    """
    pad, unk, cls, sep, mask_id = special
    count, length = ids.shape
    frame = (ids == pad) | (ids == cls) | (ids == sep) | (ids == mask_id)
    candidates = ~(frame | (ids == unk))
    place = _choose(_words(candidates, candidates if settings.strategy == "token" else starts | frame), candidates, keys, settings)
    row = place // length
    position = place - row * length
    slot = np.arange(len(row)) - np.searchsorted(row, np.arange(count))[row]
    batch = {"input_ids": ids.astype(np.int32), "segment_ids": _segments(ids, sep, pad), "input_mask": (ids != pad).astype(np.int32)}
    inputs = batch["input_ids"].reshape(-1)
    truth = inputs[place]
    for name, values, dtype in (("positions", position, np.int32), ("ids", truth, np.int32), ("weights", 1.0, np.float32)):
        batch[f"masked_{name}"] = np.zeros((count, settings.max_predictions), dtype)
        batch[f"masked_{name}"][row, slot] = values
    fate = streams.uniform(keys[row], FATE + position)
    random = _random_ids(streams.uniform(keys[row], REPLACEMENT + position), special, vocabulary_size)
    inputs[place] = np.where(fate < MASKED, mask_id, np.where(fate < MASKED + RANDOM, random, truth))
    return batch


def _words(candidates: np.ndarray, begins: np.ndarray) -> _Words:
    """What stands between two places where `begins` (B, S) is set; what frames a sequence begins, and an unknown token inside a word
    belongs to that word without being chosen."""
    first = np.flatnonzero(begins)
    chosen = np.cumsum(candidates, dtype=np.int32)
    ends = np.append(first[1:], candidates.size)
    size = chosen[ends - 1] - chosen[first] + candidates.reshape(-1)[first]
    real = size > 0
    first, span, size = first[real], (ends - first)[real], size[real]
    row = first // candidates.shape[1]
    return _Words(first, span, size, row, np.searchsorted(row, np.arange(len(candidates))))


def _choose(words: _Words, candidates: np.ndarray, keys: np.ndarray, settings: Masking) -> np.ndarray:
    """Ascending flat places of the chosen tokens: words in random order, each taken if it still fits into the room that is left.

    Chosen are at most round(share * tokens) tokens, never more than P, and at least 1 where a word fits. For n-grams the words after
    the one whose turn it is follow as long as they are its neighbours, free, and fit.
    """
    left = np.clip(np.rint(settings.share * candidates.sum(axis=1)), 1, settings.max_predictions).astype(np.int64)
    total = np.diff(words.before, append=len(words.first))
    least = np.full(len(left), settings.max_predictions + 1)
    least[total > 0] = np.minimum.reduceat(words.size, words.before[total > 0])
    order = _order(total, keys)
    joined = np.append(words.first[1:] == words.first[:-1] + words.span[:-1], False)
    chosen = np.zeros(len(words.first), bool)
    rows = np.arange(len(left))
    turn = 0
    while (rows := rows[(turn < total[rows]) & (least[rows] <= left[rows])]).size:
        number = order[rows, turn]
        word = words.before[rows] + number
        fits = _take(rows, word, words.size, chosen, left)
        if settings.strategy == "ngram_wwm":
            longest = np.searchsorted(NGRAMS, streams.uniform(keys[rows], NGRAM + number), "right")
            going = rows
            for more in range(len(NGRAMS)):
                on = fits & (longest > more) & joined[word]
                going, word, longest = going[on], word[on] + 1, longest[on]
                fits = _take(going, word, words.size, chosen, left)
        turn += 1
    taken = np.flatnonzero(chosen)
    span = words.span[taken]
    place = np.repeat(words.first[taken] - (np.cumsum(span) - span), span) + np.arange(span.sum())
    return place[candidates.reshape(-1)[place]]


def _order(total: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """(B, W) int64: the numbers of each row's words in random order, W the most words in a row; one sort of priorities that hold them."""
    number = np.arange(total.max(initial=0), dtype=np.uint64)
    halves = streams.bits(keys[:, None], PRIORITY + np.arange(-(-len(number) // 2))).view("<u4")[:, : len(number)]
    priorities = halves.astype(np.uint64) << np.uint64(32) | number
    priorities[number >= total[:, None].astype(np.uint64)] = LAST
    priorities.sort(axis=1)
    return (priorities & WORD_BITS).astype(np.int64)


def _take(rows: np.ndarray, word: np.ndarray, size: np.ndarray, chosen: np.ndarray, left: np.ndarray) -> np.ndarray:
    """Choose each row's word if it is free and fits into what is `left`; changes `chosen` and `left`, returns which it were, (n,) bool."""
    fits = (size[word] <= left[rows]) & ~chosen[word]
    chosen[word[fits]] = True
    left[rows[fits]] -= size[word[fits]]
    return fits


def _segments(ids: np.ndarray, sep: int, pad: int) -> np.ndarray:
    """(B, S) int32: 1 after the first [SEP], as far as the sequence goes."""
    first = (ids == sep).argmax(axis=1)
    return ((np.arange(ids.shape[1]) > first[:, None]) & (ids != pad)).astype(np.int32)


def _random_ids(chance: np.ndarray, special: Sequence[int], vocabulary_size: int) -> np.ndarray:
    """Ids drawn evenly from all that are not special."""
    drawn = (chance * (vocabulary_size - len(set(special)))).astype(np.int32)
    for id in sorted(set(special)):
        drawn += drawn >= id
    return drawn
