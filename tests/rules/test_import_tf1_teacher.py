"""The rule import_teacher on original TF1 checkpoints: every way to name one, the same numbers, and what
is refused.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from mobilebert.errors import UserError
from mobilebert.models.checkpoints import weights
from mobilebert.storage import artifacts
from scripts import import_teacher
from tests import tf1_checkpoints as tf1

TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"天地人中文的模型大小"]
CONFIG = {
    "attention_probs_dropout_prob": 0.1, "directionality": "bidi", "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1, "hidden_size": 16, "initializer_range": 0.02, "intermediate_size": 24,
    "max_position_embeddings": 32, "num_attention_heads": 2, "num_hidden_layers": 2,
    "pooler_fc_size": 768, "type_vocab_size": 2, "vocab_size": len(TOKENS),
}  # fmt: skip
Call = Callable[..., None]


def release(
    folder: Path, name: str = "bert_model.ckpt", *, head: bool = True, slots: bool = False
) -> dict[str, np.ndarray]:
    """Write a checkpoint as its authors release it; gives its values, pooler and NSP head among them."""
    variables = tf1.body(CONFIG) | tf1.pooler_and_nsp(CONFIG["hidden_size"])
    if not head:
        variables = {key: shape for key, shape in variables.items() if not key.startswith("cls/")}
    values = tf1.values_of(tf1.with_slots(variables) if slots else variables)
    tf1.save(folder / name, values | ({"global_step": np.int64(1000)} if slots else {}), CONFIG)
    (folder / "vocab.txt").write_text("\n".join(TOKENS) + "\n", encoding="utf-8")
    return values


def run(command: Call, source: Path, out: Path, **told: object) -> None:
    settings = json.dumps(
        {"teacher.kind": "tf1", "teacher.retrain_head": False}
        | {f"teacher.{key}": value for key, value in told.items()}
    )
    command(import_teacher, "--settings", settings, "--source", source, "--out", out)


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("bert_model.ckpt", "release"),
        ("bert_model.ckpt", "release/bert_model.ckpt"),
        ("bert_model.ckpt", "release/bert_model.ckpt.index"),
        ("chinese_roberta_wwm_ext_L-12_H-768_A-12/bert_model.ckpt", "release"),
        ("model.ckpt-1000", "release/model.ckpt-1000"),
        ("lert_model.ckpt", "release"),
    ],
)
def test_every_way_to_name_a_checkpoint_gives_the_sources_numbers(
    command: Call, tmp_path: Path, name: str, named: str
) -> None:
    folder, out = (tmp_path / "release" / name).parent, tmp_path / "imported"
    values = release(folder, Path(name).name, slots=name.startswith("model"))
    if name.startswith("lert"):
        (folder / "bert_config.json").rename(folder / "lert_config.json")
    run(command, tmp_path / named, out)
    manifest = artifacts.read(out, "model")
    assert any(file.endswith(".data-00000-of-00001") for file in manifest.settings["files"])
    assert json.loads((out / "config.json").read_text())["hidden_act"] == "gelu_new"
    model = weights.load(out, compute_dtype="float64", variable_dtype="float64")
    ids = np.array([[2, 7, 9, 11, 3, 6, 14, 3, 0, 0]])
    segments, mask = np.array([[0] * 5 + [1] * 3 + [0] * 2]), np.array([[1] * 8 + [0] * 2])
    expected = tf1.logits(values, CONFIG, ids, segments, mask)[0]
    sequence = model.encode(tf.constant(ids), tf.constant(segments), tf.constant(mask)).sequence
    found = model.masked_lm_logits(sequence, tf.range(10)[tf.newaxis]).numpy()
    np.testing.assert_allclose(found[:8], expected[:8], rtol=0, atol=1e-12 * np.abs(expected).max())
    kept = weights.load(out).carried
    np.testing.assert_array_equal(kept["bert.pooler.dense.weight"], values["bert/pooler/dense/kernel"].T)


def test_of_several_checkpoints_the_named_one_is_taken_or_all_are_listed(
    command: Call, tmp_path: Path
) -> None:
    release(tmp_path / "release", "model.ckpt-10")
    release(tmp_path / "release", "model.ckpt-20")
    with pytest.raises(
        UserError, match=r"2 checkpoints there \(model.ckpt-10, model.ckpt-20\); name one by its prefix"
    ):
        run(command, tmp_path / "release", tmp_path / "imported")
    (tmp_path / "release" / "checkpoint").write_text('model_checkpoint_path: "/home/them/model.ckpt-20"\n')
    run(command, tmp_path / "release", tmp_path / "imported")
    files = artifacts.read(tmp_path / "imported", "model").settings["files"]
    assert "model.ckpt-20.index" in files
    assert "model.ckpt-10.index" not in files


def truncated(folder: Path) -> None:
    data = folder / "bert_model.ckpt.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:200])


def not_a_number(folder: Path) -> None:
    values = tf1.values_of(tf1.body(CONFIG))
    values["bert/encoder/layer_1/output/dense/kernel"][3, 4] = np.nan
    tf1.save(folder / "bert_model.ckpt", values, CONFIG)


def other_depth(folder: Path) -> None:
    (folder / "bert_config.json").write_text(json.dumps(CONFIG | {"num_hidden_layers": 3}))


def other_width(folder: Path) -> None:
    (folder / "bert_config.json").write_text(json.dumps(CONFIG | {"hidden_size": 8}))


def renamed(folder: Path) -> None:
    (folder / "bert_model.ckpt.index").rename(folder / "renamed.ckpt.index")


def page(folder: Path) -> None:
    (folder / "bert_model.ckpt.index").write_text("<!DOCTYPE html><title>404</title>")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (truncated, r"bert_model\.ckpt\.data-00000-of-00001: cut off; the data have 200 bytes"),
        (
            not_a_number,
            r"tensor bert/encoder/layer_1/output/dense/kernel holds NaN or Inf in 1 of 384 places",
        ),
        (other_depth, r"bert/encoder/layer_2/attention/self/query/kernel is missing, expected \[16, 16\]"),
        (other_width, r"bert/embeddings/word_embeddings is \[15, 16\], expected \[15, 8\]"),
        (lambda folder: (folder / "bert_model.ckpt.index").unlink(), r"bert_model\.ckpt\.index: not there"),
        (
            lambda folder: (folder / "bert_model.ckpt.data-00000-of-00001").unlink(),
            r"data-00000-of-00001: not there",
        ),
        (renamed, r"2 checkpoints there \(bert_model\.ckpt, renamed\.ckpt\)"),
        (page, r"bert_model\.ckpt\.index: not a part of a checkpoint but a web page"),
        (lambda folder: (folder / "bert_config.json").unlink(), r"bert_config\.json is not there"),
        (
            lambda folder: (folder / "vocab.txt").write_text("\n".join(TOKENS[:-1]) + "\n"),
            r"has 14 entries, .* vocab_size 15",
        ),
        (lambda folder: (folder / "vocab.txt").unlink(), r"neither vocab\.txt nor tokenizer\.json there"),
        (
            lambda folder: shutil.rmtree(folder),
            r"release: neither a transformers directory .* nor a TF1 checkpoint",
        ),
    ],
)
def test_bad_input_is_refused_by_name_in_one_line(
    command: Call, tmp_path: Path, spoil: Callable[[Path], None], said: str
) -> None:
    release(tmp_path / "release")
    spoil(tmp_path / "release")
    with pytest.raises(UserError, match=said) as refused:
        run(command, tmp_path / "release", tmp_path / "imported")
    assert len(str(refused.value).splitlines()) == 1
    assert not artifacts.exists(tmp_path / "imported")


def test_a_missing_head_is_named_unless_it_will_be_trained(command: Call, tmp_path: Path) -> None:
    release(tmp_path / "release", head=False)
    with pytest.raises(UserError, match=r"no MLM head \(cls/predictions\) .*teacher\.retrain_head: true"):
        run(command, tmp_path / "release", tmp_path / "imported")
    run(command, tmp_path / "release", tmp_path / "imported", retrain_head=True)
    assert artifacts.read(tmp_path / "imported", "model")


def test_another_kind_than_the_settings_say_is_named(command: Call, tmp_path: Path) -> None:
    release(tmp_path / "release")
    with pytest.raises(
        UserError, match=r"teacher\.kind: transformers, but .* holds a TF1 checkpoint; set it to tf1"
    ):
        run(command, tmp_path / "release", tmp_path / "imported", kind="transformers")


def test_half_a_transformers_directory_names_the_shards_that_are_missing(
    command: Call, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "config.json").write_text(json.dumps(CONFIG | {"model_type": "bert"}))
    index = {"weight_map": {"bert.embeddings.word_embeddings.weight": "model-00001-of-00002.safetensors"}}
    (source / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(
        UserError, match=r"model-00001-of-00002\.safetensors are not there; download them too"
    ):
        run(command, source, tmp_path / "imported", kind="transformers")
