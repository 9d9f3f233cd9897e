"""The check of a teacher against its source: what it lets pass, and what it finds."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mobilebert import models
from mobilebert.distillation import parity
from mobilebert.errors import UserError
from mobilebert.storage import artifacts

QUERY, KEY = (f"bert.encoder.layer.0.attention.self.{name}.weight" for name in ("query", "key"))
TYPES, BIAS, OUTPUT = (
    "bert.embeddings.token_type_embeddings.weight",
    "cls.predictions.bias",
    "bert.encoder.layer.1.output.dense.weight",
)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sizes = {
        "vocab_size": 211,
        "hidden_size": 48,
        "num_attention_heads": 4,
        "intermediate_size": 80,
        "num_hidden_layers": 2,
    }
    model = models.build(models.configs.BertConfig(**sizes, max_position_embeddings=64, hidden_act="gelu"), 1)
    folder = tmp_path_factory.mktemp("parity") / "teacher"
    with artifacts.writing(folder, "model") as writer:
        models.weights.save(writer, model)
    return folder


def batch(segments: int = 0) -> dict[str, Any]:
    ids = np.random.default_rng(0).integers(5, 211, (2, 40)).astype(np.int32)
    mask = np.ones((2, 40), np.int32)
    mask[1, 30:] = 0
    return {"input_ids": ids * mask, "segment_ids": np.full_like(ids, segments), "input_mask": mask}


def tensors(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        found = load_file(folder / "model.safetensors")
        change(found)
        save_file(found, folder / "model.safetensors", metadata={"format": "pt"})

    return edit


def config(**keys: Any) -> Callable[[Path], Any]:
    return lambda folder: (folder / "config.json").write_text(
        json.dumps(json.loads((folder / "config.json").read_text()) | keys)
    )


@pytest.mark.parametrize("segments", [0, 1])
def test_a_sound_copy_agrees(teacher: Path, segments: int) -> None:
    found = parity.measure(teacher, parity.open_source(teacher), batch(segments), head=True)
    assert found["checked"]
    assert max(found["hidden"], found["logits"]) < 1e-9


@pytest.mark.parametrize(
    ("damage", "where"),
    [
        (config(hidden_act="gelu_new"), "hidden"),
        (config(layer_norm_eps=1e-7), "hidden"),
        (config(num_attention_heads=2), "hidden"),
        (tensors(lambda found: found.update({QUERY: np.ascontiguousarray(found[QUERY].T)})), "hidden"),
        (tensors(lambda found: found.update({QUERY: found[KEY], KEY: found[QUERY]})), "hidden"),
        (tensors(lambda found: found[OUTPUT].__setitem__((0, 0), 0.5)), "hidden"),
        (
            tensors(lambda found: found[TYPES].__setitem__((1, 0), 0.5)),
            "hidden",
        ),  # the batch holds type 0 alone
        (tensors(lambda found: found[BIAS].__setitem__(7, 0.5)), "logits"),
    ],
    ids=[
        "the other gelu",
        "epsilon",
        "heads",
        "transposed kernel",
        "exchanged kernels",
        "one number",
        "second type",
        "bias of the head",
    ],
)
def test_another_computation_is_refused(
    damage: Callable[[Path], Any], where: str, teacher: Path, tmp_path: Path
) -> None:
    source = parity.open_source(teacher)
    folder = tmp_path / "teacher"
    shutil.copytree(teacher, folder)
    damage(folder)
    with pytest.raises(UserError, match=rf"its {where} differ by .* at most 1e-08 is rounding"):
        parity.measure(folder, source, batch(), head=True)
