"""Artifacts in a bucket: an empty clone reads their manifests there, and plans what follows from another
setting.
"""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from tests.loopback_gcs import LoopbackGcs, Stored
from workflow.freshness import Freshness

RESULTS = "results/demo"


def stored(settings: object, **inputs: str) -> Stored:
    return Stored(json.dumps({"settings": settings, "inputs": inputs}).encode(), 1)


@pytest.fixture
def freshness(tmp_path, monkeypatch: pytest.MonkeyPatch) -> Freshness:
    monkeypatch.chdir(tmp_path)
    with LoopbackGcs("bucket") as gcs:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.address)
        corpus = stored({"corpus": {"min_characters": 30}})
        objects = gcs.buckets["bucket"]
        objects[f"a/b/{RESULTS}/corpus/manifest.json"] = corpus
        objects[f"a/b/{RESULTS}/corpus/part-0.parquet"] = Stored(b"x", 1)
        objects[f"a/b/{RESULTS}/records/manifest.json"] = stored(
            {"seed": 1}, corpus="a digest of an older corpus"
        )
        return Freshness(RESULTS, bucket="gs://bucket/a/b")


def due(freshness: Freshness, artifact: str, asked: object, *inputs: list[str]) -> list[str]:
    return freshness.due(artifact, json.dumps(asked), *inputs)(SimpleNamespace(items=lambda: []))


def test_settings_are_compared_with_the_manifest_in_the_bucket(freshness: Freshness) -> None:
    assert due(freshness, "corpus", {"corpus": {"min_characters": 30}}) == []
    assert due(freshness, "corpus", {"corpus": {"min_characters": 31}}) == [
        f".snakemake/due/{RESULTS}/corpus.due"
    ]


def test_digests_of_inputs_are_compared_with_the_manifests_in_the_bucket(freshness: Freshness) -> None:
    assert due(freshness, "records", {"seed": 1}, [f"{RESULTS}/corpus/manifest.json"]) != []


def test_what_is_not_in_the_bucket_needs_no_reason(freshness: Freshness) -> None:
    assert due(freshness, "tokenizer", {"seed": 1}) == []
