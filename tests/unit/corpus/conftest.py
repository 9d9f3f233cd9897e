"""What tests of the corpus share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.corpus.test_corpus_pipeline import prose


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with one good document."""
    made = tmp_path / "in"
    made.mkdir()
    (made / "good.txt").write_text(prose(0), encoding="utf-8")
    return made
