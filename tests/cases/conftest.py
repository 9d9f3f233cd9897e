"""What the cases share: text as people have it goes in as a file, and what the corpus holds comes out."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from mobilebert.corpus import pipeline
from mobilebert.corpus.sources import listing
from mobilebert.settings import Corpus, Source


@dataclass(frozen=True)
class Cleaned:
    """A corpus: `texts` by the documents' ids, and `funnel`, the content of funnel.json."""

    texts: dict[str, str]
    funnel: dict[str, Any]
    folder: Path

    @property
    def text(self) -> str:
        """The one text."""
        (text,) = self.texts.values()
        return text

    @property
    def rejects(self) -> list[dict[str, Any]]:
        """The sample of what was dropped."""
        files = sorted((self.folder / "rejects").glob("*.parquet"))
        return [row for file in files for row in pq.read_table(file).to_pylist()]


@pytest.fixture
def clean(tmp_path: Path) -> Callable[..., Cleaned]:
    """`clean(from, text_field=..., corpus={...})`: list and clean one source, near-duplicates kept unless
    `corpus` says otherwise.
    """
    count = 0

    def run(source: Path, corpus: dict[str, Any] | None = None, **fields: Any) -> Cleaned:
        nonlocal count
        count += 1
        sources, out = tmp_path / f"sources-{count}", tmp_path / f"corpus-{count}"
        named = Source.model_validate({"name": "x", "from": str(source), **fields})
        listing.list_sources([named], sources, None, [])
        pipeline.clean_corpus(sources, out, Corpus(**({"near_duplicates": False} | (corpus or {}))), 1)
        rows = [row for part in sorted(out.glob("part-*.parquet")) for row in pq.read_table(part).to_pylist()]
        texts = {row["id"]: row["text"] for row in rows}
        return Cleaned(texts, json.loads((out / "funnel.json").read_text(encoding="utf-8")), out)

    return run
