"""Task lines -> arrays of fixed length. NumPy only; one row is one sequence `[CLS] A [SEP] (B [SEP])
[PAD]...`.

Everything is padded to the full length, in training as in prediction: the trigram input of MobileBERT sees
[PAD], so logits depend on the amount of padding (reference page, section 1 item 8).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mobilebert.records import counter_rng

MAX_QUESTION = 64  # tokens, as BERT's run_squad.py (max_query_length)
MIN_STRIDE = 16


@dataclass(frozen=True)
class Features:
    """N sequences of S tokens.

    Attributes:
        ids: (N, S) int32, padded.
        first: (N,) int32, length of `[CLS] A [SEP]`; segment 1 begins there.
        length: (N,) int32, tokens that are not [PAD].
        targets: name -> (N,) int32: "label", or "start" and "end" (positions in the sequence, both
            inclusive).
    """

    ids: np.ndarray
    first: np.ndarray
    length: np.ndarray
    targets: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: np.ndarray) -> Features:
        """The given rows alone."""
        targets = {name: values[rows] for name, values in self.targets.items()}
        return Features(self.ids[rows], self.first[rows], self.length[rows], targets)


@dataclass(frozen=True)
class Windows:
    """Windows over the contexts of questions, a row each, in the order of the questions.

    Attributes:
        features: the N sequences; the targets of a window without the (whole) answer are 0, the position of
            [CLS].
        question: (N,) int32, index of the question.
        offset: (N,) int32, index in the context of the window's first context token, which stands at position
            `first`.
        starts, ends: character offsets of every context's tokens, by question.
    """

    features: Features
    question: np.ndarray
    offset: np.ndarray
    starts: Sequence[np.ndarray]
    ends: Sequence[np.ndarray]


def classification(lines: Iterable[Mapping[str, Any]], tokenizer: Any, sequence_length: int) -> Features:
    """Features of classification lines (`{"text", "text_pair", "label"}`), the longer text truncated first,
    from its end.

    Args:
        lines: the task's lines.
        tokenizer: `tokenization.Tokenizer`.
        sequence_length: S.
    """
    lines = list(lines)
    first = tokenizer.encode_many([line["text"] for line in lines])
    second = iter(
        tokenizer.encode_many([line["text_pair"] for line in lines if line.get("text_pair") is not None])
    )
    rows = []
    for line, encoding in zip(lines, first, strict=True):
        texts = [encoding.ids] if line.get("text_pair") is None else [encoding.ids, next(second).ids]
        rows.append(truncate(texts, sequence_length - 1 - len(texts)))
    labels = np.array([line["label"] for line in lines], np.int32)
    return _pack(rows, tokenizer, sequence_length, {"label": labels})


def truncate(texts: Sequence[np.ndarray], room: int) -> list[np.ndarray]:
    """Shorten token arrays until they fit into `room` together: always the longest loses its last token."""
    if len(texts) == 1:
        return [texts[0][:room]]
    first, second = texts
    half = room // 2
    if len(first) + len(second) > room:
        # Taking from the longer one at a time (the second on a tie) ends here: a short one stays whole.
        kept = max(room - half, room - len(second))
        first = first[:kept]
        second = second[: room - len(first)]
    return [first, second]


def reading(
    lines: Iterable[Mapping[str, Any]], tokenizer: Any, sequence_length: int, stride: int | None = None
) -> Windows:
    """Sliding windows over the contexts of reading lines (`{"context", "question", "answers": [{"text",
    "start"}]}`).

    A window is `[CLS] question [SEP] tokens of the context [SEP]`; the next one begins `stride` tokens
    further on, and the last one reaches the context's end. The first answer whose place is known gives the
    targets (as BERT's run_squad.py).

    Args:
        lines: the task's lines.
        tokenizer: `tokenization.Tokenizer`.
        sequence_length: S, at least 16 (`settings`); a question keeps its first 64 tokens, and less than half
            of S.
        stride: tokens from window to window; None: S / 4 (128 of 512, as BERT's run_squad.py), but at least
            16, and never more than a window holds.
    """
    lines = list(lines)
    contexts = list(dict.fromkeys(line["context"] for line in lines))  # several questions share one
    encoded = dict(zip(contexts, tokenizer.encode_many(contexts), strict=True))
    questions = tokenizer.encode_many([line["question"] for line in lines])
    max_question = min(MAX_QUESTION, (sequence_length - 3) // 2)
    wanted = stride if stride is not None else max(MIN_STRIDE, sequence_length // 4)
    rows: list[tuple[np.ndarray, np.ndarray]] = []
    windows: list[tuple[int, int, int, int]] = []  # question, offset, start, end
    starts, ends = [], []
    for index, line in enumerate(lines):
        question = questions[index].ids[:max_question]
        context = encoded[line["context"]]
        starts.append(context.starts)
        ends.append(context.ends)
        answer = answer_tokens(line["answers"], context.starts, context.ends)
        room = sequence_length - 3 - len(question)
        for offset in window_offsets(len(context.ids), room, wanted):
            window = context.ids[offset : offset + room]
            rows.append((question, window))
            windows.append((index, offset, *_target(answer, offset, len(window), len(question) + 2)))
    bounds = np.array(windows, np.int32).reshape(-1, 4)
    features = _pack(rows, tokenizer, sequence_length, {"start": bounds[:, 2], "end": bounds[:, 3]})
    return Windows(features, bounds[:, 0], bounds[:, 1], starts, ends)


def window_offsets(tokens: int, room: int, stride: int) -> range:
    """Where windows of `room` tokens begin in a context of `tokens` tokens; one window at least."""
    step = min(stride, room)
    return range(0, max(0, tokens - room) + step, step) if tokens > room else range(1)


def answer_tokens(
    answers: Sequence[Mapping[str, Any]], starts: np.ndarray, ends: np.ndarray
) -> tuple[int, int] | None:
    """First and last context token that cover the first answer with a known place, or None.

    A token of a learned vocabulary may span several characters and so reach over the answer's ends: the
    tokens chosen are all that share a character with the answer, the tightest cover there is.

    Args:
        answers: `{"text", "start"}`; a negative start is an unknown place.
        starts, ends: (T,) character offsets of the context's tokens.
    """
    for answer in answers:
        if answer["start"] >= 0 and answer["text"]:
            begin, end = answer["start"], answer["start"] + len(answer["text"])
            covering = np.flatnonzero((ends > begin) & (starts < end) & (ends > starts))
            if covering.size:
                return int(covering[0]), int(covering[-1])
    return None


def training_rows(windows: Windows, seed: int) -> np.ndarray:
    """Rows to train on: all windows with an answer, and of every question as many without one, chosen by the
    seed.

    Windows without the answer teach the model to point to [CLS] there, which makes scores of windows
    comparable. Most windows of a short sequence length have no answer; all of them would cost most of the
    time and teach little else. Questions without any answer (none of their windows shows it) are left out.
    """
    start = windows.features.targets["start"]
    order = np.argsort(counter_rng.bits(counter_rng.keys(seed), np.arange(len(start))), kind="stable")
    without = order[start[order] == 0]
    without = without[np.argsort(windows.question[without], kind="stable")]
    questions = int(windows.question[-1]) + 1 if len(start) else 0
    quota = np.bincount(windows.question[start > 0], minlength=questions)
    owner = windows.question[without]
    rank = np.arange(len(owner)) - np.searchsorted(
        owner, owner
    )  # 0, 1, ... among the windows of one question
    chosen = without[rank < quota[owner]]
    return np.sort(np.concatenate([np.flatnonzero(start > 0), chosen]))


def _target(answer: tuple[int, int] | None, offset: int, size: int, shift: int) -> tuple[int, int]:
    if answer is None or answer[0] < offset or answer[1] >= offset + size:
        return 0, 0
    return answer[0] - offset + shift, answer[1] - offset + shift


def _pack(
    rows: Sequence[Sequence[np.ndarray]],
    tokenizer: Any,
    sequence_length: int,
    targets: Mapping[str, np.ndarray],
) -> Features:
    """Join the parts of every row with the special tokens and pad."""
    ids = np.full((len(rows), sequence_length), tokenizer.pad, np.int32)
    first = np.zeros(len(rows), np.int32)
    length = np.zeros(len(rows), np.int32)
    for row, texts in enumerate(rows):
        ids[row, 0] = tokenizer.cls
        end = 1
        for number, ids_of_text in enumerate(texts):
            ids[row, end : end + len(ids_of_text)] = ids_of_text
            end += len(ids_of_text) + 1
            ids[row, end - 1] = tokenizer.sep
            if number == 0:
                first[row] = end
        length[row] = end
    return Features(ids, first, length, targets)
