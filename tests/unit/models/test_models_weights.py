"""Files: same bytes for the same weights, short types, old names, and the refusal of everything damaged."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from safetensors.torch import save_file as save_torch_file

from mobilebert import models
from mobilebert.errors import UserError
from mobilebert.models import configs, heads
from mobilebert.models.checkpoints import weights
from mobilebert.storage import artifacts

ShapeOf = Callable[..., configs.ModelConfig]
POSITION = "mobilebert.embeddings.position_embeddings.weight"
QUERY = "mobilebert.encoder.layer.1.attention.self.query.weight"


@pytest.fixture(scope="module")
def original(
    filled: Callable[..., models.Model], shape_of: ShapeOf, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("original") / "model"
    with artifacts.writing(folder, "model") as writer:
        weights.save(writer, filled(shape_of("mini")))
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """A model's directory that a test may damage."""
    return Path(shutil.copytree(original, tmp_path / "folder"))


@pytest.fixture
def rewritten(folder: Path, tmp_path: Path) -> Callable[..., Path]:
    """The directory again with its tensors or its configuration changed."""

    def rewrite(
        change: Callable[[dict[str, np.ndarray]], Any] = lambda tensors: None, **config: object
    ) -> Path:
        made = tmp_path / "changed"
        shutil.copytree(folder, made)
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(
            {name: np.ascontiguousarray(value) for name, value in tensors.items()}, made / "model.safetensors"
        )
        text = json.loads((folder / "config.json").read_text()) | config
        (made / "config.json").write_text(json.dumps(text))
        return made

    return rewrite


def assert_same(found: models.Model, folder: Path) -> None:
    wanted = weights.load(folder)
    for name, variable in wanted.variables_by_name.items():
        np.testing.assert_array_equal(found.variables_by_name[name].numpy(), variable.numpy(), err_msg=name)


def test_equal_weights_give_equal_bytes(shape_of: ShapeOf, saved: Callable[..., Path]) -> None:
    folders = [
        saved(models.build(shape_of("mini"), seed), name=name)
        for name, seed in (("one", 1), ("same", 1), ("other", 2))
    ]
    one, same, other = ((folder / "model.safetensors").read_bytes() for folder in folders)
    assert one == same != other
    assert artifacts.digest(folders[0]) == artifacts.digest(folders[1])
    again = saved(weights.load(folders[0]), name="again")
    assert artifacts.digest(again) == artifacts.digest(folders[0])


@pytest.mark.parametrize(("kind", "digits"), [(torch.float16, 11), (torch.bfloat16, 8)])
def test_short_floats_are_read_as_float32(kind: torch.dtype, digits: int, folder: Path) -> None:
    tensors = {
        name: torch.tensor(value).to(kind) for name, value in load_file(folder / "model.safetensors").items()
    }
    save_torch_file(tensors, folder / "model.safetensors")
    model = weights.load(folder)
    assert model.variables_by_name[POSITION].dtype == "float32"
    np.testing.assert_array_equal(
        model.variables_by_name[POSITION].numpy(), tensors[POSITION].float().numpy()
    )
    np.testing.assert_array_equal(model.variables_by_name[QUERY].numpy(), tensors[QUERY].float().numpy().T)


def test_gamma_and_beta_of_old_conversions_are_understood(
    folder: Path, rewritten: Callable[..., Path]
) -> None:
    def age(tensors: dict[str, np.ndarray]) -> None:
        for name in [name for name in tensors if "LayerNorm" in name]:
            old = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
                "LayerNorm.bias", "LayerNorm.beta"
            )
            tensors[old] = tensors.pop(name)

    assert_same(weights.load(rewritten(age)), folder)


def test_what_has_no_place_is_left_behind_aloud_and_nsp_is_carried(
    folder: Path, rewritten: Callable[..., Path], saved: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    def add(tensors: dict[str, np.ndarray]) -> None:
        tensors["mobilebert.pooler.dense.weight"] = np.ones((128, 128), np.float32)
        tensors["cls.seq_relationship.bias"] = np.ones(2, np.float32)
        tensors["cls.predictions.decoder.weight"] = tensors["mobilebert.embeddings.word_embeddings.weight"]
        tensors["cls.predictions.decoder.bias"] = tensors.pop("cls.predictions.bias")

    with caplog.at_level(logging.INFO):
        found = weights.load(rewritten(add))
    assert_same(found, folder)
    assert (
        "uses cls.seq_relationship, mobilebert.pooler.dense; kept in extra.safetensors: "
        "cls.seq_relationship\n"
    ) in caplog.text
    again = saved(found, name="again")
    np.testing.assert_array_equal(load_file(again / "extra.safetensors")["cls.seq_relationship.bias"], [1, 1])
    np.testing.assert_array_equal(weights.load(again).carried["cls.seq_relationship.bias"], [1, 1])
    assert not any(name.startswith("cls.seq") for name in load_file(again / "model.safetensors"))


def test_shards_are_read_through_their_index(folder: Path) -> None:
    whole = folder / "model.safetensors"
    tensors = load_file(whole)
    wanted = weights.load(folder)
    names = {
        name: f"model-0000{1 + number % 2}-of-00002.safetensors"
        for number, name in enumerate(sorted(tensors))
    }
    for shard in set(names.values()):
        save_file({name: tensors[name] for name in names if names[name] == shard}, folder / shard)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    whole.unlink()
    found = weights.load(folder)
    for name, variable in wanted.variables_by_name.items():
        np.testing.assert_array_equal(found.variables_by_name[name].numpy(), variable.numpy())


def swap_in(name: str, value: np.ndarray) -> Callable[[dict[str, np.ndarray]], None]:
    return lambda tensors: tensors.update({name: value})


def with_nan(tensors: dict[str, np.ndarray]) -> None:
    tensors[QUERY] = tensors[QUERY].copy()
    tensors[QUERY][3, 4] = np.nan


@pytest.mark.parametrize(
    ("change", "config", "message"),
    [
        (lambda tensors: tensors.pop(QUERY), {}, rf"{QUERY} is missing, expected \[32, 32\]"),
        (swap_in(QUERY, np.zeros((32, 16), np.float32)), {}, rf"{QUERY} is \[32, 16\], expected \[32, 32\]"),
        (
            swap_in("mobilebert.adapter.weight", np.zeros(5, np.float32)),
            {},
            r"mobilebert.adapter.weight \[5\] is not part of",
        ),
        (swap_in(QUERY, np.zeros((32, 32), np.int64)), {}, f"{QUERY} is of type I64"),
        (with_nan, {}, f"{QUERY} holds NaN or Inf in 1 of 1024 places"),
        (
            lambda tensors: None,
            {"vocab_size": 98},
            r"word_embeddings.weight is \[97, 128\], expected \[98, 128\]",
        ),
        (
            lambda tensors: None,
            {"num_hidden_layers": 1},
            r"encoder.layer.1.* is not part of .*; and \d+ more",
        ),
        (lambda tensors: None, {"num_hidden_layers": 3}, r"encoder.layer.2.* is missing"),
        (
            lambda tensors: None,
            {"model_type": "bert"},
            r"tensors are named mobilebert\.embeddings\.\.\., .* configuration says 'bert'",
        ),
        (
            lambda tensors: tensors.pop("cls.predictions.transform.dense.bias"),
            {},
            "cls.predictions.transform.dense.bias is missing",
        ),
        (
            swap_in("cls.predictions.decoder.weight", np.zeros((97, 128), np.float32)),
            {},
            "only tied ones",
        ),
        (
            swap_in("embeddings.LayerNorm.beta", np.zeros(128, np.float32)),
            {},
            "embeddings.LayerNorm.bias .* is not part of",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name_and_shape(
    change: Callable[[dict[str, np.ndarray]], Any],
    config: dict[str, Any],
    message: str,
    rewritten: Callable[..., Path],
) -> None:
    changed = rewritten(change, **config)
    with pytest.raises(UserError, match=message) as caught:
        weights.load(changed)
    assert str(changed) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("keep", [0, 5, 8, 300, -1])
def test_a_cut_file_is_refused(folder: Path, keep: int) -> None:
    path = folder / "model.safetensors"
    data = path.read_bytes()
    path.write_bytes(data[:keep] if keep >= 0 else data[:-1])
    with pytest.raises(UserError, match=r"model\.safetensors: not a whole safetensors file"):
        weights.load(folder)


def test_a_web_page_saved_as_weights_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"<!DOCTYPE html><title>404</title>" * 9)
    with pytest.raises(UserError, match="not a whole safetensors file"):
        weights.load(folder)


def test_a_file_under_another_formats_name_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"pytorch_model\.bin: not a whole torch file"):
        weights.load(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "not there"), ("{", "not readable as JSON"), ("[1]", "a JSON object is expected")],
)
def test_a_bad_config_is_refused(folder: Path, content: str | None, message: str) -> None:
    path = folder / "config.json"
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=f"config.json: {message}"):
        weights.load(folder)


def test_a_directory_without_a_head_says_so(folder: Path) -> None:
    with pytest.raises(UserError, match="holds no head of a task"):
        weights.load_head(folder)


def test_a_shape_that_transformers_cannot_open_is_not_written(
    shape_of: ShapeOf, saved: Callable[..., Path]
) -> None:
    model = models.build(shape_of("mini", key_query_shared_bottleneck=False), 1)
    with pytest.raises(UserError, match="use_bottleneck with neither"):
        saved(model)


def test_a_head_of_the_wrong_form_is_not_written(shape_of: ShapeOf, saved: Callable[..., Path]) -> None:
    model = models.build(shape_of("bert-base", hidden_size=24, intermediate_size=24), 1)
    with pytest.raises(ValueError, match="for_classification"):
        saved(model, heads.ClassificationHead(24, 2, 1))
