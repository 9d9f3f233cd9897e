"""The list of matches: MobileBERT's own, depth and width that differ, projections, what is refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from pydantic import ValidationError

from mobilebert import models
from mobilebert.distillation import compatibility, layer_matching, losses
from mobilebert.distillation.transfer import TransferObjective, stage_layers
from mobilebert.errors import UserError
from mobilebert.settings import Transfer

SEED = tf.constant([0, 0])


def rows(settings: Transfer, student: int, teacher: int) -> list[tuple]:
    found = layer_matching.matches(settings, student, teacher)
    return [
        (match.teacher_layer, match.student_layer, match.feature, match.loss, match.weight) for match in found
    ]


def test_mobilebert_is_a_list_of_four_matches_a_layer():
    assert rows(Transfer(), 4, 4)[4:8] == [
        (2, 2, "hidden", "feature_map", 25.0),
        (2, 2, "attention", "cross_entropy", 0.25),
        (2, 2, "hidden", "mean", 1250.0),
        (2, 2, "hidden", "variance", 1.25),
    ]
    assert rows(Transfer(losses="published"), 4, 4)[6:8] == [
        ("all", 2, "hidden", "mean", 1250.0),
        ("all", 2, "hidden", "variance", 1.25),
    ]
    assert [row[-1] for row in rows(Transfer(losses="google_tf2"), 4, 4)[4:8]] == [50.0, 0.5, 2500.0, 2.5]
    assert len(rows(Transfer(losses="published", variance_factor=0), 4, 4)) == 8


@pytest.mark.parametrize(
    ("layer_map", "student", "teacher", "expected"),
    [
        ("same", 3, 3, [1, 2, 3]),
        ("uniform", 4, 12, [3, 6, 9, 12]),
        ("uniform", 4, 6, [2, 3, 5, 6]),
        ("uniform", 6, 3, [1, 1, 2, 2, 3, 3]),
        ("last", 3, 12, [10, 11, 12]),
    ],
)
def test_layer_maps(layer_map, student, teacher, expected):
    assert [
        layer_matching.teacher_layer_for(layer_map, layer, student, teacher)
        for layer in range(1, student + 1)
    ] == expected


@pytest.fixture
def other_teacher(teacher: Any) -> Any:
    """Deeper and wider than the student, with other heads."""
    shape = dataclasses.replace(
        teacher.config, num_hidden_layers=4, hidden_size=24, num_attention_heads=4, intermediate_size=32
    )
    return models.build(shape, 5)


def test_a_student_of_other_depth_and_width_learns_through_projections(student, other_teacher, batch, train):
    settings = Transfer(earlier_layers=0.1, layer_map="uniform", projection="linear", attention_factor=0)
    assert layer_matching.shared(settings) == []
    compatibility.check(other_teacher.config, student.config, "x", layerwise=layer_matching.shared(settings))
    objective = TransferObjective(student, other_teacher, settings, "joint")
    assert {name: tuple(v.shape) for name, v in objective.projections.items()} == {
        f"projection.{here}.{there}.{part}": shape
        for here, there in ((1, 2), (2, 4))
        for part, shape in (("weight", (16, 24)), ("bias", (24,)))
    }
    inputs = batch["input_ids"], batch["segment_ids"], batch["input_mask"]
    theirs, ours = other_teacher.encode(*inputs).hidden, student.encode(*inputs).hidden
    expected = 0.0
    for here, there in ((1, 2), (2, 4)):
        kernel, bias = (
            objective.projections[f"projection.{here}.{there}.{part}"].numpy() for part in ("weight", "bias")
        )
        projected = ours[here].numpy() @ kernel + bias
        expected += float(
            losses.feature_map_transfer(theirs[there], projected, batch["input_mask"], layers=2)
        )
    np.testing.assert_allclose(objective.loss(batch, SEED)["feature_map"], expected, rtol=1e-4)
    before = {name: v.numpy() for name, v in objective.projections.items()}
    history = train(objective)
    assert history[-1] < 0.8 * history[0]
    assert all(not np.array_equal(v.numpy(), before[name]) for name, v in objective.projections.items())
    assert not set(objective.projections) & set(student.variables_by_name)


def test_a_list_of_ones_own_is_compared_term_by_term_and_trimmed_to_what_it_needs(
    student, other_teacher, batch
):
    listed = [
        {
            "teacher_layer": 3,
            "student_layer": 2,
            "feature": "value_relation",
            "loss": "cross_entropy",
            "weight": 2.0,
        },
        {"teacher_layer": 0, "student_layer": 1, "feature": "hidden", "loss": "mse", "projection": "linear"},
    ]
    settings = Transfer(earlier_layers=0.1, matches=listed)
    objective = TransferObjective(student, other_teacher, settings, "joint")
    assert objective.computed == (2, 3)
    inputs = batch["input_ids"], batch["segment_ids"], batch["input_mask"]
    theirs, ours = other_teacher.encode(*inputs), student.encode(*inputs)
    parts = objective.loss(batch, SEED)

    def heads(flat: Any, count: int) -> np.ndarray:
        flat = np.asarray(flat)
        return flat.reshape(*flat.shape[:2], count, -1).transpose(0, 2, 1, 3)

    layer = "bert.encoder.layer.2.attention.self.value"
    named = other_teacher.variables_by_name
    values = theirs.hidden[2].numpy() @ named[f"{layer}.weight"].numpy() + named[f"{layer}.bias"].numpy()
    layer, named = "mobilebert.encoder.layer.1.attention.self.value", student.variables_by_name
    own = (
        ours.hidden[1].numpy() @ named[f"{layer}.weight"].numpy() + named[f"{layer}.bias"].numpy()
    )  # f4: values see the whole width
    expected = losses.value_relation_transfer(
        heads(values, 2), heads(own, 2), batch["input_mask"], factor=2.0
    )
    np.testing.assert_allclose(parts["value_relation"], expected, rtol=1e-4)
    assert float(parts["mse"]) > 0
    np.testing.assert_allclose(parts["loss"], float(parts["value_relation"]) + float(parts["mse"]), rtol=1e-6)


def test_stages_are_the_matched_layers_and_take_those_below_with_them(student, other_teacher):
    listed = [{"teacher_layer": 4, "student_layer": 2, "feature": "hidden", "loss": "mean"}]
    settings = Transfer(earlier_layers=0.1, matches=listed)
    assert layer_matching.matched_layers(settings, 2) == [2]
    assert stage_layers("layer02", 2, [2]) == (1, 2)
    assert stage_layers("layer06", 6, [2, 6]) == (3, 4, 5, 6)
    with pytest.raises(UserError, match=r"give layer02, or joint"):
        stage_layers("layer01", 2, [2])
    objective = TransferObjective(student, other_teacher, settings, "layer02")
    assert set(objective.variables) == set(student.variables_by_name) - set(student.head_names)


def test_what_must_be_shared_follows_from_the_matches():
    everything = ["num_hidden_layers", "num_attention_heads", "hidden_size"]
    assert (
        layer_matching.shared(Transfer()) == layer_matching.shared(Transfer(losses="published")) == everything
    )
    assert layer_matching.shared(Transfer(layer_map="last")) == everything[1:]
    assert layer_matching.shared(Transfer(projection="linear")) == everything[:2]
    own = [{"teacher_layer": 1, "student_layer": 1, "feature": "hidden", "loss": "variance"}]
    assert layer_matching.shared(Transfer(matches=own)) == []


def test_layers_that_are_not_there_are_refused(student, teacher):
    listed = [{"teacher_layer": 9, "student_layer": 8, "feature": "attention", "loss": "cross_entropy"}]
    with pytest.raises(UserError) as refused:
        compatibility.check_matches(Transfer(matches=listed), teacher.config, student.config, "mine")
    assert [line.split(": ", 2)[1:] for line in str(refused.value).splitlines()] == [
        ["transfer.matches[0].student_layer", "8, but the student has 2 layers"],
        ["transfer.matches[0].teacher_layer", "9, but the teacher has 2 layers"],
    ]
    shallow = dataclasses.replace(teacher.config, num_hidden_layers=1)
    with pytest.raises(UserError, match="last needs a teacher with at least 2 layers, this one has 1"):
        compatibility.check_matches(Transfer(layer_map="last"), shallow, student.config, "mine")
    odd = dataclasses.replace(teacher.config, hidden_size=15, num_attention_heads=3)
    relation = [
        {"teacher_layer": 1, "student_layer": 1, "feature": "value_relation", "loss": "cross_entropy"}
    ]
    with pytest.raises(UserError, match="values are 15 wide, which the student's 2 heads do not divide"):
        compatibility.check_matches(Transfer(matches=relation), odd, student.config, "mine")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"feature": "attention"}, "loss mse cannot compare attention, take cross_entropy"),
        ({"loss": "cross_entropy"}, "take feature_map, mean, variance or mse"),
        ({"teacher_layer": "all"}, "teacher_layer all is for the losses mean and variance"),
        (
            {"feature": "attention", "loss": "cross_entropy", "projection": "linear"},
            "a projection is for feature hidden",
        ),
        (
            {"feature": "attention", "loss": "cross_entropy", "teacher_layer": 0},
            "teacher_layer 0 is the embeddings' output",
        ),
    ],
)
def test_a_match_that_compares_nothing_is_refused(changed, said):
    match = {"teacher_layer": 1, "student_layer": 1, "feature": "hidden", "loss": "mse"} | changed
    with pytest.raises(ValidationError, match=said):
        Transfer(matches=[match])
