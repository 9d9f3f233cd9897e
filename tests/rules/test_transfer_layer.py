"""`scripts.transfer_layer`: what a stage starts from, what it changes, and which pairs and stages it refuses."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from mobilebert import artifacts, models, settings, tokenization
from mobilebert.errors import UserError
from scripts import transfer_layer


def arguments(chain, folder, stage, *previous, teacher=None, **changed):
    told = chain.settings("transfer", "student", "masking", "training", "seed", **changed)
    inputs = ["--records", chain.records, "--tokenizer", chain.tokenizer, "--teacher", teacher or chain.teacher]
    names = ["--student", "mini", "--stage", stage, "--previous", *previous]
    return ["--settings", told, *inputs, *names, "--state", folder / "state", "--out", folder / stage]


def values(model):
    return {name: variable.numpy() for name, variable in model.variables_by_name.items()}


def changed(before, after):
    return {name for name in before if not np.array_equal(before[name], after[name])}


def test_the_first_stage_starts_afresh_with_the_teachers_tables(chain, command, tmp_path):
    command(transfer_layer, *arguments(chain, tmp_path, "layer01"))
    found, teacher = models.weights.load(tmp_path / "layer01"), models.weights.load(chain.teacher)
    start = models.build(found.shape, settings.derive_seed(settings.Settings().seed, "student", "mini"))
    copied = models.weights.copy_tables(teacher, start)
    assert "cls.predictions.bias" in copied
    differs = changed(values(start), values(found))
    assert differs
    assert differs <= set(start.layer_variables(1)) | set(start.embedding_names)
    lines = [json.loads(line) for line in (tmp_path / "layer01" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4]
    for line in lines:
        assert sum(line[part] for part in ("feature_map", "attention", "mean", "variance")) == pytest.approx(line["loss"], rel=1e-5)
    manifest = artifacts.read(tmp_path / "layer01", "model")
    assert manifest.settings["arguments"] == {"student": "mini", "stage": "layer01"}
    assert set(manifest.inputs) == {"records", "tokenizer", "teacher"}
    assert list((tmp_path / "state").iterdir()) == []


def test_a_later_stage_goes_on_from_the_one_before_and_changes_its_layer_alone(chain, command, tmp_path):
    command(transfer_layer, *arguments(chain, tmp_path, "layer03", chain.student, chain.student / "manifest.json"))
    before, after = models.weights.load(chain.student), models.weights.load(tmp_path / "layer03")
    differs = changed(values(before), values(after))
    assert differs
    assert differs <= set(before.layer_variables(3))
    assert artifacts.read(tmp_path / "layer03", "model").inputs["previous"] == artifacts.digest(chain.student)


def test_an_unknown_stage_and_a_teacher_of_another_depth_are_refused(chain, command, tmp_path):
    with pytest.raises(UserError, match="layer01 to layer04, or joint"):
        command(transfer_layer, *arguments(chain, tmp_path, "layer05"))
    deep = tmp_path / "deep"
    shape = dataclasses.replace(models.weights.load(chain.teacher).shape, num_hidden_layers=5)
    with artifacts.writing(deep, "model") as writer:
        models.weights.save(writer, models.build(shape, 1))
        tokenization.copy_files(chain.tokenizer, writer)
    with pytest.raises(UserError, match="the teacher has 5 layers, the student 4"):
        command(transfer_layer, *arguments(chain, tmp_path, "layer01", teacher=deep))
