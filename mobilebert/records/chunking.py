"""Documents to rows of ids: tokens, word starts, windows or pairs, held out or not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xxhash

from mobilebert.records import counter_rng
from mobilebert.records.record_format import SHORTEST_WINDOW, RecordFormat
from mobilebert.settings import Records
from mobilebert.text import sentences, words
from mobilebert.tokenization import Tokenizer


@dataclass(frozen=True)
class Packed:
    """Rows of some documents.

    `rows` (n, S) of the form's type; `heldout` (n,) bool; `documents` (n,) uint64 hash of each row's
    document; `counts` what was read, kept and dropped, summed over the documents.
    """

    rows: np.ndarray
    heldout: np.ndarray
    documents: np.ndarray
    counts: Counter[str]


@dataclass(frozen=True)
class Tokens:
    """Tokens of several documents in a row: `values` (N,) ids with flags; document d is `firsts[d] :
    firsts[d + 1]`.
    """

    values: np.ndarray
    starts: np.ndarray
    firsts: np.ndarray


@dataclass(frozen=True)
class _Windows:
    """Windows over the tokens, each (n,): document, number in it, first token, length."""

    document: np.ndarray
    number: np.ndarray
    first: np.ndarray
    length: np.ndarray


def pack(
    documents: Sequence[bytes],
    tokenizer: Tokenizer,
    record_format: RecordFormat,
    settings: Records,
    cut: words.Cut | None = None,
) -> Packed:
    """Rows of each document; a row never mixes documents, and a document is wholly held out or not at all.

    What becomes of a document depends on its text alone, here in UTF-8; `cut` is what cuts it into words.
    """
    hashes = np.fromiter(map(xxhash.xxh3_64_intdigest, documents), np.uint64, len(documents))
    sizes = np.fromiter(map(len, documents), np.int64, len(documents))
    texts = [document.decode() for document in documents]
    heldout = hashes < np.uint64(settings.heldout_share * 2**64)
    tokens = tokenize(texts, tokenizer, record_format, cut or words.cutter(""))
    lengths = np.diff(tokens.firsts)
    # What the layout `full` joins later may be as short as it is.
    shortest = 1 if settings.layout == "full" else SHORTEST_WINDOW
    windows = _cut(
        lengths,
        tokens.firsts,
        record_format.sequence_length - (3 if settings.layout == "pairs" else 2),
        shortest,
    )
    split = windows.length
    if settings.layout == "pairs":
        split = _split(windows, tokens, _sentence_starts(texts, tokens), record_format, hashes)
    rows = _fill(windows, split, tokens, tokenizer, record_format)
    return Packed(
        rows, heldout[windows.document], hashes[windows.document], _count(sizes, lengths, windows, heldout)
    )


def tokenize(
    texts: Sequence[str], tokenizer: Tokenizer, record_format: RecordFormat, cut: words.Cut
) -> Tokens:
    """Ids with flags: a token is the first of a word when a word starts at its first character."""
    ids, starts, firsts = tokenizer.encode_joined(texts)
    joined = "\n".join(texts)
    begins = np.zeros(len(joined) + 1, bool)
    begins[words.boundaries(joined, cut)] = True
    flags = begins[starts]
    flags[1:] &= starts[1:] != starts[:-1]  # a character that became two tokens is one beginning
    values = ids.astype(record_format.dtype)
    values |= flags * record_format.dtype.type(record_format.word_start)
    return Tokens(values, starts, firsts)


def _cut(lengths: np.ndarray, firsts: np.ndarray, capacity: int, shortest: int) -> _Windows:
    """Windows of `capacity` tokens one after the other; a rest stays when it has `shortest` tokens."""
    counts = lengths // capacity + (lengths % capacity >= shortest)
    document = np.repeat(np.arange(len(lengths)), counts)
    number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    length = np.minimum(capacity, lengths[document] - number * capacity)
    return _Windows(document, number, firsts[document] + number * capacity, length)


def _sentence_starts(texts: Sequence[str], tokens: Tokens) -> np.ndarray:
    """(n,) ascending numbers of the tokens that begin a sentence."""
    begins, offset = [], 0
    for text in texts:
        begins += [offset + start for start, _ in sentences.spans(text)]
        offset += len(text) + 1
    return np.unique(np.searchsorted(tokens.starts, np.array(begins, np.int64)))


def _split(
    windows: _Windows,
    tokens: Tokens,
    sentence_starts: np.ndarray,
    record_format: RecordFormat,
    hashes: np.ndarray,
) -> np.ndarray:
    """(n,) how many tokens of each window are segment A: up to a sentence chosen by the document's hash,
    else about half, up to a word.
    """
    end = windows.first + windows.length
    low = np.searchsorted(sentence_starts, windows.first, "right")
    starts_inside = np.searchsorted(sentence_starts, end, "left") - low
    chance = counter_rng.uniform(hashes[windows.document], windows.number)
    chosen = np.append(sentence_starts, 0)[
        np.where(starts_inside > 0, low + (chance * starts_inside).astype(np.int64), -1)
    ]
    middle = windows.first + windows.length // 2
    word_starts = np.append(np.flatnonzero(tokens.values >= record_format.word_start), len(tokens.values))
    word = word_starts[np.searchsorted(word_starts, middle)]
    return np.where(starts_inside > 0, chosen, np.where(word < end, word, middle)) - windows.first


def _fill(
    windows: _Windows, split: np.ndarray, tokens: Tokens, tokenizer: Tokenizer, record_format: RecordFormat
) -> np.ndarray:
    """Rows (n, S): [CLS], the first `split` tokens, [SEP], and if any are left, those and [SEP]; then
    [PAD].
    """
    count = len(windows.first)
    rows = np.full((count, record_format.sequence_length), tokenizer.pad, record_format.dtype)
    which = np.arange(count)
    last = 1 + windows.length + (split < windows.length)  # column of the last [SEP]
    column = np.arange(record_format.sequence_length, dtype=np.int16)
    inside = (column > 0) & (column < last.astype(np.int16)[:, None])
    inside[which, 1 + split] = False
    before = np.cumsum(windows.length) - windows.length
    rows[inside] = tokens.values[
        np.arange(windows.length.sum()) + np.repeat(windows.first - before, windows.length)
    ]
    rows[:, 0] = tokenizer.cls
    rows[which, 1 + split] = tokenizer.sep
    rows[which, last] = tokenizer.sep
    # A word that a window cuts goes on as a word of its own.
    flag = record_format.dtype.type(record_format.word_start)
    rows[:, 1] |= flag
    pairs = which[split < windows.length]
    rows[pairs, 2 + split[pairs]] |= flag
    return rows


def _count(sizes: np.ndarray, lengths: np.ndarray, windows: _Windows, heldout: np.ndarray) -> Counter[str]:
    """`sizes` (D,) are the bytes of the documents, `lengths` (D,) their tokens."""
    kept = np.bincount(windows.document, weights=windows.length, minlength=len(sizes)).astype(np.int64)
    sequences = np.bincount(windows.document, minlength=len(sizes))
    counts: Counter[str] = Counter()
    for name, chosen in (("train", ~heldout), ("heldout", heldout)):
        used = chosen & (sequences > 0)
        counts[f"{name}_documents"] = int(used.sum())
        counts[f"{name}_sequences"] = int(sequences[used].sum())
        counts[f"{name}_tokens"] = int(kept[used].sum())
        counts[f"{name}_bytes"] = int(sizes[used].sum())
    counts["short_documents"] = int((sequences == 0).sum())
    counts["dropped_tokens"] = int((lengths - kept).sum())
    return counts
