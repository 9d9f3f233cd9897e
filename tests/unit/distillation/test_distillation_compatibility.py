"""Teachers that do not fit, and teachers whose head is random."""

from __future__ import annotations

import dataclasses

import pytest

from mobilebert.distillation import compatibility, layer_matching
from mobilebert.distillation.teacher_check import check_head
from mobilebert.errors import UserError
from mobilebert.models import configs
from mobilebert.settings import Transfer


def test_the_published_pairs_fit():
    for student in ("base-f2", "base-f4"):
        assert compatibility.misfits(configs.named("bert-base", 21128), configs.named(student, 21128)) == []
    for student in ("large-f2", "large-f4"):
        assert compatibility.misfits(configs.named("bert-large", 21128), configs.named(student, 21128)) == []
    assert compatibility.misfits(configs.named("mini-teacher", 500), configs.named("mini", 500)) == []


def test_every_misfit_is_a_line_with_what_to_change():
    with pytest.raises(UserError) as refused:
        compatibility.check(configs.named("bert-large", 21128), configs.named("base-f2", 8000), "base-f2")
    lines = str(refused.value).splitlines()
    assert len(lines) == 4
    for line, said in zip(
        lines, ("24 layers", "16 attention heads", "1024 as hidden size", "21128 entries"), strict=True
    ):
        assert said in line
        assert "base-f2" in line
    assert "teacher.path" in lines[0]
    assert "vocabulary.kind: teacher" in lines[3]


def test_without_matching_layers_depth_and_width_are_free_and_the_rest_is_not():
    teacher = dataclasses.replace(configs.named("bert-large", 21128), max_position_embeddings=128)
    assert len(compatibility.misfits(teacher, configs.named("base-f2", 21128))) == 4
    (positions,) = compatibility.misfits(teacher, configs.named("base-f2", 21128), layerwise=False)
    assert "128 positions" in positions
    with pytest.raises(UserError, match="24 layers"):
        compatibility.check(configs.named("bert-large", 21128), configs.named("base-f2", 21128), "base-f2")
    compatibility.check(
        configs.named("bert-large", 21128), configs.named("base-f2", 21128), "base-f2", layerwise=False
    )
    with pytest.raises(UserError, match="21128 entries in its vocabulary, the student 8000"):
        compatibility.check(
            configs.named("bert-large", 21128), configs.named("base-f2", 8000), "base-f2", layerwise=False
        )


def test_a_given_student_of_another_shape_is_refused_by_its_keys():
    expected = configs.named("base-f2", 500)
    compatibility.check_given(
        dataclasses.replace(expected, hidden_dropout_prob=0.3, initializer_range=0.1),
        expected,
        "base-f2",
        "x/config.json",
    )
    other = dataclasses.replace(expected, num_hidden_layers=6, vocab_size=400)
    with pytest.raises(UserError) as refused:
        compatibility.check_given(other, expected, "base-f2", "x/config.json")
    said = str(refused.value)
    assert (
        "x/config.json is not the shape 'base-f2': num_hidden_layers 6, expected 12; vocab_size 400, "
        "expected 500;"
    ) in said
    with pytest.raises(UserError, match="model_type bert, expected mobilebert"):
        compatibility.check_given(configs.named("bert-base", 500), expected, "base-f2", "x/config.json")


def test_a_teacher_with_too_few_positions_does_not_fit():
    teacher = dataclasses.replace(configs.named("bert-base", 100), max_position_embeddings=128)
    (line,) = compatibility.misfits(teacher, configs.named("base-f2", 100))
    assert "128 positions" in line
    assert "512" in line


def test_another_tokenizer_is_refused_by_its_folder():
    compatibility.check_tokenizers({"tokenizer": "a" * 64, "teacher": "a" * 64})
    with pytest.raises(
        UserError, match=r"tokenizer of teachers/x is not the one of tokenizer .*vocabulary\.kind: teacher"
    ):
        compatibility.check_tokenizers({"tokenizer": "a" * 64, "teachers/x": "b" * 64})


def test_a_random_head_is_refused_and_a_sound_one_is_not():
    heldout = {"masked_accuracy": 0.06, "unigram_accuracy": 0.05, "predictions": 1000}
    check_head(heldout, 0.0, "teachers/x")
    with pytest.raises(
        UserError,
        match=(
            r"teachers/x: its MLM head looks random: it fills 0\.0600 of 1000 masks .* "
            r"teacher\.min_head_lift"
        ),
    ):
        check_head(heldout, 0.1, "teachers/x")


def test_a_teacher_too_shallow_for_the_named_layers_is_refused():
    matches = [
        {
            "teacher_layer": 8,
            "student_layer": 2,
            "feature": "hidden",
            "loss": "mse",
            "weight": 1.0,
            "projection": "linear",
        }
    ]
    least = layer_matching.least_layers(Transfer.model_validate({"matches": matches}), 4)
    assert least == 8
    assert layer_matching.least_layers(Transfer(layer_map="last"), 4) == 4
    assert layer_matching.least_layers(Transfer(layer_map="uniform"), 4) == 1
    compatibility.check_needs(
        configs.named("bert-base", 100), [{compatibility.LEAST_LAYERS: least}], "teachers/x"
    )
    with pytest.raises(
        UserError, match=r"teachers/x: .* the teacher has 3 layers, transfer\.matches .* ask for 8"
    ):
        compatibility.check_needs(
            configs.named("rbt3", 100), [{compatibility.LEAST_LAYERS: least}], "teachers/x"
        )
