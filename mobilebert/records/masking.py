"""Masks for masked language modelling, drawn by computation from a key per record; whole batches in NumPy.

Measured here against a few dozen TensorFlow operations doing the same: several times faster, and the writer
can use it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mobilebert.records import counter_rng
from mobilebert.settings import Masking

# Of the chosen tokens: replaced by [MASK], replaced by a random token, left as they are (Devlin et al. 2018,
# 3.1).
MASKED, RANDOM = 0.8, 0.1
# Chance that a choice takes one word, at most two, three, four words: 40, 30, 20 and 10 % (MacBERT, Cui et
# al. 2020, 3.1). MacBERT's similar words in place of [MASK] would need word vectors, which this project has
# none of.
NGRAMS = np.cumsum([0.4, 0.3, 0.2])
# Where in a record's stream each use begins; sequences have at most 512 tokens.
PRIORITY, FATE, REPLACEMENT, NGRAM = 0, 1024, 2048, 3072
LAST = np.uint64(2**64 - 1)

Batch = dict[str, np.ndarray]


@dataclass(frozen=True)
class _Words:
    """The words of a batch in reading order, each (W,): flat place of the first token and of what follows the
    last, tokens that may be chosen. Of the rows, each (B,): `before`, words in the rows before; `total`,
    words.
    """

    first: np.ndarray
    end: np.ndarray
    size: np.ndarray
    before: np.ndarray
    total: np.ndarray


def mask(
    ids: np.ndarray,
    starts: np.ndarray,
    keys: np.ndarray,
    special: Sequence[int],
    vocabulary_size: int,
    settings: Masking,
) -> Batch:
    """A training batch from plain sequences.

    Args:
        ids: (B, S) of any integer type, [CLS] A [SEP] B [SEP] [PAD] ...
        starts: (B, S) bool, whether a token is the first of its word.
        keys: (B,) uint64, one stream a record.
        special: ids of [PAD] [UNK] [CLS] [SEP] [MASK]; never chosen, never put in.
        vocabulary_size: random replacements are drawn from it.
        settings: strategy, share, most predictions P.

    Returns:
        input_ids, segment_ids, input_mask (B, S) int32; masked_positions ascending, masked_ids (B, P) int32
        and masked_weights (B, P) float32, zeros where a record has fewer than P predictions.
    """
    pad, unk, cls, sep, mask_id = special
    count, length = ids.shape
    frame = (ids == pad) | (ids == cls) | (ids == sep) | (ids == mask_id)
    candidates = ~(frame | (ids == unk))
    indices = _choose(
        _words(candidates, frame | (candidates if settings.strategy == "token" else starts)),
        candidates,
        keys,
        settings,
    )
    row = indices // length
    position = indices - row * length
    slot = row * settings.max_predictions + np.arange(len(row)) - np.searchsorted(row, np.arange(count))[row]
    batch = {
        "input_ids": ids.astype(np.int32),
        "segment_ids": _segments(ids, sep, pad),
        "input_mask": (ids != pad).astype(np.int32),
    }
    inputs = batch["input_ids"].reshape(-1)
    truth = inputs[indices]
    for name, values, dtype in (
        ("positions", position, np.int32),
        ("ids", truth, np.int32),
        ("weights", 1.0, np.float32),
    ):
        batch[f"masked_{name}"] = made = np.zeros((count, settings.max_predictions), dtype)
        made.reshape(-1)[slot] = values
    fate = counter_rng.uniform(keys[row], FATE + position)
    inputs[indices[fate < MASKED]] = mask_id
    drawn = np.flatnonzero((fate >= MASKED) & (fate < MASKED + RANDOM))
    chance = counter_rng.uniform(keys[row[drawn]], REPLACEMENT + position[drawn])
    inputs[indices[drawn]] = _random_ids(chance, special, vocabulary_size)
    return batch


def _words(candidates: np.ndarray, begins: np.ndarray) -> _Words:
    """What stands between two places where `begins` (B, S) is set; what frames a sequence begins, and an
    unknown token inside a word belongs to that word without being chosen.
    """
    count, length = candidates.shape
    edges = np.append(np.flatnonzero(begins), begins.size)
    size = np.diff(edges)
    size -= ~candidates.reshape(-1)[edges[:-1]]
    within = np.flatnonzero(~(candidates | begins))  # unknown tokens inside words
    np.subtract.at(size, np.searchsorted(edges, within, "right") - 1, 1)
    real = np.flatnonzero(size > 0)
    first = edges[real]
    before = np.searchsorted(first, np.arange(count + 1) * length)
    return _Words(first, edges[real + 1], size[real], before[:-1], np.diff(before))


def _choose(words: _Words, candidates: np.ndarray, keys: np.ndarray, settings: Masking) -> np.ndarray:
    """Ascending flat places of the chosen tokens: words in random order, each taken if it still fits into the
    room that is left.

    Chosen are at most round(share * tokens) tokens, never more than P, and at least 1 where a word fits. For
    n-grams the words after the one whose turn it is follow as long as they are its neighbours, free, and fit.
    """
    some = words.total > 0
    tokens, least = np.zeros(len(some), np.int64), np.zeros(len(some), np.int64)
    tokens[some] = np.add.reduceat(words.size, words.before[some])
    least[some] = np.minimum.reduceat(words.size, words.before[some])
    left = np.clip(np.rint(settings.share * tokens), 1, settings.max_predictions).astype(np.int64)
    order = _order(words.total, keys)
    chosen = np.zeros(len(words.first), bool)
    turn = np.zeros(len(left), np.int64)
    if settings.strategy != "ngram_wwm":
        turn = _take_first(words, order, chosen, left)
    joined = np.append(words.first[1:] == words.end[:-1], False)
    rows = np.arange(len(left))
    while (rows := rows[(turn[rows] < words.total[rows]) & (least[rows] <= left[rows])]).size:
        number = order[rows, turn[rows]]
        word = words.before[rows] + number
        fits = _take(rows, word, words.size, chosen, left)
        if settings.strategy == "ngram_wwm":
            longest = np.searchsorted(NGRAMS, counter_rng.uniform(keys[rows], NGRAM + number), "right")
            going = rows
            for more in range(len(NGRAMS)):
                on = fits & (longest > more) & joined[word]
                going, word, longest = going[on], word[on] + 1, longest[on]
                fits = _take(going, word, words.size, chosen, left)
        turn[rows] += 1
    taken = np.flatnonzero(chosen)
    first = words.first[taken]
    span = words.end[taken] - first
    indices = np.repeat(first - (np.cumsum(span) - span), span) + np.arange(span.sum())
    return indices[candidates.reshape(-1)[indices]]


def _order(total: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """(B, W) uint32: the numbers of each row's words in random order, W the most words in a row; one sort
    of priorities that hold them.
    """
    number = np.arange(total.max(initial=0), dtype=np.uint64)
    halves = counter_rng.bits(keys[:, None], PRIORITY + np.arange(-(-len(number) // 2))).view("<u4")[
        :, : len(number)
    ]
    priorities = halves.astype(np.uint64) << np.uint64(32) | number
    np.putmask(priorities, number >= total[:, None].astype(np.uint64), LAST)
    priorities.sort(axis=1)
    return priorities.view("<u4")[:, ::2]


def _take_first(words: _Words, order: np.ndarray, chosen: np.ndarray, left: np.ndarray) -> np.ndarray:
    """Choose of each row all words up to the first that does not fit; changes `chosen` and `left`, returns
    how many it were, (B,).
    """
    turn = np.arange(min(order.shape[1], left.max(initial=0)))
    word = words.before[:, None] + order[:, : len(turn)]
    size = np.take(words.size, word, mode="clip")
    room = np.cumsum(size, axis=1)
    fits = (room <= left[:, None]) & (turn < words.total[:, None])
    chosen[word[fits]] = True
    left -= np.where(fits, size, 0).sum(axis=1)
    return fits.sum(axis=1)


def _take(
    rows: np.ndarray, word: np.ndarray, size: np.ndarray, chosen: np.ndarray, left: np.ndarray
) -> np.ndarray:
    """Choose each row's word if it is free and fits into what is `left`; changes `chosen` and `left`,
    returns which it were, (n,) bool.
    """
    fits = (size[word] <= left[rows]) & ~chosen[word]
    chosen[word[fits]] = True
    left[rows[fits]] -= size[word[fits]]
    return fits


def _segments(ids: np.ndarray, sep: int, pad: int) -> np.ndarray:
    """(B, S) int32: 1 after the first [SEP], as far as the sequence goes."""
    first = (ids == sep).argmax(axis=1)
    return (
        (np.arange(ids.shape[1], dtype=np.int32) > first[:, None].astype(np.int32)) & (ids != pad)
    ).astype(np.int32)


def _random_ids(chance: np.ndarray, special: Sequence[int], vocabulary_size: int) -> np.ndarray:
    """Ids drawn evenly from all that are not special."""
    drawn = (chance * (vocabulary_size - len(set(special)))).astype(np.int32)
    for id in sorted(set(special)):
        drawn += drawn >= id
    return drawn
