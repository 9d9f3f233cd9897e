"""Teachers that do not fit, and teachers whose head is random."""

from __future__ import annotations

import dataclasses

import pytest

from mobilebert.distillation import fit
from mobilebert.distillation.teacher_check import check_head
from mobilebert.errors import UserError
from mobilebert.models import shapes


def test_the_published_pairs_fit():
    for student in ("base-f2", "base-f4"):
        assert fit.misfits(shapes.named("bert-base", 21128), shapes.named(student, 21128)) == []
    for student in ("large-f2", "large-f4"):
        assert fit.misfits(shapes.named("bert-large", 21128), shapes.named(student, 21128)) == []
    assert fit.misfits(shapes.named("mini-teacher", 500), shapes.named("mini", 500)) == []


def test_every_misfit_is_a_line_with_what_to_change():
    with pytest.raises(UserError) as refused:
        fit.check(shapes.named("bert-large", 21128), shapes.named("base-f2", 8000), "base-f2")
    lines = str(refused.value).splitlines()
    assert len(lines) == 4
    for line, said in zip(lines, ("24 layers", "16 attention heads", "1024 as hidden size", "21128 entries"), strict=True):
        assert said in line
        assert "base-f2" in line
    assert "teacher.path" in lines[0]
    assert "vocabulary.kind: teacher" in lines[3]


def test_a_teacher_with_too_few_positions_does_not_fit():
    teacher = dataclasses.replace(shapes.named("bert-base", 100), max_position_embeddings=128)
    (line,) = fit.misfits(teacher, shapes.named("base-f2", 100))
    assert "128 positions" in line
    assert "512" in line


def test_another_tokenizer_is_refused_by_its_folder():
    fit.check_tokenizers({"tokenizer": "a" * 64, "teacher": "a" * 64})
    with pytest.raises(UserError, match=r"tokenizer of teachers/x is not the one of tokenizer .*vocabulary\.kind: teacher"):
        fit.check_tokenizers({"tokenizer": "a" * 64, "teachers/x": "b" * 64})


def test_a_random_head_is_refused_and_a_sound_one_is_not():
    heldout = {"masked_accuracy": 0.06, "unigram_accuracy": 0.05, "predictions": 1000}
    check_head(heldout, 0.0, "teachers/x")
    with pytest.raises(UserError, match=r"teachers/x: its MLM head looks random: it fills 0\.0600 of 1000 masks .* teacher\.min_lift"):
        check_head(heldout, 0.1, "teachers/x")
