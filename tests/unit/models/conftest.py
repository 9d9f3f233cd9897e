"""Small models with weights everywhere (fresh ones hide mistakes behind zero biases and unit norms), and
inputs with padding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mobilebert import models
from mobilebert.models import configs
from mobilebert.models.checkpoints import weights
from mobilebert.storage import artifacts

VOCABULARY = 97


@pytest.fixture(scope="session")
def shape_of() -> Callable[..., configs.ModelConfig]:
    """A named shape cut to two layers and a small vocabulary."""
    return lambda name, **keys: replace(configs.named(name, VOCABULARY), **({"num_hidden_layers": 2} | keys))


@pytest.fixture(scope="session")
def filled() -> Callable[..., models.Model]:
    """A float64 model of a shape whose every weight, bias and norm is random."""

    def make(config: configs.ModelConfig) -> models.Model:
        model = models.build(config, 7, compute_dtype="float64", variable_dtype="float64")
        shake(model.variables_by_name)
        return model

    return make


def shake(variables: dict[str, Any]) -> None:
    """Add noise of deviation 0.02, rounded to float32 so that a float32 file holds it exactly."""
    noise = np.random.default_rng(5)
    for variable in variables.values():
        moved = np.asarray(variable) + noise.normal(0, 0.02, variable.shape)
        variable.assign(moved.astype(np.float32).astype(variable.dtype.as_numpy_dtype))


@pytest.fixture(scope="session")
def shaken() -> Callable[[dict[str, Any]], None]:
    """`shake`, for heads."""
    return shake


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    """Write a model artifact and give its folder."""

    def write(model: models.Model, head: Any = None, name: str = "model", **keys: Any) -> Path:
        with artifacts.writing(tmp_path / name, "model") as writer:
            weights.save(writer, model, head, **keys)
        return tmp_path / name

    return write


@pytest.fixture(scope="session")
def batch() -> dict[str, np.ndarray]:
    """Three sequences of 19 tokens: two segments, the second and third padded."""
    numbers = np.random.default_rng(3)
    mask = np.ones((3, 19), np.int32)
    mask[1, 12:] = 0
    mask[2, 4:] = 0
    segments = np.zeros((3, 19), np.int32)
    segments[:, 8:] = 1
    return {
        "ids": numbers.integers(1, VOCABULARY, (3, 19)).astype(np.int32) * mask,
        "segments": segments * mask,
        "mask": mask,
    }
