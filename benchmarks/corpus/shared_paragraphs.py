"""What `corpus.max_paragraph_documents` takes out of the shared data, and how many documents labelled
`keep` go by it.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.corpus import sample
from mobilebert.corpus.pipeline import clean_corpus
from mobilebert.corpus.sources.listing import list_sources
from mobilebert.settings import Corpus, Source

LIMITS = (5, 10, 50)
REASON = "shared_paragraphs"


def table(corpus: Path, formats: Mapping[str, str]) -> str:
    """Markdown: a row a source and limit, of the sources that lose a paragraph; then the labels of what
    goes.
    """
    rows, judgements = [], []
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        files = [file for file in sample.DRAWN if file != "mojibake"]
        named = [
            Source.model_validate(
                {
                    "name": file,
                    "from": str(corpus / f"{file}.jsonl.gz"),
                    "text_format": formats.get(file, "plain"),
                }
            )
            for file in files
        ]
        list_sources(named, base / "sources", None, [])
        for limit in LIMITS:
            out = base / str(limit)
            settings = Corpus(max_paragraph_documents=limit, rejects_per_reason="all")
            clean_corpus(base / "sources", out, settings, 1)
            by_source: dict[str, Any] = json.loads((out / "funnel.json").read_text(encoding="utf-8"))[
                "sources"
            ]
            for name, counts in by_source.items():
                if "shared" in counts["lines"]:
                    rows.append(_row(limit, name, counts))
            gone = {
                row["id"]
                for path in (out / "rejects").glob("*.parquet")
                for row in pq.read_table(path).to_pylist()
                if row["reason"] == REASON
            }
            labels = [label.label for label in sample.labels() if label.id in gone]
            judgements.append(
                f"at {limit}, {labels.count('keep')} labelled `keep` and {labels.count('drop')} labelled "
                f"`drop`"
            )
    head = (
        "| limit | source | lines | kB | share of its text | documents that go |\n|---|---|---|---|---|---|\n"
    )
    return f"{head}{''.join(rows)}\nOf the labelled sample go, by this rule alone: {'; '.join(judgements)}.\n"


def _row(limit: int, name: str, counts: dict[str, Any]) -> str:
    lines, kept = counts["lines"]["shared"], counts["out"]["bytes"]
    documents = counts["reasons"].get(REASON, {"documents": 0})["documents"]
    share = lines["bytes"] / max(1, kept + lines["bytes"])
    return (
        f"| {limit} | {name} | {lines['lines']} | {lines['bytes'] / 1000:.1f} | {share:.2%} | {documents} |\n"
    )
