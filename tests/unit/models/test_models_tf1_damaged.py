"""TF1 checkpoints that are not whole, not what they seem, or of another model: refused by name and shape,
found and expected.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_models_tf1 import BERT, F2, F4, write

from mobilebert.errors import UserError
from mobilebert.models.checkpoints import tf1
from tests import tf1_checkpoints as made

DATA, INDEX = "model.ckpt.data-00000-of-00001", "model.ckpt.index"
QUERY = "bert/encoder/layer_1/attention/self/query/kernel"


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    return write(tmp_path / "there", F2)[0]


def read(prefix: Path) -> Any:
    return tf1.read(prefix, (prefix if prefix.is_dir() else prefix.parent) / "bert_config.json")


@pytest.mark.parametrize("given", ["model.ckpt", INDEX, DATA, "."])
def test_a_prefix_a_file_or_the_folder_name_a_checkpoint(given: str, prefix: Path) -> None:
    assert tf1.describe(prefix.parent / given).prefix == prefix


def remove(name: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).unlink()


def rename(name: str, other: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).rename(folder / other)


def put(name: str, content: bytes) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).write_bytes(content)


def cut(name: str, share: float) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).write_bytes(
        (folder / name).read_bytes()[: int(share * (folder / name).stat().st_size)]
    )


def flip(name: str, share: float) -> Callable[[Path], Any]:
    def change(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[int(share * len(data))] ^= 16
        (folder / name).write_bytes(data)

    return change


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 105000000\n"
PAGE = b"<html><title>Google Drive: too many people</title></html>"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (remove(INDEX), rf"{INDEX}: not there; .*beside it: {DATA}"),
        (remove(DATA), rf"{DATA}: not there, though {INDEX} is; found {INDEX}"),
        (
            rename(DATA, "bert_model.ckpt.data-00000-of-00001"),
            rf"{DATA}: not there.*found bert_model.ckpt.data-00000-of-00001, {INDEX}",
        ),
        (rename(DATA, "model.ckpt.data-00000-of-00002"), r"model.ckpt.data-00001-of-00002: not there"),
        (rename(DATA, f"{DATA}.part"), rf"{DATA}: not there"),
        (put(INDEX, POINTER), rf"{INDEX}: not a part of a checkpoint but a Git LFS pointer"),
        (put(DATA, POINTER), rf"{DATA}: not a part of a checkpoint but a Git LFS pointer"),
        (put(DATA, PAGE), rf"{DATA}: not a part of a checkpoint but a web page"),
        (put(INDEX, b""), rf"{INDEX}: not a part of a checkpoint but an empty file"),
        (put(INDEX, bytes(range(256)) * 9), rf"{INDEX}: not a whole index of a checkpoint, 2304 bytes"),
        (cut(INDEX, 0.5), rf"{INDEX}: not a whole index of a checkpoint"),
        (cut(DATA, 0.5), rf"{DATA}: cut off; the data have \d+ bytes, {INDEX} names \d+"),
        (cut(DATA, 0.9999), rf"{DATA}: cut off"),
        (flip(DATA, 0.3), r"tensor bert/.* cannot be read, the file is damaged or cut off"),
        (put("bert_config.json", PAGE), r"bert_config.json: not readable as JSON \(a web page"),
        (remove("bert_config.json"), r"bert_config.json: not there; a model's configuration"),
    ],
)
def test_half_a_download_is_refused(damage: Callable[[Path], Any], message: str, prefix: Path) -> None:
    damage(prefix.parent)
    with pytest.raises(UserError, match=message) as caught:
        read(prefix)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vocab_size": 98}, r"bert/embeddings/word_embeddings is \[97, 48\], expected \[98, 48\]"),
        (
            {"num_hidden_layers": 3},
            r"bert/encoder/layer_2/bottleneck/input/dense/kernel is missing, expected \[48, 24\]",
        ),
        (
            {"num_hidden_layers": 1},
            r"bert/encoder/layer_1/.* \[\d+.*\] is not part of this MobileBert; .*and \d+ more",
        ),
        (
            {"intra_bottleneck_size": 32},
            r"bert/encoder/layer_0/bottleneck/input/dense/kernel is \[48, 24\], expected \[48, 32\]",
        ),
        (
            {"intermediate_size": 44},
            r"bert/encoder/layer_0/ffn_layer_0/intermediate/dense/kernel is \[24, 40\], expected \[24, 44\]",
        ),
        (
            {"num_feedforward_networks": 4},
            r"bert/encoder/layer_0/ffn_layer_1/intermediate/dense/kernel is missing, expected \[24, 40\]",
        ),
        (
            {"normalization_type": "layer_norm"},
            r"bert/embeddings/LayerNorm/gamma is missing, expected \[48\]",
        ),
        ({"embedding_size": 16}, r"cls/predictions/extra_output_weights is missing, expected \[97, 32\]"),
        (
            F4 | {"use_bottleneck_attention": False},
            r"bert/encoder/layer_0/bottleneck/attention/dense/kernel is missing, expected \[48, 24\]",
        ),
        ({"hidden_act": "swish"}, r"hidden_act: 'swish' is unknown"),
    ],
)
def test_a_configuration_that_contradicts_the_weights_is_refused(
    change: dict[str, Any], message: str, prefix: Path
) -> None:
    path = prefix.parent / "bert_config.json"
    path.write_text(json.dumps(F2 | change))
    with pytest.raises(UserError, match=message) as caught:
        read(prefix)
    assert "bert_config.json" in str(caught.value)


def test_the_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    prefix, _ = write(tmp_path, BERT)
    (tmp_path / "bert_config.json").write_text(json.dumps(F2))
    with pytest.raises(
        UserError, match=r"bert/embeddings/embedding_transformation/kernel is missing, expected \[144, 48\]"
    ):
        read(prefix)


@pytest.mark.parametrize(("value", "count"), [(np.nan, 1), (np.inf, 2)])
def test_nan_and_inf_are_refused_by_name(value: float, count: int, tmp_path: Path) -> None:
    values = made.values_of(made.body(F2))
    values[QUERY].flat[:count] = value
    prefix = made.save(tmp_path / "model.ckpt", values, F2)
    with pytest.raises(UserError, match=rf"tensor {QUERY} holds NaN or Inf in {count} of 576 places"):
        read(prefix)


def test_odd_variables_are_refused_in_the_model_and_left_behind_outside(tmp_path: Path) -> None:
    values = made.values_of(made.body(F2))
    prefix = made.save(tmp_path / "model.ckpt", values | {"loss_scale": np.ones(1, np.float32)}, F2)
    assert tf1.describe(prefix).components["others"].variables == 1
    read(prefix)
    prefix = made.save(
        tmp_path / "model.ckpt", values | {"bert/adapter/kernel": np.ones((2, 3), np.float32)}, F2
    )
    with pytest.raises(UserError, match=r"bert/adapter/kernel \[2, 3\] is not part of this MobileBert"):
        read(prefix)
    prefix = made.save(tmp_path / "model.ckpt", values | {QUERY: np.ones((24, 24), np.int32)}, F2)
    with pytest.raises(UserError, match=rf"tensor {QUERY} is of type int32, expected one of F64"):
        read(prefix)


def test_a_folder_of_several_checkpoints_wants_a_name(prefix: Path) -> None:
    made.save(prefix.parent / "model.ckpt-10", {"x": np.zeros(1, np.float32)})
    with pytest.raises(UserError, match=r"found model.ckpt-10.index, model.ckpt.index; name its prefix"):
        tf1.describe(prefix.parent)
