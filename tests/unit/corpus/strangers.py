"""A folder of somebody else's files, through the whole of list_sources and clean_corpus."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq

from mobilebert.corpus.pipeline import clean_corpus
from mobilebert.corpus.sources.listing import list_sources
from mobilebert.settings import Corpus, Source
from mobilebert.storage import artifacts


def cleaned(
    tmp_path: Path, place: Path, *, source: dict | None = None, **settings
) -> tuple[dict, list[dict]]:
    """funnel.json of the source, and its documents."""
    list_sources(
        [Source.model_validate({"name": "s", "from": str(place), **(source or {})})],
        tmp_path / "sources",
        None,
        [],
    )
    settings = {"near_duplicates": False, "max_repeated_share": 1, "max_duplicate_line_share": 1} | settings
    clean_corpus(tmp_path / "sources", tmp_path / "corpus", Corpus.model_validate(settings), 1)
    artifacts.read(tmp_path / "corpus", "corpus")
    funnel = json.loads((tmp_path / "corpus" / "funnel.json").read_text(encoding="utf-8"))["sources"]["s"]
    reasons = {reason: entry["documents"] for reason, entry in funnel["reasons"].items()}
    assert funnel["in"]["documents"] == funnel["out"]["documents"] + sum(reasons.values())
    documents = [
        row
        for path in sorted((tmp_path / "corpus").glob("*.parquet"))
        for row in pq.read_table(path).to_pylist()
    ]
    return funnel | {"reasons": reasons}, documents


def row(text: str, **more) -> str:
    return json.dumps({"text": text, **more}) + "\n"
