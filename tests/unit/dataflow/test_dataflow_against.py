"""Another corpus is the same, wherever it and the work folder lie."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import toy_file_system

from mobilebert.corpus.pipeline import clean_corpus
from mobilebert.corpus.sources.listing import list_sources
from mobilebert.settings import Beam, Corpus, Source
from mobilebert.storage import paths
from tests.unit.dataflow.conftest import prose


def sources(folder: Path, name: str, texts: list[str]) -> Path:
    """A sources artifact of these texts."""
    path = folder / f"{name}.jsonl"
    rows = [json.dumps({"id": f"{name} {n}", "text": text}) for n, text in enumerate(texts)]
    path.write_text("\n".join(rows), encoding="utf-8")
    list_sources([Source.model_validate({"name": name, "from": str(path)})], folder / name, None, [])
    return folder / name


@pytest.mark.parametrize("work", [None, "toy://place/work"])
@pytest.mark.parametrize("remote", [True, False])
def test_another_corpus_may_lie_where_no_path_leads(tmp_path, monkeypatch, work, remote):
    (tmp_path / "toy").mkdir()
    monkeypatch.setenv(toy_file_system.FOLDER, str(tmp_path / "toy"))
    other = tmp_path / "other corpus"
    clean_corpus(sources(tmp_path, "other", [prose(n) for n in range(20)]), other, Corpus(), 1)
    new = sources(tmp_path, "new", [prose(3), prose(4)[2:], prose(70)])
    clean_corpus(new, tmp_path / "expected", Corpus(against=[str(other)]), 1)
    place = paths.send_folder(other, "toy://place/other") if remote else str(other)
    clean_corpus(new, tmp_path / "made", Corpus(against=[place]), 1, Beam(work=work))
    expected, made = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in ("expected", "made")
    )
    assert made == expected
    funnel = json.loads((tmp_path / "made" / "funnel.json").read_text("utf-8"))["total"]
    assert funnel["reasons"]["in_other_corpus"]["documents"] == 2
    assert funnel["out"]["documents"] == 1
