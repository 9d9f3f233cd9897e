"""A release of made-up bytes, and a loopback bucket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mobilebert.publishing.release import Release, collect
from mobilebert.settings import Publish
from tests.loopback_gcs import LoopbackGcs
from tests.made_up_exports import make_exports


@pytest.fixture
def gcs(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackGcs]:
    """A loopback service with the bucket "models"; every client of the test is pointed to it."""
    with LoopbackGcs("models") as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.address)
        yield server


@pytest.fixture
def release(tmp_path: Path) -> Callable[..., Release]:
    """Make a release from weights; `version` as the setting."""

    def make(weights: bytes = b"weights", version: str = "auto", scores: Path | None = None) -> Release:
        folder = tmp_path / f"made-{len(list(tmp_path.glob('made-*')))}"
        exports, checks = make_exports(folder, weights)
        return collect("mini", Publish(version=version), exports, checks, scores, {"百科": "CC-BY-SA-4.0"})

    return make
