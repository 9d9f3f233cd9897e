"""ELECTRA's discriminator as a teacher: transformers writes and judges it, its missing MLM head has
ElectraForMaskedLM's form.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from mobilebert import models
from mobilebert.errors import UserError
from mobilebert.models import configs, heads
from mobilebert.models.checkpoints import tf1, weights
from tests import tf1_checkpoints as made

Batch = dict[str, np.ndarray]
SIZES = {
    "vocab_size": 97,
    "hidden_size": 48,
    "num_attention_heads": 4,
    "intermediate_size": 80,
    "num_hidden_layers": 2,
}
WIDTHS = pytest.mark.parametrize("width", [16, 48, 64], ids=["narrow tables", "equal", "wide tables"])


def theirs_at_random(kind: Any, width: int, **keys: Any) -> Any:
    torch.manual_seed(0)
    theirs = kind(transformers.ElectraConfig(embedding_size=width, **(SIZES | keys)))
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, mean=0.02, std=0.05)
    return theirs.eval()


def run(theirs: Any, batch: Batch) -> Any:
    names = {"input_ids": "ids", "token_type_ids": "segments", "attention_mask": "mask"}
    with torch.no_grad():
        return theirs.double()(
            **{name: torch.tensor(batch[key], dtype=torch.long) for name, key in names.items()},
            output_hidden_states=True,
        )


def opened(auto: Any, folder: Path) -> Any:
    theirs, notes = auto.from_pretrained(folder, output_loading_info=True, attn_implementation="eager")
    assert not any(notes.values()), notes
    return theirs.eval()


def assert_close(found: Any, wanted: torch.Tensor) -> None:
    np.testing.assert_allclose(
        np.asarray(found), wanted.numpy(), rtol=0, atol=1e-9 * wanted.abs().max().item()
    )


def encode(model: models.Model, batch: Batch) -> models.Encoded:
    return model.encode(batch["ids"], batch["segments"], batch["mask"])


def everywhere(model: models.Model, batch: Batch) -> np.ndarray:
    positions = np.tile(np.arange(19, dtype=np.int32), (3, 1))
    return np.asarray(model.masked_lm_logits(encode(model, batch).sequence, positions)).reshape(3, 19, -1)


@WIDTHS
def test_an_electra_discriminator_computes_alike_and_gets_a_fresh_head(
    width: int, saved: Callable[..., Path], batch: Batch, tmp_path: Path
) -> None:
    theirs = theirs_at_random(transformers.ElectraForPreTraining, width)
    theirs.save_pretrained(tmp_path / "theirs")
    model = weights.load(tmp_path / "theirs", compute_dtype="float64", variable_dtype="float64")
    assert model.fresh_head
    for ours, wanted in zip(encode(model, batch).hidden, run(theirs, batch).hidden_states, strict=True):
        assert_close(ours, wanted)
    folder = saved(model)
    again = opened(transformers.AutoModelForMaskedLM, folder)
    assert type(again).__name__ == "ElectraForMaskedLM"
    assert_close(everywhere(model, batch), run(again, batch).logits)
    assert not weights.load(folder).fresh_head


@WIDTHS
def test_a_masked_lm_is_read_and_written_bit_for_bit(
    width: int, saved: Callable[..., Path], batch: Batch, tmp_path: Path
) -> None:
    theirs = theirs_at_random(transformers.ElectraForMaskedLM, width, hidden_act="gelu_new")
    theirs.save_pretrained(tmp_path / "theirs")
    again = opened(transformers.ElectraForMaskedLM, saved(weights.load(tmp_path / "theirs")))
    for name, value in again.state_dict().items():
        assert torch.equal(value, theirs.state_dict()[name]), name
    model = weights.load(tmp_path / "theirs", compute_dtype="float64", variable_dtype="float64")
    assert_close(everywhere(model, batch), run(theirs, batch).logits)


@pytest.mark.parametrize("task", ["classification", "reading"])
def test_heads_of_tasks_agree_both_ways(
    task: str,
    saved: Callable[..., Path],
    shaken: Callable[[dict[str, Any]], None],
    batch: Batch,
    tmp_path: Path,
) -> None:
    theirs_at_random(transformers.ElectraForPreTraining, 16).save_pretrained(tmp_path / "theirs")
    model = weights.load(tmp_path / "theirs", compute_dtype="float64", variable_dtype="float64")
    classifies = task == "classification"
    head: Any = (
        heads.for_classification(model.config, 3, 1, "float64")
        if classifies
        else heads.SpanHead(48, 1, variable_dtype="float64")
    )
    shaken(head.variables_by_name)
    sequence = encode(model, batch).sequence
    auto = (
        transformers.AutoModelForSequenceClassification
        if classifies
        else transformers.AutoModelForQuestionAnswering
    )
    folder = saved(model, head)
    output = run(opened(auto, folder), batch)
    found = np.asarray(head(sequence))
    if classifies:
        assert_close(found, output.logits)
    else:
        assert_close(found[..., 0], output.start_logits)
        assert_close(found[..., 1], output.end_logits)
    np.testing.assert_array_equal(
        np.asarray(weights.load_head(folder, variable_dtype="float64")(sequence)), found
    )


def test_absent_keys_mean_what_transformers_means() -> None:
    theirs = transformers.ElectraConfig()
    ours = configs.from_config({"model_type": "electra"})
    for key in set(ours.__dataclass_fields__) - {"classifier_dropout", "model_type", "class_prefix"}:
        assert getattr(ours, key) == getattr(theirs, key), key
    assert configs.from_config(ours.to_config()) == ours


def test_tables_and_head_are_copied_to_a_student_of_equal_width(
    shape_of: Callable[..., configs.ModelConfig],
) -> None:
    config = configs.ElectraConfig(**(SIZES | {"hidden_size": 128, "embedding_size": 128}))
    teacher, student = models.build(config, 5), models.build(shape_of("mini"), 1)
    copied = weights.copy_tables(teacher, student)
    tables = [
        f"mobilebert.embeddings.{kind}_embeddings.weight" for kind in ("word", "position", "token_type")
    ]
    assert sorted(copied) == sorted(tables + student.head_names)
    name = "cls.predictions.transform.dense.weight"
    np.testing.assert_array_equal(
        student.variables_by_name[name].numpy(),
        teacher.variables_by_name["generator_predictions.dense.weight"].numpy(),
    )


def test_a_tf1_checkpoint_is_read_without_its_generator_and_not_written(tmp_path: Path) -> None:
    config = SIZES | {
        "embedding_size": 16,
        "hidden_act": "gelu",
        "type_vocab_size": 2,
        "max_position_embeddings": 32,
    }
    values = {
        name.replace("bert/", "electra/"): value
        for name, value in made.values_of(made.body(config)).items()
        if name[:3] != "cls"
    }
    for name, shape in {
        "word_embeddings": (97, 16),
        "position_embeddings": (32, 16),
        "token_type_embeddings": (2, 16),
    }.items():
        values[f"electra/embeddings/{name}"] = np.random.default_rng(1).standard_normal(shape, np.float32)
    values |= {
        f"electra/embeddings/LayerNorm/{part}": np.full(16, 0.5, np.float32) for part in ("gamma", "beta")
    }
    projection = made.values_of(made.dense("electra/embeddings_project", 16, 48))
    generator = made.values_of(
        made.dense("generator_predictions/dense", 12, 16)
        | made.dense("discriminator_predictions/dense", 48, 48)
    )
    prefix = made.save(tmp_path / "electra.ckpt", values | projection | generator, config)
    model = tf1.read(prefix, tmp_path / "bert_config.json")
    assert isinstance(model.config, configs.ElectraConfig)
    assert (model.config.hidden_act, model.fresh_head) == (
        "gelu",
        True,
    )  # ELECTRA's TF1 code has the erf form
    kernel = model.variables_by_name["electra.embeddings_project.weight"].numpy()
    np.testing.assert_array_equal(kernel, projection["electra/embeddings_project/kernel"])
    with pytest.raises(UserError, match="ELECTRA"):
        tf1.write(tmp_path / "ours", model)
