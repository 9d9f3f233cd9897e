"""The objective: its numbers against NumPy, what it trains, and that it learns."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from mobilebert.finetuning import batches, features, predictions
from mobilebert.finetuning.objective import TaskObjective
from mobilebert.models import heads

SEED = tf.constant([1, 2], tf.int32)


def entropy(logits: np.ndarray, target: np.ndarray) -> float:
    """Mean cross-entropy in float64, from (B, C) and (B,)."""
    wide = logits.astype(np.float64)
    norm = np.log(np.exp(wide).sum(axis=-1))
    return float((norm - wide[np.arange(len(target)), target]).mean())


def batch(**targets: list[int]) -> dict[str, Any]:
    ids = np.random.default_rng(0).integers(5, 80, (4, 12)).astype(np.int32)
    mask = (np.arange(12) < np.array([12, 9, 12, 5])[:, None]).astype(np.int32)
    made = {"input_ids": ids * mask, "segment_ids": np.zeros_like(ids), "input_mask": mask}
    return {name: tf.constant(np.array(value, np.int32)) for name, value in (made | targets).items()}


@pytest.mark.parametrize("kind", ["mobilebert", "bert"])
def test_classification_loss_is_the_cross_entropy_of_the_heads_logits(
    tiny_model: Callable[..., Any], kind: str
) -> None:
    model = tiny_model(
        kind, attention_probs_dropout_prob=0.0, hidden_dropout_prob=0.0, classifier_dropout=0.0
    )
    head = heads.for_classification(model.config, 3, 5)
    head.variables_by_name["classifier.weight"].assign(np.random.default_rng(1).normal(size=(32, 3)))
    given = batch(label=[0, 2, 1, 1])
    logits = head(
        model.encode(given["input_ids"], given["segment_ids"], given["input_mask"]).sequence
    ).numpy()
    found = TaskObjective(model, head).loss(given, SEED)
    assert float(found["loss"]) == pytest.approx(entropy(logits, np.array([0, 2, 1, 1])), rel=1e-5)
    assert float(found["accuracy"]) == (logits.argmax(-1) == [0, 2, 1, 1]).mean()
    assert all(value.dtype == tf.float32 for value in found.values())


def test_reading_loss_is_the_mean_of_start_and_end(tiny_model: Callable[..., Any]) -> None:
    model = tiny_model(attention_probs_dropout_prob=0.0)
    head = heads.SpanHead(32, 5)
    head.variables_by_name["qa_outputs.weight"].assign(np.random.default_rng(1).normal(size=(32, 2)))
    start, end = [3, 1, 4, 0], [5, 1, 8, 0]
    given = batch(start=start, end=end)
    logits = head(
        model.encode(given["input_ids"], given["segment_ids"], given["input_mask"]).sequence
    ).numpy()
    found = TaskObjective(model, head).loss(given, SEED)
    expected = (entropy(logits[..., 0], np.array(start)) + entropy(logits[..., 1], np.array(end))) / 2
    assert float(found["loss"]) == pytest.approx(expected, rel=1e-5)
    both = (logits[..., 0].argmax(-1) == start) & (logits[..., 1].argmax(-1) == end)
    assert float(found["accuracy"]) == both.mean()


def test_pooled_vector_is_dropped_out_by_the_seed_and_nothing_in_predictions(
    tiny_model: Callable[..., Any],
) -> None:
    model = tiny_model(attention_probs_dropout_prob=0.0)  # so that only the head's dropout is left
    head = heads.for_classification(model.config, 3, 5)
    head.variables_by_name["classifier.weight"].assign(np.random.default_rng(1).normal(size=(32, 3)))
    objective, given = TaskObjective(model, head), batch(label=[0, 2, 1, 1])
    drawn = [float(objective.loss(given, tf.constant([9, n], tf.int32))["loss"]) for n in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    lengths = np.array([12, 9, 12, 5], np.int32)
    made = features.Features(given["input_ids"].numpy(), lengths, lengths, {"label": given["label"].numpy()})
    assert (
        predictions.labels(predictions.Forward(model, head), made, 3).tolist()
        == predictions.labels(predictions.Forward(model, head), made, 4).tolist()
    )


def test_devices_give_the_logits_of_all_examples_in_their_order(
    monkeypatch: pytest.MonkeyPatch, pieces: Any
) -> None:
    """Seven examples, asked for three at a time, which two devices take as four; the real devices are in
    `make test-models`.
    """

    class Halves:
        def __init__(self, function: Any, accelerator: Any) -> None:
            self._function = function

        def __call__(self, shown: Any) -> np.ndarray:
            return np.stack(
                [
                    self._function({name: tf.split(rows, 2)[half] for name, rows in shown.items()})
                    for half in range(2)
                ]
            )

        def whole(self, rows: int) -> int:
            return rows + rows % 2

    monkeypatch.setattr(predictions, "ReplicatedFunction", Halves)
    monkeypatch.setattr(
        predictions, "task_logits", lambda model, head, shown: tf.cast(shown["input_ids"], tf.float32)
    )
    examples = features.classification(reviews(7, 1), pieces(), 16)
    found = list(predictions.Forward(None, None).logits(examples, 3))
    assert [len(part) for part in found] == [4, 3]
    np.testing.assert_array_equal(np.concatenate(found), examples.ids)


def test_attention_is_dropped_out_while_finetuning(tiny_model: Callable[..., Any]) -> None:
    model = tiny_model(initializer_range=0.3)
    assert model.config.attention_probs_dropout_prob == 0.1
    objective, given = (
        TaskObjective(model, heads.SpanHead(32, 5)),
        batch(start=[3, 1, 4, 0], end=[5, 1, 8, 0]),
    )
    drawn = [float(objective.loss(given, tf.constant([9, n], tf.int32))["loss"]) for n in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize("kind", ["mobilebert", "bert"])
def test_encoder_and_head_are_trained_and_the_mlm_head_is_not(
    tiny_model: Callable[..., Any], kind: str
) -> None:
    model = tiny_model(kind)
    head = heads.for_classification(model.config, 2, 5)
    objective = TaskObjective(model, head)
    assert f"{kind}.embeddings.word_embeddings.weight" in objective.variables
    assert {"classifier.weight", "classifier.bias"} <= set(objective.variables)
    assert not [name for name in objective.variables if name.startswith("cls.")]
    assert len(objective.variables) == len(model.variables_by_name) - len(model.head_names) + len(
        head.variables_by_name
    )
    with tf.GradientTape() as tape:
        loss = objective.loss(batch(label=[0, 1, 1, 1]), SEED)["loss"]
    gradients = tape.gradient(loss, list(objective.variables.values()))
    assert all(gradient is not None for gradient in gradients)


def reviews(count: int, seed: int) -> list[dict[str, Any]]:
    """Texts of common characters with one of four good or four bad ones somewhere."""
    draw = np.random.default_rng(seed)
    lines = []
    for number in range(count):
        label = int(draw.integers(2))
        text = list(draw.choice(list("abcdefghijkl"), 10))
        text[int(draw.integers(10))] = draw.choice(list("mnop" if label else "qrst"))
        lines.append({"id": str(number), "text": "".join(text), "text_pair": None, "label": label})
    return lines


def test_a_classifier_learns_a_separable_task(
    tiny_model: Callable[..., Any], train: Callable[..., Path], pieces: Any
) -> None:
    model = tiny_model()
    head = heads.for_classification(model.config, 2, 5)
    examples = features.classification(reviews(256, 1), pieces(), 16)
    metrics = train(TaskObjective(model, head), batches.training(examples, 16, seed=2), steps=80, rate=5e-3)
    unseen = features.classification(reviews(200, 2), pieces(), 16)
    found = predictions.labels(predictions.Forward(model, head), unseen, 64)
    assert (found == unseen.targets["label"]).mean() > 0.9
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    assert rows[-1]["loss"] < rows[0]["loss"] / 2
    assert rows[-1]["accuracy"] > 0.9


def questions(count: int, seed: int) -> list[dict[str, Any]]:
    """Contexts of letters with one marked run `(...)`; the answer is the run.

    Contexts are longer than a window.
    """
    draw = np.random.default_rng(seed)
    lines = []
    for number in range(count):
        letters = draw.choice(list("abcdefghijkl"), 30)
        start, size = int(draw.integers(1, 24)), int(draw.integers(1, 4))
        letters[start - 1], letters[start + size] = "(", ")"
        context = "".join(letters)
        answer = {"text": context[start : start + size], "start": start}
        lines.append({"id": str(number), "context": context, "question": "?", "answers": [answer]})
    return lines


def test_reading_learns_to_find_planted_answers(
    tiny_model: Callable[..., Any], train: Callable[..., Path], pieces: Any
) -> None:
    model = tiny_model()
    head = heads.SpanHead(32, 5)
    windows = features.reading(questions(300, 1), pieces(), 24)
    rows = features.training_rows(windows, 3)
    train(
        TaskObjective(model, head),
        batches.training(windows.features.take(rows), 16, seed=2),
        steps=150,
        rate=5e-3,
    )
    unseen = questions(100, 2)
    tokens = features.reading(unseen, pieces(), 24)
    assert len(tokens.features) == 200, "each context takes two windows"
    found = predictions.answers(
        predictions.Forward(model, head), tokens, [line["context"] for line in unseen], 32
    )
    right = [text == line["answers"][0]["text"] for text, line in zip(found, unseen, strict=True)]
    assert np.mean(right) > 0.9
