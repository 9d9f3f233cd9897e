"""The rule check_export: no check of an export that differs from its model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tensorflow as tf

from mobilebert.errors import UserError
from mobilebert.exporting.writing import export
from mobilebert.settings import Export
from mobilebert.storage import artifacts
from scripts.check_export import arguments, main
from tests import tf1_checkpoints
from tests.small_models import make_model


def given(folder: Path, form: str, tolerance: float = 1e-4) -> list[str]:
    settings = json.dumps({"export": {"formats": [form], "sequence_length": 16, "tolerance": tolerance}})
    command = [
        "--settings",
        settings,
        "--model",
        str(folder / "model"),
        "--export",
        str(folder / "export"),
        "--format",
        form,
    ]
    return [*command, "--out", str(folder / "check"), "--log", str(folder / "check.log")]


@pytest.mark.parametrize("form", ["transformers", "tflite", "tf1"])
def test_check_says_who_judged_and_how_far_apart_they_are(tmp_path: Path, form: str) -> None:
    model = make_model(tmp_path / "model")
    export(model, form, Export(sequence_length=16), tmp_path / "export")
    main(arguments().parse_args(given(tmp_path, form)))
    manifest = artifacts.read(tmp_path / "check", "check")
    assert manifest.inputs["export"] == artifacts.digest(tmp_path / "export")
    found = json.loads((tmp_path / "check/check.json").read_text())
    assert found["format"] == form
    assert found["passed"] is True
    assert found["max_relative_difference"] <= found["tolerance"] == 1e-4
    assert found["judge"]


def test_difference_over_the_tolerance_leaves_no_check(tmp_path: Path) -> None:
    export(make_model(tmp_path / "model"), "transformers", Export(sequence_length=16), tmp_path / "export")
    with pytest.raises(UserError, match=r"export\.tolerance 1\.0e-30"):
        main(arguments().parse_args(given(tmp_path, "transformers", 1e-30)))
    assert not artifacts.exists(tmp_path / "check")


@pytest.mark.parametrize("labels", [None, 3])
def test_tf1_export_is_read_by_tensorflow_and_a_changed_variable_is_named(
    tmp_path: Path, labels: int | None
) -> None:
    export(make_model(tmp_path / "model", labels=labels), "tf1", Export(), tmp_path / "export")
    main(arguments().parse_args(given(tmp_path, "tf1")))
    assert json.loads((tmp_path / "check/check.json").read_text())["max_relative_difference"] < 1e-9
    reader = tf.train.load_checkpoint(str(tmp_path / "export/bert_model.ckpt"))
    assert reader.get_variable_to_shape_map()[
        "bert/encoder/layer_1/ffn_layer_0/output/FakeLayerNorm/gamma"
    ] == [16]
    assert json.loads((tmp_path / "export/bert_config.json").read_text())["intra_bottleneck_size"] == 16
    assert (tmp_path / "export/vocab.txt").is_file()

    values = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    values["bert/encoder/layer_1/attention/self/value/bias"][2] += 1
    old = artifacts.read(tmp_path / "export")
    kept = {name: (tmp_path / "export" / name).read_bytes() for name in old.files}
    with artifacts.writing(
        tmp_path / "export", "export", settings=old.settings, inputs={"model": tmp_path / "model"}
    ) as writer:
        for name, data in kept.items():
            writer.path(name).write_bytes(data)
        tf1_checkpoints.save(writer.folder / "bert_model.ckpt", values)
    with pytest.raises(
        UserError, match="variable bert/encoder/layer_1/attention/self/value/bias differs from the model's"
    ):
        main(arguments().parse_args(given(tmp_path, "tf1")))
