"""The published shapes at full size, against the original code (in NumPy) and transformers, in float64. `make
test-models`.

Random weights of deviation 0.02 in every variable, inputs padded to one length (trigram embeddings see
[PAD]).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import torch
import transformers
from safetensors import safe_open

from mobilebert import models
from mobilebert.models import configs, heads
from mobilebert.models.checkpoints import tf1, weights
from mobilebert.storage import artifacts
from tests import tf1_checkpoints as made

TOLERANCE = 1e-9  # of the largest value
VOCABULARY, LENGTH = 21128, 64
# Parameters with MLM head, variables of a TF1 checkpoint, tensors of a transformers directory, counted in the
# published files.
PUBLISHED = {
    "base-f2": (26_260_424, 372, 373),
    "base-f4": (32_232_584, 564, 565),
    "large-f2": (40_683_144, 732, 733),
    "large-f4": (52_925_064, 1116, 1117),
    "bert-base": (102_290_312, 202, 202),
}
Batch = dict[str, np.ndarray]


@dataclass(frozen=True)
class Case:
    """A model in all its forms."""

    name: str
    config: dict[str, Any]
    values: dict[str, np.ndarray]  # of the model, by TF1 name
    prefix: Path
    folder: Path  # as transformers directory
    model: models.Model  # in float64
    sequence: tf.Tensor  # what it computes for the batch, (B, S, H)


@pytest.fixture(scope="module", params=PUBLISHED)
def case(
    request: pytest.FixtureRequest, batch: Batch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Case]:
    """A TF1 checkpoint as a training leaves it, imported.

    The base student lies in one with its teacher and optimizer slots.
    """
    name, root = request.param, tmp_path_factory.mktemp("case")
    config = configs.to_original(configs.named(name, VOCABULARY))
    variables = made.body(config) | (made.pooler_and_nsp(768) if name == "bert-base" else {})
    values = made.values_of(variables)
    training: dict[str, Any] = {"global_step": np.array(2_500_000, np.int64)}
    if name == "base-f2":
        teacher = made.body(configs.to_original(configs.named("bert-base", VOCABULARY)))
        training |= {f"teacher/{key}": value for key, value in made.values_of(teacher, 1).items()}
        training |= {f"{key}/adam_{part}": value for part in "mv" for key, value in values.items()}
    prefix = made.save(root / "there" / "model.ckpt-2500000", values | training, config)
    with artifacts.writing(root / "imported", "model") as writer:
        weights.save(writer, tf1.read(prefix, root / "there" / "bert_config.json"))
    model = weights.load(root / "imported", compute_dtype="float64", variable_dtype="float64")
    sequence = model.encode(batch["ids"], batch["segments"], batch["mask"]).sequence
    yield Case(name, config, values, prefix, root / "imported", model, sequence)
    shutil.rmtree(root)


@pytest.fixture(scope="module")
def batch() -> Batch:
    """Two rows of one length: full, and half padding."""
    numbers = np.random.default_rng(3)
    mask = (np.arange(LENGTH) < np.array([[LENGTH], [LENGTH // 2]])).astype(np.int32)
    segments = np.zeros_like(mask)
    segments[:, 30:] = 1
    return {
        "ids": numbers.integers(1, VOCABULARY, mask.shape).astype(np.int32) * mask,
        "segments": segments * mask,
        "mask": mask,
    }


def theirs(auto: Any, folder: Path, batch: Batch) -> Any:
    """What transformers computes in float64; nothing may be missing or left over."""
    model, notes = auto.from_pretrained(folder, output_loading_info=True, attn_implementation="eager")
    assert not any(notes.values()), notes
    names = {"input_ids": "ids", "token_type_ids": "segments", "attention_mask": "mask"}
    with torch.no_grad():
        return model.double().eval()(
            **{name: torch.tensor(batch[key], dtype=torch.long) for name, key in names.items()}
        )


def apart(found: Any, wanted: Any) -> float:
    """Largest difference as a share of the largest value."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert found.dtype == wanted.dtype == np.float64
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def test_logits_are_those_of_the_original_code_and_of_transformers(case: Case, batch: Batch) -> None:
    positions = np.tile(np.arange(LENGTH, dtype=np.int32), (len(batch["ids"]), 1))
    logits = np.asarray(case.model.masked_lm_logits(case.sequence, positions)).reshape(
        *positions.shape, VOCABULARY
    )
    original = apart(
        logits, made.logits(case.values, case.config, batch["ids"], batch["segments"], batch["mask"])
    )
    huggingface = apart(logits, theirs(transformers.AutoModelForMaskedLM, case.folder, batch).logits)
    print(
        f"{case.name}: logits within {original:.1e} of the original code, {huggingface:.1e} of transformers"
    )
    assert max(original, huggingface) <= TOLERANCE


def test_counts_are_the_published_ones(case: Case) -> None:
    parameters, variables, stored = PUBLISHED[case.name]
    assert case.model.parameters == parameters
    assert len(case.values) - (4 if case.name == "bert-base" else 0) == variables
    with safe_open(case.folder / "model.safetensors", "numpy") as file:
        assert len(file.keys()) == stored
    assert tf1.describe(case.prefix).components["model"].variables == len(case.values)


def test_the_tf1_round_trip_is_bit_equal(case: Case, tmp_path: Path) -> None:
    tf1.write(tmp_path, weights.load(case.folder))
    reader = tf.train.load_checkpoint(str(tmp_path / "bert_model.ckpt"))
    assert reader.get_variable_to_shape_map().keys() == case.values.keys()
    for name, value in case.values.items():
        np.testing.assert_array_equal(reader.get_tensor(name), value, err_msg=name)


def test_the_transformers_round_trip_is_bit_equal(case: Case, tmp_path: Path) -> None:
    auto = transformers.AutoModelForMaskedLM.from_pretrained(case.folder)
    auto.save_pretrained(tmp_path)
    ours, again = weights.load(case.folder), weights.load(tmp_path)
    assert again.config == ours.config
    for name, variable in ours.variables_by_name.items():
        np.testing.assert_array_equal(again.variables_by_name[name].numpy(), variable.numpy(), err_msg=name)
    written = {
        path.name: path.stat().st_size
        for path in (case.folder / "model.safetensors", tmp_path / "model.safetensors")
    }
    assert len(set(written.values())) == 1


@pytest.mark.parametrize("task", ["classification", "reading"])
def test_a_classifier_and_a_reader_are_opened_and_agree(
    task: str, case: Case, batch: Batch, tmp_path: Path
) -> None:
    classifies = task == "classification"
    config = case.model.config
    head: Any = heads.SpanHead(config.hidden_size, 2, variable_dtype="float64")
    if classifies:
        head = heads.for_classification(config, 3, 1, "float64", case.model.carried)
    with artifacts.writing(tmp_path / "finetuned", "model") as writer:
        weights.save(writer, weights.load(case.folder), _single(head, classifies, config))
    found = head(case.sequence)
    if classifies:
        auto = transformers.AutoModelForSequenceClassification
        assert apart(found, theirs(auto, tmp_path / "finetuned", batch).logits) <= TOLERANCE
    else:
        output = theirs(transformers.AutoModelForQuestionAnswering, tmp_path / "finetuned", batch)
        assert apart(found, torch.stack([output.start_logits, output.end_logits], -1)) <= TOLERANCE
    tf1.write(tmp_path / "tf1", case.model, head)
    again = tf1.read_head(tmp_path / "tf1", tmp_path / "tf1" / "bert_config.json")
    for name, variable in head.variables_by_name.items():
        np.testing.assert_array_equal(again.variables_by_name[name].numpy(), variable.numpy(), err_msg=name)


def _single(head: Any, classifies: bool, config: configs.ModelConfig) -> Any:
    """The head in float32, whose numbers it holds."""
    made_anew = (
        heads.for_classification(config, 3, 0) if classifies else heads.SpanHead(config.hidden_size, 0)
    )
    for name, variable in made_anew.variables_by_name.items():
        variable.assign(tf.cast(tf.convert_to_tensor(head.variables_by_name[name]), tf.float32))
    return made_anew
