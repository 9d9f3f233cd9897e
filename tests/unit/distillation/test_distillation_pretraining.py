"""Masked language modelling with and without a teacher, and its measure on held-out text."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from mobilebert import models
from mobilebert.distillation import evaluation
from mobilebert.distillation.pretraining import MaskedLmObjective
from mobilebert.distillation.transfer import JOINT, TransferObjective
from mobilebert.errors import UserError
from mobilebert.settings import Masking, Transfer

SEED = tf.constant([0, 0])
MASKING = Masking(max_predictions=3)


def log_softmax(rows: np.ndarray) -> np.ndarray:
    rows = rows.astype(np.float64) - rows.max(axis=-1, keepdims=True)
    return rows - np.log(np.exp(rows).sum(axis=-1, keepdims=True))


def log_chances(model: Any, batch: dict[str, np.ndarray]) -> np.ndarray:
    """(B, P, V) log probabilities at the masked positions, from the logits of every position."""
    sequence = model.encode(batch["input_ids"], batch["segment_ids"], batch["input_mask"]).sequence
    everywhere = np.tile(np.arange(sequence.shape[1], dtype=np.int32), (sequence.shape[0], 1))
    logits = model.masked_lm_logits(sequence, everywhere).numpy().reshape(*sequence.shape[:2], -1)
    return log_softmax(
        np.stack([logits[row, positions] for row, positions in enumerate(batch["masked_positions"])])
    )


def expected_parts(student: Any, teacher: Any, batch: dict[str, np.ndarray]) -> dict[str, float]:
    found, target = log_chances(student, batch), np.exp(log_chances(teacher, batch))
    hard = soft = right = count = 0.0
    for row, column in zip(*np.nonzero(batch["masked_weights"]), strict=True):
        label = batch["masked_ids"][row, column]
        hard -= found[row, column, label]
        soft -= (target[row, column] * found[row, column]).sum()
        right += found[row, column].argmax() == label
        count += 1
    return {"hard": hard / count, "soft": soft / count, "masked_accuracy": right / count}


def test_parts_are_those_of_the_masked_positions(student, teacher, batch):
    student.variables_by_name["cls.predictions.bias"].assign(
        np.eye(40)[batch["masked_ids"][0, 0]] * 3
    )  # one answer is right
    expected = expected_parts(student, teacher, batch)
    assert expected["masked_accuracy"] > 0
    parts = MaskedLmObjective(student, teacher, 0.3).loss(batch, SEED)
    for name, value in expected.items():
        np.testing.assert_allclose(parts[name], value, rtol=1e-5)
        assert parts[name].dtype == tf.float32
    np.testing.assert_allclose(parts["loss"], 0.3 * expected["hard"] + 0.7 * expected["soft"], rtol=1e-5)


def test_a_float64_model_and_float64_weights_are_taken(student, teacher, batch, heldout):
    precise = models.build(student.config, 1, compute_dtype="float64", variable_dtype="float64")
    expected = MaskedLmObjective(student, teacher, 0.3).loss(batch, SEED)
    batch["masked_weights"] = batch["masked_weights"].astype(np.float64)
    parts = MaskedLmObjective(precise, teacher, 0.3).loss(batch, SEED)
    for name, value in expected.items():
        np.testing.assert_allclose(parts[name], value, rtol=1e-5)
        assert parts[name].dtype == tf.float32
    found = evaluation.masked_lm(precise, heldout, MASKING, 4, 9)
    np.testing.assert_allclose(found["masked_loss"], expected["hard"], rtol=1e-5)


def test_without_a_teacher_it_is_plain_masked_language_modelling(student, batch):
    parts = MaskedLmObjective(student).loss(batch, SEED)
    assert "soft" not in parts
    assert float(parts["loss"]) == float(parts["hard"])


def test_a_ground_truth_ratio_of_one_never_computes_the_teacher(student, teacher, batch):
    plain = MaskedLmObjective(student).loss(batch, SEED)
    parts = MaskedLmObjective(student, object(), 1.0).loss(batch, SEED)
    assert {name: float(value) for name, value in parts.items()} == {
        name: float(value) for name, value in plain.items()
    }


@pytest.mark.parametrize("ratio", [0.5, 1.0])
def test_auxiliary_transfer_adds_the_terms_of_all_layers(student, teacher, batch, ratio):
    transfer = TransferObjective(
        student, teacher, Transfer(earlier_layers=0.1, schedule="auxiliary", projection="linear"), JOINT
    )
    objective = MaskedLmObjective(student, teacher, ratio, transfer=transfer)
    parts, alone, added = (
        o.loss(batch, SEED) for o in (objective, MaskedLmObjective(student, teacher, ratio), transfer)
    )
    np.testing.assert_allclose(parts["loss"], float(alone["loss"]) + float(added["loss"]), rtol=1e-6)
    for name in ("feature_map", "attention", "mean", "variance"):
        assert float(parts[name]) == pytest.approx(float(added[name]), rel=1e-6)
    assert set(objective.variables) == set(student.variables_by_name) | set(transfer.projections)
    assert ("soft" in parts) == (ratio < 1)


def test_next_sentence_prediction_has_a_head_of_its_own_and_needs_labels(student, batch):
    objective = MaskedLmObjective(student, next_sentence=True)
    head = [objective.variables[f"cls.seq_relationship.{part}"] for part in ("weight", "bias")]
    head[1].assign([0.3, -0.2])
    with pytest.raises(UserError, match=r"pretraining\.next_sentence: .* hold no next_sentence_labels"):
        objective.loss(batch, SEED)
    labels = np.array([0, 1, 1, 0], np.int32)
    parts = objective.loss(batch | {"next_sentence_labels": labels}, SEED)
    first = student.encode(batch["input_ids"], batch["segment_ids"], batch["input_mask"]).sequence.numpy()[
        :, 0
    ]
    logits = log_softmax(first @ head[0].numpy() + head[1].numpy())
    expected = -np.mean([logits[row, label] for row, label in enumerate(labels)])
    np.testing.assert_allclose(parts["next_sentence"], expected, rtol=1e-5)
    np.testing.assert_allclose(parts["loss"], float(parts["hard"]) + expected, rtol=1e-6)
    assert not student.carried
    objective.hand_over()
    assert student.carried["cls.seq_relationship.weight"].shape == (2, 16)
    again = MaskedLmObjective(student, next_sentence=True).loss(
        batch | {"next_sentence_labels": labels}, SEED
    )
    assert float(again["next_sentence"]) == float(parts["next_sentence"])


def test_it_learns_and_leaves_the_teacher_alone(student, teacher, train):
    before = {name: variable.numpy() for name, variable in teacher.variables_by_name.items()}
    history = train(MaskedLmObjective(student, teacher, 0.5))
    assert history[-1] < 0.9 * history[0]
    for name, variable in teacher.variables_by_name.items():
        np.testing.assert_array_equal(variable.numpy(), before[name])


@pytest.fixture
def heldout(monkeypatch, batch):
    """Held-out records of that one batch, dealt out in batches of any size with filling at the end, as the
    reader does.
    """

    def batches(records: Any, masking: Masking, batch_size: int, seed: int) -> tf.data.Dataset:
        assert (masking, seed) == (MASKING, 9)
        filling = -len(batch["input_ids"]) % batch_size
        padded = {
            name: np.concatenate([value, np.zeros((filling, *value.shape[1:]), value.dtype)])
            for name, value in batch.items()
        }
        return tf.data.Dataset.from_tensor_slices(padded).batch(batch_size, drop_remainder=True)

    monkeypatch.setattr(evaluation.reader, "heldout_batches", batches)
    return SimpleNamespace(unigram_accuracy=0.05)


class Halves:
    """In place of `training.distributed.ReplicatedFunction`: two devices, one after the other."""

    def __init__(self, function: Any, accelerator: Any) -> None:
        self._function = function

    def __call__(self, batch: Any) -> np.ndarray:
        return np.stack(
            [
                self._function({name: tf.split(rows, 2)[half] for name, rows in batch.items()})
                for half in range(2)
            ]
        )

    def whole(self, rows: int) -> int:
        return rows + rows % 2


@pytest.mark.parametrize(("batch_size", "devices"), [(4, 1), (3, 1), (16, 1), (1, 2), (3, 2)])
def test_heldout_predictions_count_once_each(student, batch, heldout, batch_size, devices, monkeypatch):
    if devices == 2:
        monkeypatch.setattr(evaluation, "ReplicatedFunction", Halves)
    student.variables_by_name["cls.predictions.bias"].assign(np.eye(40)[batch["masked_ids"][0, 0]] * 3)
    expected = expected_parts(student, student, batch)
    found = evaluation.masked_lm(student, heldout, MASKING, batch_size, 9)
    assert found["predictions"] == int(batch["masked_weights"].sum()) == 9
    assert found["unigram_accuracy"] == 0.05
    np.testing.assert_allclose(found["masked_accuracy"], expected["masked_accuracy"], rtol=1e-12)
    np.testing.assert_allclose(found["masked_loss"], expected["hard"], rtol=1e-6)


def test_nothing_held_out_is_said(student, batch, heldout):
    batch["masked_weights"] *= 0
    with pytest.raises(UserError, match=r"records\.heldout_share"):
        evaluation.masked_lm(student, heldout, MASKING, 4, 9)
