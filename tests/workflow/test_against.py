"""`corpus.against` in the plan: other corpora are inputs, and what is no corpus is refused before any job."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.exceptions import WorkflowError

from tests.loopback_gcs import LoopbackGcs, Stored
from tests.workflow.conftest import change, clone, planned, snakemake, stand_in_commands
from workflow.freshness import Freshness
from workflow.inputs import Inputs
from workflow.settings import load


def other_corpus(
    folder: Path, content: str = "", near: bool = True, keys: str = "keys/part-00000.parquet"
) -> Path:
    """A finished corpus as far as a plan looks at it."""
    folder.mkdir(exist_ok=True)
    body = {"kind": "corpus", "files": {keys: {}}, "settings": {"corpus": {"near_duplicates": near}}}
    text = json.dumps(body | {"inputs": {}, "counts": {"content": content}})
    (folder / "manifest.json").write_text(text, encoding="utf-8")
    return folder


def test_a_corpus_is_made_again_when_another_comes_in_or_changes(root: Path, tmp_path: Path) -> None:
    folder = clone(root, tmp_path / "clone")
    stand_in_commands(folder)
    other = other_corpus(tmp_path / "other")
    settings = tmp_path / "against.yaml"
    change(settings, ["corpus", "against"], [str(other)])
    corpus = ("corpus", "--configfile", str(settings))
    assert "clean_corpus" in planned(folder, *corpus)
    snakemake(folder, "--profile", "profiles/local", *corpus)
    assert planned(folder, *corpus) == {}
    other_corpus(other, "another text")
    assert "clean_corpus" in planned(folder, *corpus)


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (lambda folder: None, "has no manifest.json"),
        (lambda folder: other_corpus(folder, keys="part-00000.parquet"), "has no keys"),
        (lambda folder: other_corpus(folder, near=False), "near_duplicates: false"),
        (lambda folder: (folder / "manifest.json").write_text('{"kind": "model"}'), "no corpus"),
    ],
)
def test_a_folder_that_is_no_finished_corpus_is_refused_by_name(tmp_path, made, why) -> None:
    made(tmp_path)
    with pytest.raises(WorkflowError, match=f"corpus.against: {tmp_path} .*{why}"):
        load({"corpus": {"against": [str(tmp_path)]}}, [])


def test_a_missing_corpus_is_refused_in_the_dry_run(copied: Path, tmp_path: Path) -> None:
    change(tmp_path / "against.yaml", ["corpus", "against"], ["results/other/corpus"])
    arguments = (
        "--profile",
        "profiles/local",
        "-n",
        "corpus",
        "--configfile",
        str(tmp_path / "against.yaml"),
    )
    done = snakemake(copied, *arguments, check=False)
    assert done.returncode
    assert "corpus.against: results/other/corpus has no manifest.json" in done.stdout


def test_a_corpus_in_a_bucket_is_looked_up_there_and_compared(tmp_path: Path, monkeypatch) -> None:
    """It is no input of Snakemake's, which would want a plugin, but its manifest decides on reruns."""
    monkeypatch.chdir(tmp_path)
    body = json.loads(Path(other_corpus(tmp_path / "other"), "manifest.json").read_text("utf-8"))
    with LoopbackGcs("bucket") as gcs:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.address)
        config = {"corpus": {"against": ["gs://bucket/a/corpus"]}}
        with pytest.raises(WorkflowError, match=r"corpus\.against: gs://bucket/a/corpus has no"):
            load(config, [])
        content = json.dumps(body).encode()
        gcs.buckets["bucket"]["a/corpus/manifest.json"] = Stored(content, 1)
        inputs = Inputs(load(config, [])).corpus
        assert inputs.against() == []
        made = {"settings": json.loads(inputs.manifest_settings()), "inputs": {}}
        due = {}
        for role, digest in (("same", hashlib.sha256(content).hexdigest()), ("other", "0" * 64)):
            made["inputs"] = {"against_0": digest}
            folder = tmp_path / "results" / role / "corpus"
            folder.mkdir(parents=True)
            (folder / "manifest.json").write_text(json.dumps(made), encoding="utf-8")
            freshness = Freshness(f"results/{role}", ["gs://bucket/a/corpus"])
            asked = freshness.due("corpus", inputs.manifest_settings, inputs.against_manifests)
            due[role] = asked(SimpleNamespace(items=lambda: []))
    assert due["same"] == []
    assert due["other"] != []
