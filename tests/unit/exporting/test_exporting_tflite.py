"""TFLite exports, judged by transformers where numbers count."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from mobilebert import tokenization
from mobilebert.errors import UserError
from mobilebert.exporting import network
from mobilebert.exporting.checking import check
from mobilebert.exporting.latency import measure
from mobilebert.exporting.network import Network
from mobilebert.exporting.probes import probes
from mobilebert.exporting.tflite import Runner
from mobilebert.exporting.writing import export
from mobilebert.models.numerics import difference
from mobilebert.settings import Export
from mobilebert.storage import artifacts


def test_file_has_a_named_signature_of_fixed_shape_and_needs_no_foreign_operations(tflite: Path) -> None:
    runner = Runner(tflite / "model.tflite")
    expected = {"dtype": "int32", "shape": [1, 32]}
    assert runner.inputs == {"input_ids": expected, "attention_mask": expected, "token_type_ids": expected}
    assert runner.outputs == {"last_hidden_state": {"dtype": "float32", "shape": [1, 32, 32]}}
    assert not [name for name in runner.operations if name.startswith("Flex") or name == "CUSTOM"]


def test_output_is_what_transformers_computes(tflite: Path, model: Path) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    judge = transformers.MobileBertModel.from_pretrained(
        model, add_pooling_layer=False, dtype=torch.float64
    ).eval()
    runner = Runner(tflite / "model.tflite")
    for batch in probes(tokenization.load(model), 32, seed=2):
        with torch.no_grad():
            expected = judge(
                **{name: torch.tensor(array, dtype=torch.long) for name, array in batch.items()}
            ).last_hidden_state.numpy()
        assert difference(runner.run(batch)["last_hidden_state"], expected) < 1e-5


def test_every_input_matters(tflite: Path, model: Path) -> None:
    """Swapped inputs would go unseen on a model that barely looks at them."""
    runner, batch = Runner(tflite / "model.tflite"), probes(tokenization.load(model), 32, seed=0)[1]
    output = runner.run(batch)["last_hidden_state"]
    for name in batch:
        changed = batch | {name: 1 - np.minimum(batch[name], 1)}
        assert difference(runner.run(changed)["last_hidden_state"], output) > 1e-2, name


def test_artifact_holds_vocabulary_and_signature_and_what_a_card_says(tflite: Path, model: Path) -> None:
    manifest = artifacts.read(tflite, "export")
    assert manifest.inputs == {"model": artifacts.digest(model)}
    assert manifest.settings["format"] == "tflite"
    assert manifest.settings["export"]["sequence_length"] == 32
    assert manifest.counts["output"] == "last_hidden_state"
    assert manifest.counts["evaluation"]["heldout"]["masked_accuracy"] == 0.5
    assert {"model.tflite", "signature.json", "vocab.txt", "tokenizer.json"} <= set(manifest.files)
    told = json.loads((tflite / "signature.json").read_text())
    assert told["signature"] == "serving_default"
    assert told["inputs"]["attention_mask"]["shape"] == [1, 32]
    assert told["outputs"]["last_hidden_state"]["shape"] == [1, 32, 32]
    assert told["vocabulary"]["special"]["mask"] == tokenization.load(model).mask
    assert told["vocabulary"]["digest"] == tokenization.load(model).digest


def test_equal_models_give_equal_bytes(tflite: Path, model: Path, settings: Export, tmp_path: Path) -> None:
    export(model, "tflite", settings, tmp_path / "again")
    assert artifacts.digest(tmp_path / "again") == artifacts.digest(tflite)


def test_finetuned_model_gives_its_logits(classifier: Path, settings: Export, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    export(classifier, "tflite", settings, tmp_path / "tflite")
    judge = transformers.MobileBertForSequenceClassification.from_pretrained(
        classifier, dtype=torch.float64
    ).eval()
    runner = Runner(tmp_path / "tflite" / "model.tflite")
    assert runner.outputs == {"logits": {"dtype": "float32", "shape": [1, 3]}}
    assert json.loads((tmp_path / "tflite/signature.json").read_text())["outputs"]["logits"]["labels"] == [
        "class 0",
        "class 1",
        "class 2",
    ]
    for batch in probes(tokenization.load(classifier), 32, seed=2):
        with torch.no_grad():
            expected = judge(
                **{name: torch.tensor(array, dtype=torch.long) for name, array in batch.items()}
            ).logits.numpy()
        assert difference(runner.run(batch)["logits"], expected) < 1e-5
    check(classifier, tmp_path / "tflite", "tflite", settings, tmp_path / "check")
    assert json.loads((tmp_path / "check/check.json").read_text())["outputs"] == ["logits"]


def test_export_that_computes_something_else_is_refused(
    tflite: Path, model: Path, settings: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The converter gives the file of a model that forgets the segments."""
    run = Network.run
    monkeypatch.setattr(
        "mobilebert.exporting.tflite.convert", lambda network, length: (tflite / "model.tflite").read_bytes()
    )
    monkeypatch.setattr(
        Network,
        "run",
        lambda self, batch: run(self, batch | {"token_type_ids": np.zeros_like(batch["token_type_ids"])}),
    )
    with pytest.raises(UserError, match=r"more than export\.tolerance 1\.0e-04"):
        export(model, "tflite", settings, tmp_path / "out")
    assert not artifacts.exists(tmp_path / "out")


def test_more_tokens_than_positions_are_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"export\.sequence_length: 128, but the model has 64 positions"):
        export(model, "tflite", Export(sequence_length=128), tmp_path / "out")


def test_check_runs_the_file_again(tflite: Path, model: Path, settings: Export, tmp_path: Path) -> None:
    check(model, tflite, "tflite", settings, tmp_path / "check")
    manifest = artifacts.read(tmp_path / "check", "check")
    assert manifest.inputs == {"model": artifacts.digest(model), "export": artifacts.digest(tflite)}
    found = json.loads((tmp_path / "check/check.json").read_text())
    assert (found["passed"], found["tolerance"], found["outputs"]) == (True, 1e-4, ["last_hidden_state"])
    assert 0 < found["max_relative_difference"] < 1e-5
    assert found["judge"].startswith("LiteRT")


def test_latency_is_a_median_of_several_runs(tflite: Path, settings: Export) -> None:
    found = measure(tflite, "tflite", settings)
    assert (found["threads"], found["batch"], found["sequence_length"]) == (1, 1, 32)
    assert found["runs"] >= 5
    assert 0 < found["minimum_ms"] <= found["median_ms"] <= found["maximum_ms"]
    assert found["bytes"] == (tflite / "model.tflite").stat().st_size


def test_file_that_is_no_tflite_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(b"not a flat buffer")
    with pytest.raises(UserError, match="LiteRT cannot run it"):
        Runner(tmp_path / "model.tflite")


def test_network_computes_alike_traced_and_untraced(model: Path) -> None:
    loaded = network.load(model)
    batch = probes(loaded.tokenizer, 32, seed=0)[0]
    traced = tf.function(loaded)(**{name: tf.constant(array) for name, array in batch.items()})
    assert difference(traced.numpy(), loaded.run(batch)) < 1e-6
