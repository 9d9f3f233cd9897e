"""`scripts.transfer_layer`: what a stage starts from, what it changes, and which pairs and stages it
refuses.
"""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from safetensors import safe_open
from transformers import MobileBertForMaskedLM

from mobilebert import models, settings, tokenization
from mobilebert.distillation import stages
from mobilebert.errors import UserError
from mobilebert.exporting.writing import export
from mobilebert.storage import artifacts
from mobilebert.training.options import RunOptions
from scripts import transfer_layer


def arguments(chain, folder, stage, *previous, teacher=None, **changed):
    told = chain.settings("recipe", "transfer", "student", "masking", "training", "seed", **changed)
    inputs = [
        *chain.data,
        "--teacher",
        teacher or chain.teacher,
    ]
    names = ["--student", "mini", "--stage", stage, "--previous", *previous]
    return ["--settings", told, *inputs, *names, "--state", folder / "state", "--out", folder / stage]


def values(model):
    return {name: variable.numpy() for name, variable in model.variables_by_name.items()}


def changed(before, after):
    return {name for name in before if not np.array_equal(before[name], after[name])}


def test_the_first_stage_starts_afresh_with_the_teachers_tables(chain, command, tmp_path):
    command(transfer_layer, *arguments(chain, tmp_path, "layer01"))
    found, teacher = models.weights.load(tmp_path / "layer01"), models.weights.load(chain.teacher)
    start = models.build(found.config, settings.derive_seed(settings.Settings().seed, "student", "mini"))
    copied = models.weights.copy_tables(teacher, start)
    assert "cls.predictions.bias" in copied
    differs = changed(values(start), values(found))
    assert differs
    assert differs <= set(start.layer_variables(1)) | set(start.embedding_names)
    *lines, heldout = [
        json.loads(line) for line in (tmp_path / "layer01" / "metrics.jsonl").read_text().splitlines()
    ]
    assert [line["step"] for line in lines] == [2, 4]
    measured = {name.removeprefix("heldout_"): value for name, value in heldout.items()}
    assert measured["step"] == 4
    for line in (*lines, measured):
        assert sum(line[part] for part in ("feature_map", "attention", "mean", "variance")) == pytest.approx(
            line["loss"], rel=1e-5
        )
    manifest = artifacts.read(tmp_path / "layer01", "model")
    assert manifest.settings["arguments"] == {"student": "mini", "stage": "layer01"}
    assert set(manifest.inputs) == {"records", "tokenizer", "teacher"}
    assert list((tmp_path / "state").iterdir()) == []


def test_a_later_stage_goes_on_from_the_one_before_and_changes_its_layer_alone(chain, command, tmp_path):
    command(
        transfer_layer,
        *arguments(
            chain,
            tmp_path,
            "layer03",
            chain.student,
            chain.student / "manifest.json",
            transfer={"earlier_layers": 0},
        ),
    )
    before, after = models.weights.load(chain.student), models.weights.load(tmp_path / "layer03")
    differs = changed(values(before), values(after))
    assert differs
    assert differs <= set(before.layer_variables(3))
    assert artifacts.read(tmp_path / "layer03", "model").inputs["previous"] == artifacts.digest(chain.student)


def test_an_unknown_stage_and_a_teacher_of_another_depth_are_refused(chain, command, tmp_path):
    with pytest.raises(UserError, match="layer01 to layer04, or joint"):
        command(transfer_layer, *arguments(chain, tmp_path, "layer05"))
    deep = tmp_path / "deep"
    config = dataclasses.replace(models.weights.load(chain.teacher).config, num_hidden_layers=5)
    with artifacts.writing(deep, "model") as writer:
        models.weights.save(writer, models.build(config, 1))
        tokenization.copy_files(chain.tokenizer, writer)
    with pytest.raises(UserError, match="the teacher has 5 layers, the student 4"):
        command(transfer_layer, *arguments(chain, tmp_path, "layer01", teacher=deep))


def test_chinese_stages_are_one_run_and_transformers_opens_each(chain, command, tmp_path):
    training = {"steps": 2, "batch_size": 4, "learning_rate": 1e-3, "decay": "constant", "weight_decay": 0.5}
    told = {"recipe": "chinese", "transfer": {"losses": "published", "training": training}}
    command(transfer_layer, *arguments(chain, tmp_path, "layer01", **told))
    first = tmp_path / "layer01"
    command(transfer_layer, *arguments(chain, tmp_path, "layer02", first, first / "manifest.json", **told))
    second = tmp_path / "layer02"
    for folder, steps in ((first, 3), (second, 5)):
        assert [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()] == [
            steps,
            steps,
        ]
        with safe_open(folder / "optimizer.safetensors", framework="np") as stored:
            assert json.loads(stored.metadata()["facts"]) == {
                "format": 1,
                "step": steps,
                "records": 4 * steps,
            }
            names = set(stored.keys())
    model = models.weights.load(second)
    trained = {*model.embedding_names, *model.layer_variables(1), *model.layer_variables(2)}
    assert names == {f"{kind}_moments/{name}" for kind in ("first", "second") for name in trained}
    before, after = models.weights.load(first), model
    differs = changed(values(before), values(after))
    waited = "mobilebert.encoder.layer.3.attention.self.query.weight"
    share = (1 - 1e-3 * 0.5) ** 2
    np.testing.assert_allclose(values(after)[waited], values(before)[waited] * share, rtol=1e-6)
    assert set(before.layer_variables(1)) & differs
    assert not set(before.head_names) & differs
    opened, report = MobileBertForMaskedLM.from_pretrained(second, output_loading_info=True)
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    np.testing.assert_array_equal(opened.state_dict()[waited].numpy(), values(after)[waited].T)
    export(second, "transformers", settings.Export(), tmp_path / "export")
    assert "optimizer.safetensors" not in artifacts.read(tmp_path / "export", "export").files


def test_a_stage_called_from_python_records_what_the_recipe_says(chain, tmp_path):
    training = {"steps": 1, "batch_size": 4}
    sections = {
        "recipe": "chinese",
        "masking": {"max_predictions": 5},
        "training": {"accelerator": "cpu"},
        "transfer": {"training": training},
    }
    stages.transfer_layer(
        settings.Settings.model_validate(sections),
        stages.RecordsInput(chain.records, chain.tokenizer),
        RunOptions(tmp_path / "out", tmp_path / "state", threads=2),
        student="mini",
        stage="layer01",
        teacher=chain.teacher,
    )
    transfer = artifacts.read(tmp_path / "out", "model").settings["transfer"]
    assert (transfer["schedule"], transfer["earlier_layers"]) == ("progressive", 1.0)
    assert {name: transfer["training"][name] for name in ("optimizer", "clip", "end_rate")} == {
        "optimizer": "adamw",
        "clip": "per_replica",
        "end_rate": 1e-4,
    }


def test_a_stage_whose_moments_are_needed_and_absent_is_refused(chain, command, tmp_path):
    with pytest.raises(
        UserError, match=r"optimizer\.safetensors: the moments of the stage before are needed"
    ):
        command(transfer_layer, *arguments(chain, tmp_path, "layer02", chain.student, recipe="chinese"))


def test_a_teacher_of_another_depth_teaches_through_a_layer_map(chain, command, tmp_path):
    deep = tmp_path / "deep"
    config = dataclasses.replace(models.weights.load(chain.teacher).config, num_hidden_layers=5)
    with artifacts.writing(deep, "model") as writer:
        models.weights.save(writer, models.build(config, 1))
        tokenization.copy_files(chain.tokenizer, writer)
    told = {
        "transfer": {
            "layer_map": "uniform",
            "projection": "linear",
            "training": {"steps": 2, "batch_size": 4},
        }
    }
    command(transfer_layer, *arguments(chain, tmp_path, "layer01", teacher=deep, **told))
    assert set(models.weights.load(tmp_path / "layer01").variables_by_name)
    with safe_open(tmp_path / "layer01" / "optimizer.safetensors", framework="np") as stored:
        projections = {name for name in stored.keys() if "projection" in name}  # noqa: SIM118
    kinds = ("variables", "first_moments", "second_moments")
    assert projections == {f"{kind}/projection.1.2.{part}" for kind in kinds for part in ("weight", "bias")}
