"""TF1 checkpoints: made by TF1's Saver under spelled-out names, read, computed with, written, and refused
when damaged.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from mobilebert import models
from mobilebert.errors import UserError
from mobilebert.models import configs, heads, parameters
from mobilebert.models.checkpoints import tf1, weights
from tests import tf1_checkpoints as made

Batch = dict[str, np.ndarray]
COMMON = {
    "attention_probs_dropout_prob": 0.1,
    "hidden_dropout_prob": 0.0,
    "initializer_range": 0.02,
    "max_position_embeddings": 32,
    "type_vocab_size": 2,
    "vocab_size": 97,
}
MOBILE = COMMON | {
    "hidden_act": "relu",
    "hidden_size": 48,
    "embedding_size": 48,
    "intermediate_size": 40,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "trigram_input": True,
    "use_bottleneck": True,
    "intra_bottleneck_size": 24,
    "normalization_type": "no_norm",
    "classifier_activation": False,
}
F2 = MOBILE | {"use_bottleneck_attention": True, "num_feedforward_networks": 2}
F4 = MOBILE | {"key_query_shared_bottleneck": True, "num_feedforward_networks": 4}
OPT_QAT = F4 | {"embedding_size": 16, "hidden_act": "relu6"}
HFL = {
    "directionality": "bidi",
    "pooler_fc_size": 768,
    "pooler_num_attention_heads": 12,
    "pooler_num_fc_layers": 3,
    "pooler_size_per_head": 128,
    "pooler_type": "first_token_transform",
}
BERT = (
    COMMON
    | HFL
    | {
        "hidden_act": "gelu",
        "hidden_size": 48,
        "intermediate_size": 64,
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
    }
)
CONFIGS = {"f2": F2, "f4": F4, "opt-qat": OPT_QAT, "bert": BERT}


def write(folder: Path, config: dict[str, Any], **more: np.ndarray) -> tuple[Path, dict[str, np.ndarray]]:
    """A checkpoint `model.ckpt` of that configuration, and the model's own variables."""
    values = made.values_of(made.body(config))
    return made.save(folder / "model.ckpt", values | more, config), values


def everywhere(model: models.Model, batch: Batch) -> np.ndarray:
    count, length = batch["ids"].shape
    sequence = model.encode(batch["ids"], batch["segments"], batch["mask"]).sequence
    positions = np.tile(np.arange(length, dtype=np.int32), (count, 1))
    return np.asarray(model.masked_lm_logits(sequence, positions)).reshape(count, length, -1)


@pytest.mark.parametrize(
    "name",
    ["base-f2", "base-f4", "large-f2", "large-f4", "opt", "opt-qat", "tiny", "bert-base", "bert-large"],
)
def test_names_and_shapes_are_those_of_the_original_code(name: str) -> None:
    config = configs.named(name, 21128)
    ours = {}
    for key, tensor in parameters.specification(config).items():
        spelled, turned = tf1.original(key, config)
        ours[spelled] = tensor.stored_shape[::-1] if turned else tensor.stored_shape
    assert ours == made.body(
        configs.to_original(config) | ({} if isinstance(config, configs.MobileBertConfig) else HFL)
    )
    counts = {"base-f2": 372, "base-f4": 564, "large-f2": 732, "large-f4": 1116}
    assert len(ours) == counts.get(name, len(ours))


@pytest.mark.parametrize("name", CONFIGS)
def test_a_checkpoint_computes_what_the_original_code_computes(
    name: str, batch: Batch, tmp_path: Path
) -> None:
    prefix, values = write(tmp_path, CONFIGS[name])
    model = tf1.read(prefix, tmp_path / "bert_config.json", compute_dtype="float64", variable_dtype="float64")
    wanted = made.logits(values, CONFIGS[name], batch["ids"], batch["segments"], batch["mask"])
    np.testing.assert_allclose(everywhere(model, batch), wanted, rtol=0, atol=1e-9 * np.abs(wanted).max())


@pytest.mark.parametrize("name", CONFIGS)
def test_the_round_trip_is_bit_equal_and_deterministic(name: str, tmp_path: Path) -> None:
    prefix, values = write(tmp_path, CONFIGS[name])
    model = tf1.read(prefix, tmp_path / "bert_config.json")
    files = tf1.write(tmp_path / "ours", model)
    assert [path.name for path in files] == [
        "bert_model.ckpt.data-00000-of-00001",
        "bert_model.ckpt.index",
        "bert_config.json",
    ]
    reader = tf.train.load_checkpoint(str(tmp_path / "ours" / "bert_model.ckpt"))
    assert reader.get_variable_to_shape_map().keys() == values.keys()
    for variable, value in values.items():
        np.testing.assert_array_equal(reader.get_tensor(variable), value, err_msg=variable)
    again = tf1.read(tmp_path / "ours", tmp_path / "ours" / "bert_config.json")
    assert again.config == model.config
    for ours, other in zip(files, tf1.write(tmp_path / "twice", again), strict=True):
        assert ours.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("slots", [False, True])
def test_a_published_student_comes_out_of_its_training_alone(
    slots: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    values = made.values_of(made.body(F2))
    teacher = {f"teacher/{name}": value for name, value in made.values_of(made.body(BERT), 1).items()}
    losses = {
        f"hidden_distill_{number}/LayerNorm{end}/gamma": np.ones(48, np.float32)
        for number in range(2)
        for end in ("", "_1")
    }
    optimizer = made.values_of(made.with_slots(made.body(F2)), 2) if slots else {}
    step = {"global_step": np.array(2_000_000, np.int64)}
    prefix = made.save(tmp_path / "model.ckpt-2000000", optimizer | values | teacher | losses | step, F2)
    with caplog.at_level(logging.INFO):
        model = tf1.read(prefix, tmp_path / "bert_config.json")
    for name, variable in model.variables_by_name.items():
        spelled, _ = tf1.original(name, model.config)
        np.testing.assert_array_equal(
            variable.numpy(), values[spelled].T if spelled.endswith("output_weights") else values[spelled]
        )
    found = tf1.describe(prefix)
    count = len(values)
    counts = {"model": count, "teacher": len(teacher), "norms of the transfer losses": 4, "step": 1}
    assert {part: found.components[part].variables for part in found.components} == counts | (
        {"optimizer slots": 2 * count} if slots else {}
    )
    kept = sum(value.nbytes for value in values.values())
    assert found.components["model"].bytes == kept
    assert found.components["teacher"].bytes == sum(value.nbytes for value in teacher.values())
    assert f"{kept / 1e6:.1f} of {found.bytes_on_disk / 1e6:.1f} MB" in caplog.text
    assert not model.fresh_head


@pytest.mark.parametrize("slots", [False, True])
def test_a_teacher_keeps_its_pooler_and_nsp_head(
    slots: bool, saved: Callable[..., Path], tmp_path: Path
) -> None:
    values = made.values_of(made.body(BERT) | made.pooler_and_nsp(48))
    extra = (
        {f"{name}/adam_m": value for name, value in values.items()} | {"global_step": np.array(1, np.int64)}
        if slots
        else {}
    )
    prefix = made.save(tmp_path / "bert_model.ckpt", values | extra, BERT)
    model = weights.load(saved(tf1.read(prefix, tmp_path / "bert_config.json")))
    assert model.config.hidden_act == "gelu_new"
    pooler = heads.for_classification(model.config, 3, 1, carried=model.carried).variables_by_name
    np.testing.assert_array_equal(
        pooler["bert.pooler.dense.weight"].numpy(), values["bert/pooler/dense/kernel"]
    )
    np.testing.assert_array_equal(pooler["bert.pooler.dense.bias"].numpy(), values["bert/pooler/dense/bias"])
    tf1.write(tmp_path / "ours", model)
    reader = tf.train.load_checkpoint(str(tmp_path / "ours" / "bert_model.ckpt"))
    assert reader.get_variable_to_shape_map().keys() == values.keys()
    for name, value in values.items():
        np.testing.assert_array_equal(reader.get_tensor(name), value)


def test_a_teacher_without_mlm_head_gets_a_fresh_one(tmp_path: Path) -> None:
    values = {
        name: value for name, value in made.values_of(made.body(BERT)).items() if not name.startswith("cls/")
    }
    assert tf1.read(
        made.save(tmp_path / "bert_model.ckpt", values, BERT), tmp_path / "bert_config.json"
    ).fresh_head


@pytest.mark.parametrize("config", [F2, BERT], ids=["student", "bert"])
def test_finetuned_models_have_the_original_names(config: dict[str, Any], tmp_path: Path) -> None:
    prefix, values = write(tmp_path, config)
    model = tf1.read(prefix, tmp_path / "bert_config.json")
    body = {name for name in values if not name.startswith("cls/")}
    classifier, reader = heads.for_classification(model.config, 3, 1), heads.SpanHead(48, 2)
    pooler = {"bert/pooler/dense/kernel", "bert/pooler/dense/bias"} if config is BERT else set()
    wanted = {"classifier": {"output_weights": (3, 48), "output_bias": (3,)}}
    wanted["reader"] = {"cls/squad/output_weights": (2, 48), "cls/squad/output_bias": (2,)}
    for kind, head in (("classifier", classifier), ("reader", reader)):
        tf1.write(tmp_path / kind, model, head)
        found = tf.train.load_checkpoint(str(tmp_path / kind / "bert_model.ckpt")).get_variable_to_shape_map()
        assert found.keys() == body | wanted[kind].keys() | (pooler if kind == "classifier" else set())
        assert {name: tuple(found[name]) for name in wanted[kind]} == wanted[kind]
        again = tf1.read_head(tmp_path / kind, tmp_path / kind / "bert_config.json")
        for name, variable in head.variables_by_name.items():
            np.testing.assert_array_equal(again.variables_by_name[name].numpy(), variable.numpy())
        assert tf1.read(tmp_path / kind, tmp_path / kind / "bert_config.json").fresh_head


def test_what_tf1_cannot_say_is_not_written(
    shape_of: Callable[..., configs.ModelConfig], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="gelu_new"):
        tf1.write(tmp_path / "erf", models.build(shape_of("mini", hidden_act="gelu"), 1))
    with pytest.raises(UserError, match="layer_norm_eps"):
        tf1.write(tmp_path / "epsilon", models.build(shape_of("mini", layer_norm_eps=1e-5), 1))
    assert not any(tmp_path.iterdir())
