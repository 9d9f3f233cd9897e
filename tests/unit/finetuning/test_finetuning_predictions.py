"""Spans against brute force, windows against BERT's own rule, texts cut out by character offsets."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from mobilebert.finetuning import features, predictions


def test_best_spans_equal_brute_force() -> None:
    draw = np.random.default_rng(4)
    logits = draw.normal(size=(20, 40, 2)).astype(np.float32)
    starts, ends = draw.random((20, 40)) < 0.5, draw.random((20, 40)) < 0.5
    scores, first, last = predictions.best_spans(logits, starts, ends)
    for row in range(20):
        pairs = [
            (i, j)
            for i in range(40)
            for j in range(i, min(40, i + predictions.MAX_ANSWER))
            if starts[row, i] and ends[row, j]
        ]
        best = max(pairs, key=lambda pair: float(logits[row, pair[0], 0]) + float(logits[row, pair[1], 1]))
        assert (first[row], last[row]) == best
        assert scores[row] == pytest.approx(logits[row, best[0], 0] + logits[row, best[1], 1], rel=1e-6)


def test_spans_are_bounded() -> None:
    most = predictions.MAX_ANSWER
    length = most + 20
    logits = np.zeros((1, length, 2), np.float32)
    logits[0, 2, 0], logits[0, most + 10, 1], logits[0, most + 1, 1] = 5, 5, 1
    _, first, last = predictions.best_spans(logits, np.ones((1, length), bool), np.ones((1, length), bool))
    assert (first[0], last[0]) in {(2, most + 1), (most + 10, most + 10)}


def test_no_allowed_span_scores_minus_infinity() -> None:
    logits = np.zeros((1, 8, 2), np.float32)
    scores, _, _ = predictions.best_spans(logits, np.zeros((1, 8), bool), np.ones((1, 8), bool))
    assert scores[0] == -np.inf


def test_every_context_token_has_one_window_with_most_context(pieces: Any) -> None:
    contexts = ["".join(chr(0x4E00 + n) for n in range(size)) for size in (50, 3, 21)]
    lines = [{"id": "", "context": context, "question": "问", "answers": []} for context in contexts]
    windows = features.reading(lines, pieces(), 24, stride=5)
    made, expected = windows.features, set()
    for question, context in enumerate(contexts):
        rows = np.flatnonzero(windows.question == question)
        for token in range(len(context)):
            scores = []
            for row in rows:  # run_squad.py, _check_is_max_context
                size, offset = made.length[row] - made.first[row] - 1, windows.offset[row]
                inside = offset <= token < offset + size
                scores.append(
                    min(token - offset, offset + size - 1 - token) + 0.01 * size if inside else -np.inf
                )
            chosen = int(rows[np.argmax(scores)])
            expected.add((chosen, int(made.first[chosen] + token - windows.offset[chosen])))
    assert {
        (int(row), int(place)) for row, place in np.argwhere(predictions.context_mask(windows))
    } == expected


@pytest.mark.parametrize("size", [4_000, 32_000])
def test_memory_grows_with_a_context_and_not_with_its_square(pieces: Any, size: int) -> None:
    line = {"id": "", "context": "字" * size, "question": "问", "answers": []}
    windows = features.reading([line], pieces(), 64)
    mask_bytes = windows.features.ids.size
    tracemalloc.start()
    mask = predictions.context_mask(windows)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert mask.sum() == size
    assert most < mask_bytes + 64 * size + 100_000  # bytes: a few numbers of 8 bytes a token, once


@pytest.fixture
def pointing(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[int, tuple[float, float]]], None]:
    """Replace the model by logits (start, end) a token id, and 0 for the others."""

    def point(logits: dict[int, tuple[float, float]]) -> None:
        table = np.zeros((80, 2), np.float32)
        for token, values in logits.items():
            table[token] = values
        monkeypatch.setattr(
            predictions,
            "task_logits",
            lambda model, head, batch: tf.gather(tf.constant(table), batch["input_ids"]),
        )

    return point


def answer(pieces: Any, context: str, question: str = "问", length: int = 16) -> str:
    lines = [{"id": "", "context": context, "question": question, "answers": []}]
    tokens = features.reading(lines, pieces, length)
    return predictions.answers(predictions.Forward(None, None), tokens, [context], 3)[0]


def test_text_is_cut_from_the_context_with_its_spaces_and_case(pieces: Any, pointing: Any) -> None:
    small = pieces("AB", "CD")
    pointing({60: (5, 0), 61: (0, 5)})
    assert answer(small, "x AB y  CD z") == "AB y  CD"


def test_a_question_is_no_answer(pieces: Any, pointing: Any) -> None:
    small = pieces("AB", "CD")
    pointing({60: (5, 5), 61: (1, 1)})
    assert answer(small, "xCDy", question="AB") == "CD"


def test_the_best_of_all_windows_wins(pieces: Any, pointing: Any) -> None:
    small = pieces("AB", "CD")
    pointing({60: (3, 3), 61: (5, 5)})
    assert answer(small, "AB" + "x" * 40 + "CD" + "y" * 30) == "CD"
    assert answer(small, "CD" + "x" * 40 + "AB" + "y" * 30) == "CD"


def test_a_window_that_points_to_cls_counts_less(monkeypatch: pytest.MonkeyPatch, pieces: Any) -> None:
    small = pieces("AB", "CD")

    def logits(model: Any, head: Any, batch: Any) -> Any:
        ids = batch["input_ids"]
        ab, cd = tf.cast(ids == 60, tf.float32), tf.cast(ids == 61, tf.float32)
        unsure = tf.reduce_any(ids == 61, axis=1, keepdims=True)
        at_cls = tf.cast(tf.logical_and(ids == small.cls, unsure), tf.float32)
        return tf.stack([3 * ab + 5 * cd + 4 * at_cls] * 2, axis=-1)

    monkeypatch.setattr(predictions, "task_logits", logits)
    assert answer(small, "AB" + "x" * 40 + "CD") == "AB"


def test_an_empty_context_gives_an_empty_answer(pieces: Any, pointing: Any) -> None:
    pointing({})
    assert answer(pieces(), "   ") == ""
