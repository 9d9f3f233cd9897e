"""What a stage trains, computes and reaches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from mobilebert.distillation import losses
from mobilebert.distillation.transfer import PARTS, TransferObjective, stage_layers
from mobilebert.errors import UserError
from mobilebert.settings import Transfer

SEED = tf.constant([0, 0])


def weights_of(model: Any) -> dict[str, np.ndarray]:
    return {name: variable.numpy() for name, variable in model.variables_by_name.items()}


def changed(before: dict[str, np.ndarray], model: Any) -> set[str]:
    return {name for name, value in weights_of(model).items() if not np.array_equal(value, before[name])}


def encoded(model: Any, batch: dict[str, np.ndarray]) -> Any:
    return model.encode(batch["input_ids"], batch["segment_ids"], batch["input_mask"])


def test_stages_by_name():
    assert stage_layers("layer03", 12) == (3,)
    assert stage_layers("joint", 3) == (1, 2, 3)


@pytest.mark.parametrize("stage", ["layer00", "layer13", "layer1", "all", ""])
def test_an_unknown_stage_is_refused_with_what_there_is(stage):
    with pytest.raises(UserError, match=r"layer01 to layer12, or joint"):
        stage_layers(stage, 12)


def test_a_frozen_stage_trains_its_layer_and_the_first_the_embeddings_too(student, teacher):
    first = TransferObjective(student, teacher, Transfer(earlier_layers=0), "layer01")
    second = TransferObjective(student, teacher, Transfer(earlier_layers=0), "layer02")
    assert set(first.variables) == set(student.layer_variables(1)) | set(student.embedding_names)
    assert set(second.variables) == set(student.layer_variables(2))
    assert not second.learning_rate_multipliers


def test_earlier_layers_learn_at_their_share_of_the_rate(student, teacher):
    objective = TransferObjective(student, teacher, Transfer(earlier_layers=0.1), "layer02")
    below = set(student.layer_variables(1)) | set(student.embedding_names)
    assert set(objective.variables) == below | set(student.layer_variables(2))
    assert objective.learning_rate_multipliers == dict.fromkeys(below, 0.1)


def test_joint_trains_everything_but_the_mlm_head(student, teacher):
    objective = TransferObjective(student, teacher, Transfer(earlier_layers=0.1), "joint")
    assert set(objective.variables) == set(student.variables_by_name) - set(student.head_names)
    assert not objective.learning_rate_multipliers


@pytest.mark.parametrize("form", ["corrected", "published", "google_tf2"])
@pytest.mark.parametrize("layer", [1, 2])
def test_a_trimmed_stage_gives_the_loss_that_the_whole_models_give_for_its_layer(
    student, teacher, batch, form, layer
):
    whole_student, whole_teacher = encoded(student, batch), encoded(teacher, batch)
    mask = batch["input_mask"] if form == "corrected" else None
    divisor = layer if form == "google_tf2" else 2
    target, found = whole_teacher.hidden[layer], whole_student.hidden[layer]
    statistics = tf.stack(whole_teacher.hidden) if form == "published" else target
    scores = whole_teacher.scores[layer - 1], whole_student.scores[layer - 1]
    expected = {
        "feature_map": losses.feature_map_transfer(
            target, found, mask, divisor, epsilon=1e-3 if form == "google_tf2" else 1e-12
        ),
        "attention": losses.attention_transfer(*scores, mask, divisor),
        "mean": losses.mean_transfer(statistics, found, mask, divisor),
        "variance": losses.variance_transfer(statistics, found, mask, divisor),
    }
    parts = TransferObjective(
        student, teacher, Transfer(earlier_layers=0.1, losses=form), f"layer{layer:02d}"
    ).loss(batch, SEED)
    for name in PARTS:
        np.testing.assert_allclose(parts[name], expected[name], rtol=1e-5)
    np.testing.assert_allclose(parts["loss"], sum(float(expected[name]) for name in PARTS), rtol=1e-5)


@pytest.mark.parametrize("form", ["corrected", "published"])
def test_joint_is_the_sum_of_the_stages(student, teacher, batch, form):
    parts = [
        TransferObjective(student, teacher, Transfer(earlier_layers=0.1, losses=form), stage).loss(
            batch, SEED
        )
        for stage in ("layer01", "layer02", "joint")
    ]
    for name in ("loss", *PARTS):
        np.testing.assert_allclose(parts[2][name], float(parts[0][name]) + float(parts[1][name]), rtol=1e-5)


@pytest.mark.parametrize(
    ("form", "teacher_layers"), [("corrected", 1), ("google_tf2", 1), ("published", None)]
)
def test_layers_that_a_stage_does_not_need_are_not_computed(
    student, teacher, batch, monkeypatch, form, teacher_layers
):
    asked = {}
    for name, model in (("student", student), ("teacher", teacher)):

        def encode(*inputs, layers, name=name, whole=model.encode):
            asked[name] = layers
            return whole(*inputs, layers=layers)

        monkeypatch.setattr(model, "encode", encode)
    TransferObjective(student, teacher, Transfer(earlier_layers=0.1, losses=form), "layer01").loss(
        batch, SEED
    )
    assert asked == {
        "student": 1,
        "teacher": teacher_layers,
    }  # the published statistics are of all teacher layers


def test_parts_without_weight_are_left_out(student, teacher, batch):
    settings = Transfer(earlier_layers=0.1, attention_factor=0, mean_factor=0)
    parts = TransferObjective(student, teacher, settings, "layer01").loss(batch, SEED)
    assert float(parts["attention"]) == float(parts["mean"]) == 0.0
    assert float(parts["variance"]) > 0
    published = TransferObjective(
        student, teacher, Transfer(earlier_layers=0.1, losses="published", mean_factor=0), "layer01"
    ).loss(batch, SEED)
    assert float(published["variance"]) == 0.0  # the TF1 code wants both weights


def test_what_stands_in_padding_does_not_matter_to_the_corrected_form(student, teacher, batch):
    # The trigram lets the last token see one [PAD]; beyond it nothing may leak.
    other = batch | {
        "input_ids": np.where(
            (batch["input_mask"] == 0) & (np.roll(batch["input_mask"], 1, axis=1) == 0), 7, batch["input_ids"]
        )
    }
    assert not np.array_equal(other["input_ids"], batch["input_ids"])
    for form, equal in (("corrected", True), ("published", False)):
        found = [
            float(
                TransferObjective(student, teacher, Transfer(earlier_layers=0.1, losses=form), "joint").loss(
                    b, SEED
                )["loss"]
            )
            for b in (batch, other)
        ]
        assert np.isclose(*found, rtol=1e-6) == equal


def test_a_frozen_stage_learns_and_changes_its_layer_alone(student, teacher, train):
    before, teacher_before = weights_of(student), weights_of(teacher)
    history = train(TransferObjective(student, teacher, Transfer(earlier_layers=0), "layer02"))
    assert history[-1] < 0.8 * history[0]
    own = set(student.layer_variables(2))
    # Scales of query and key have gradients too small to show in float32 so early.
    assert (
        {name for name in own if "LayerNorm" not in name and "bias" not in name}
        <= changed(before, student)
        <= own
    )
    assert not changed(teacher_before, teacher)


def test_joint_transfer_learns(student, teacher, train):
    history = train(TransferObjective(student, teacher, Transfer(earlier_layers=0.1), "joint"))
    assert history[-1] < 0.8 * history[0]
