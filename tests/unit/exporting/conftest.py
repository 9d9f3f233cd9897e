"""Small models and their exports, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from mobilebert.exporting.writing import export
from mobilebert.settings import Export
from tests.small_models import make_model


@pytest.fixture(scope="session")
def settings() -> Export:
    """32 tokens, 1e-4."""
    return Export(sequence_length=32)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pretrained model."""
    return make_model(tmp_path_factory.mktemp("exporting") / "model")


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finetuned model of three classes."""
    return make_model(tmp_path_factory.mktemp("exporting") / "classifier", labels=3)


@pytest.fixture(scope="session")
def tflite(model: Path, settings: Export, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pretrained model as TFLite."""
    out = tmp_path_factory.mktemp("exporting") / "tflite"
    export(model, "tflite", settings, out)
    return out


@pytest.fixture(scope="session")
def directory(model: Path, settings: Export, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pretrained model as a transformers directory."""
    out = tmp_path_factory.mktemp("exporting") / "transformers"
    export(model, "transformers", settings, out)
    return out
