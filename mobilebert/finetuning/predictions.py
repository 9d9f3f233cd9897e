"""Predictions of a finetuned model: labels, and answers cut out of their contexts."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mobilebert.finetuning import batches
from mobilebert.finetuning.features import Features, Windows
from mobilebert.finetuning.objective import task_logits
from mobilebert.training.accelerators import Accelerator
from mobilebert.training.distributed import ReplicatedFunction

MAX_ANSWER = (
    64  # tokens; BERT's 30 would leave out 8 % of the answers of the CMRC 2018 dev slice, 64 none (measured)
)


class Forward:
    """A finetuned model's logits; traced once for each shape, whatever is predicted how often."""

    def __init__(self, model: Any, head: Any, accelerator: Accelerator | None = None) -> None:
        """Take a `models.Model` and its head, and in whose scope they were made; None: one device."""
        self._spread = ReplicatedFunction(lambda batch: task_logits(model, head, batch), accelerator)

    def logits(self, features: Features, batch_size: int) -> Iterator[np.ndarray]:
        """Logits of the examples in order, batch by batch; every batch has the same shape inside, the last
        one is cut here.
        """
        left, size = len(features), self._spread.whole(batch_size)
        for batch in batches.in_order(features, size):
            logits = self._spread(batch)  # (devices, B / devices, ...)
            yield logits.reshape(size, *logits.shape[2:])[:left]
            left -= size


def labels(forward: Forward, features: Features, batch_size: int) -> np.ndarray:
    """The most probable label of every example, (N,) int32."""
    batches_of_labels = [np.argmax(logits, axis=-1) for logits in forward.logits(features, batch_size)]
    return np.concatenate(batches_of_labels).astype(np.int32) if batches_of_labels else np.zeros(0, np.int32)


def answers(forward: Forward, windows: Windows, contexts: Sequence[str], batch_size: int) -> list[str]:
    """The best answer to every question.

    Every window offers its best span, and the best of all windows wins. A span's score is the sum of its
    start and end logits minus the same sum at [CLS], the log odds against "the answer is not in this window":
    that is what makes windows comparable.

    Args:
        forward: of the finetuned model with its `SpanHead`.
        windows: of all questions, from `features.reading`.
        contexts: the context of every question.
        batch_size: windows at a time.
    """
    starts_allowed, ends_allowed = context_mask(windows), _inside(windows.features)
    best = np.full(len(contexts), -np.inf)
    spans = np.zeros((len(contexts), 2), np.int64)
    row = 0
    for logits in forward.logits(windows.features, batch_size):
        rows = slice(row, row + len(logits))
        scores, first, last = best_spans(logits, starts_allowed[rows], ends_allowed[rows])
        for index, score in enumerate(scores - logits[:, 0].sum(axis=-1), row):
            question = windows.question[index]
            if score > best[question]:
                best[question] = score
                shift = windows.offset[index] - windows.features.first[index]
                spans[question] = first[index - row] + shift, last[index - row] + shift
        row += len(logits)
    best_windows = zip(contexts, windows.starts, windows.ends, spans, best > -np.inf, strict=True)
    return [
        context[starts[first] : ends[last]].strip() if any_ else ""
        for context, starts, ends, (first, last), any_ in best_windows
    ]


def best_spans(
    logits: np.ndarray, starts_allowed: np.ndarray, ends_allowed: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The best span of every window, over all pairs of at most `MAX_ANSWER` tokens (exact: no n-best lists).

    Args:
        logits: (B, S, 2), start and end.
        starts_allowed, ends_allowed: (B, S) bool.

    Returns:
        Scores (B,), -inf where nothing is allowed; first and last position (B,), both inclusive.
    """
    count, length = starts_allowed.shape
    start = np.where(starts_allowed, logits[..., 0], -np.inf)
    end = np.full((count, length + MAX_ANSWER), -np.inf)
    end[:, :length] = np.where(ends_allowed, logits[..., 1], -np.inf)
    # (B, S, MAX_ANSWER): the end logits of the spans that begin at each position
    reach = np.lib.stride_tricks.sliding_window_view(end, MAX_ANSWER, axis=1)[:, :length]
    scores = (start[:, :, np.newaxis] + reach).reshape(count, -1)
    best = scores.argmax(axis=1)
    first, more = np.divmod(best, MAX_ANSWER)
    return scores[np.arange(count), best], first, first + more


def context_mask(windows: Windows) -> np.ndarray:
    """(N, S) bool: context tokens that have the most context in this window of all windows that hold them.

    An answer may begin only there (BERT's run_squad.py, `token_is_max_context`): the smaller distance to the
    window's two ends counts, and a window's length decides between equals, then the earlier window.
    """
    features = windows.features
    mask = np.zeros(features.ids.shape, bool)
    sizes = features.length - features.first - 1  # without the last [SEP]
    bounds = np.searchsorted(windows.question, np.arange(len(windows.starts) + 1))
    for question, (begin, end) in enumerate(itertools.pairwise(bounds)):
        tokens = len(windows.starts[question])
        most, owner = np.full(tokens, -np.inf), np.zeros(tokens, np.int64)  # of each token: context, window
        for window in range(begin, end):
            left = np.arange(sizes[window])  # tokens of this window alone: a context may have many windows
            least = np.minimum(left, left[::-1]) + 0.01 * sizes[window]
            own = slice(windows.offset[window], windows.offset[window] + sizes[window])
            more = least > most[own]
            most[own][more], owner[own][more] = least[more], window
        mask[owner, features.first[owner] + np.arange(tokens) - windows.offset[owner]] = True
    return mask


def _inside(features: Features) -> np.ndarray:
    """(N, S) bool: positions of the second segment without its [SEP]."""
    positions = np.arange(features.ids.shape[1])
    return (positions >= features.first[:, np.newaxis]) & (positions < features.length[:, np.newaxis] - 1)
