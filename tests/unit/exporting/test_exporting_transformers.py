"""transformers exports and their check."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mobilebert.errors import UserError
from mobilebert.exporting.checking import check
from mobilebert.exporting.latency import measure
from mobilebert.exporting.writing import export
from mobilebert.settings import Export
from mobilebert.storage import artifacts
from tests.small_models import make_model


def remanifest(folder: Path) -> None:
    """Write the manifest anew over changed files, as a wrong program would."""
    body = json.loads((folder / "manifest.json").read_text())
    body["files"] = {
        name: {"size": (folder / name).stat().st_size, "sha256": artifacts.sha256(folder / name)}
        for name in body["files"]
    }
    (folder / "manifest.json").write_text(json.dumps(body))


def test_by_products_of_training_stay_behind(directory: Path) -> None:
    names = {path.name for path in directory.iterdir()}
    tokenizer = {
        "vocabulary.json",
        "vocab.txt",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
    }
    assert names == {"config.json", "model.safetensors", "manifest.json"} | tokenizer
    assert artifacts.read(directory, "export").settings["format"] == "transformers"


def test_weights_are_bit_for_bit_the_models(directory: Path, model: Path) -> None:
    ours, theirs = load_file(model / "model.safetensors"), load_file(directory / "model.safetensors")
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_check_lets_transformers_judge_in_float64(
    directory: Path, model: Path, settings: Export, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    check(model, directory, "transformers", settings, tmp_path / "check")
    found = json.loads((tmp_path / "check/check.json").read_text())
    assert found["judge"].startswith("transformers 5.")
    assert 0 < found["max_relative_difference"] <= 1e-12


@pytest.mark.parametrize("kind", ["classifier", "reader"])
def test_finetuned_models_are_judged_by_their_own_class(
    kind: str, classifier: Path, settings: Export, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    model = classifier if kind == "classifier" else make_model(tmp_path / "reader", span=True)
    export(model, "transformers", settings, tmp_path / "export")
    check(model, tmp_path / "export", "transformers", settings, tmp_path / "check")
    assert 0 < json.loads((tmp_path / "check/check.json").read_text())["max_relative_difference"] <= 1e-12
    config = json.loads((tmp_path / "export/config.json").read_text())
    if kind == "classifier":
        assert config["id2label"] == {"0": "class 0", "1": "class 1", "2": "class 2"}
    assert artifacts.read(tmp_path / "export").counts["architecture"] == config["architectures"][0]


def test_without_torch_the_check_says_that_nobody_else_judged(
    directory: Path, model: Path, settings: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "torch" else find(name, *rest)
    )
    check(model, directory, "transformers", settings, tmp_path / "check")
    found = json.loads((tmp_path / "check/check.json").read_text())
    assert "our own loader" in found["judge"]
    assert found["max_relative_difference"] == 0


def test_one_changed_number_is_found(directory: Path, model: Path, settings: Export, tmp_path: Path) -> None:
    wrong = Path(shutil.copytree(directory, tmp_path / "wrong"))
    tensors = load_file(wrong / "model.safetensors")
    tensors["cls.predictions.bias"][7] += 1e-6
    save_file(tensors, wrong / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"model\.safetensors: its SHA-256 differs"):
        check(model, wrong, "transformers", settings, tmp_path / "check")
    remanifest(wrong)
    with pytest.raises(UserError, match=r"tensor cls\.predictions\.bias differs"):
        check(model, wrong, "transformers", settings, tmp_path / "check")
    assert not (tmp_path / "check").exists()


def test_export_of_another_model_or_format_is_refused(
    directory: Path, classifier: Path, model: Path, settings: Export, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="made from another model"):
        check(classifier, directory, "transformers", settings, tmp_path / "check")
    with pytest.raises(UserError, match="an export of format transformers, expected tflite"):
        check(model, directory, "tflite", settings, tmp_path / "check")


def test_model_without_any_head_is_refused(model: Path, settings: Export, tmp_path: Path) -> None:
    """Its export would hold random weights."""
    bare = Path(shutil.copytree(model, tmp_path / "bare"))
    tensors = load_file(bare / "model.safetensors")
    save_file(
        {name: value for name, value in tensors.items() if not name.startswith("cls.")},
        bare / "model.safetensors",
    )
    remanifest(bare)
    with pytest.raises(UserError, match="neither an MLM head nor a task's head"):
        export(bare, "transformers", settings, tmp_path / "out")


def test_latency_of_the_directory_is_our_own_forward(directory: Path, settings: Export) -> None:
    found = measure(directory, "transformers", settings)
    assert found["engine"].startswith("TensorFlow")
    assert (found["sequence_length"], found["threads"]) == (32, 1)
    assert found["median_ms"] > 0
