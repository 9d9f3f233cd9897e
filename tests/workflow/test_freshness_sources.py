"""What a run is made from and does not make itself: files named twice, artifacts of other runs, a teacher or
a student that moved, manifests that cannot be read.
"""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake.exceptions import WorkflowError

from mobilebert.corpus.sources import listing
from mobilebert.settings import derive_seed
from mobilebert.storage import artifacts
from tests.workflow.conftest import change, clone, planned, snakemake, stand_in_commands
from workflow import freshness
from workflow.freshness import MARKERS, Freshness
from workflow.inputs import Inputs
from workflow.settings import load

RESULTS = "results/demo"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project, the current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: str, settings: object = None, inputs: dict[str, str] | None = None, data: str = "x") -> str:
    """An artifact with one file; its manifest's digest."""
    with artifacts.writing(folder, "made", settings=settings or {}, inputs=inputs or {}) as writer:
        writer.path("data").write_text(data)
    return artifacts.digest(folder)


def due(asked: Any, wildcards: dict[str, str] | None = None) -> list[str]:
    return asked(SimpleNamespace(items=(wildcards or {}).items))


def test_a_source_named_twice_is_shown_as_it_is_expected() -> None:
    Path("a.txt").write_text("小城在河的北岸。\n", encoding="utf-8")
    sources = [{"name": "one", "from": "a.txt"}, {"name": "two", "from": "a.txt"}]
    settings = load({"sources": sources, "corpus": {"decontaminate": ["a.txt", "a.txt"]}}, [])
    listing.list_sources(settings.sources, Path(RESULTS, "sources"), None, [])
    inputs = Inputs(settings)
    assert due(inputs.freshness.due("sources", inputs.sources.manifest_settings)) == []
    assert len(json.loads(inputs.corpus.manifest_settings())["files"]) == 1, "as clean_corpus shows it"
    Path("a.txt").write_text("小城在河的南岸，桥在北边。\n", encoding="utf-8")
    assert due(inputs.freshness.due("sources", inputs.sources.manifest_settings)) != []


def test_records_follow_the_tokenizer_of_another_run() -> None:
    def planned_records() -> list[str]:
        inputs = Inputs(load({"vocabulary": {"from": "results/other/tokenizer"}}, []))
        folders = (inputs.corpus.folder, inputs.vocabulary.folder)
        return due(inputs.freshness.due("records", inputs.records.manifest_settings, *folders))

    settings = load({}, [])
    shown = {"records": settings.records.shaping(), "seed": derive_seed(settings.seed, "write_records")}
    corpus, tokenizer = f"{RESULTS}/corpus", "results/other/tokenizer"
    write(corpus)
    write(tokenizer)
    write(f"{RESULTS}/records", shown | {"files": []}, {"corpus": corpus, "tokenizer": tokenizer})
    assert planned_records() == []
    write(tokenizer, data="another")
    assert planned_records() != []


def test_a_teacher_that_moved_is_the_same_until_its_content_changes(project: Path) -> None:
    def planned_import(path: Path) -> list[str]:
        teacher = {"kind": "transformers", "path": str(path)}
        inputs = Inputs(load({"teacher": teacher, "vocabulary": {"kind": "teacher"}}, []))
        asked = {"teacher.kind": "transformers", "teacher.retrain_head": False}
        rule = ("teacher_sources/imported/{teacher}", json.dumps(asked))
        return due(inputs.freshness.due(*rule, source=inputs.teacher.original_path), {"teacher": "given"})

    here, elsewhere = project / "here", project / "mnt" / "elsewhere"
    here.mkdir()
    for name in ("config.json", "model.safetensors", "vocab.txt"):
        (here / name).write_text(name)
    digests = {path.name: artifacts.sha256(path) for path in here.iterdir()}
    shown = {"teacher.kind": "transformers", "teacher.retrain_head": False, "files": digests}
    write(f"{RESULTS}/teacher_sources/imported/given", shown)
    shutil.copytree(here, elsewhere, copy_function=shutil.copy)
    assert planned_import(here) == planned_import(elsewhere) == []
    assert planned_import(project / "not there") == [], "on a machine that does not have it"
    (elsewhere / "vocab.txt").write_text("another")
    assert planned_import(elsewhere) != []
    assert planned_import(here) == []


@pytest.mark.parametrize(
    "error", [PermissionError(13, "Permission denied"), OSError(5, "Input/output error")]
)
def test_a_manifest_that_cannot_be_read_is_said_in_a_line(
    monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    """Root may read everything, so the system's answer is made up."""
    write(f"{RESULTS}/tokenizer")
    manifest, read = f"{RESULTS}/tokenizer/manifest.json", Path.read_bytes

    def refuse(path: Path) -> bytes:
        if str(path) == manifest:
            raise type(error)(error.errno, error.strerror, str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(WorkflowError) as refused:
        Freshness(RESULTS)
    (line,) = str(refused.value).splitlines()
    assert line.startswith(f"{manifest}: {error.strerror}; ")


def test_what_goes_away_while_it_is_read_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    write(f"{RESULTS}/tokenizer")
    below = freshness._manifests_below
    monkeypatch.setattr(
        freshness, "_manifests_below", lambda folder: [*below(folder), f"{RESULTS}/gone/manifest.json"]
    )
    assert due(Freshness(RESULTS).due("tokenizer", "{}")) == []


def test_two_plans_at_once_leave_whole_markers() -> None:
    names = [f"tasks/{number}" for number in range(20)]
    for name in names:
        write(f"{RESULTS}/{name}")
    seen = []

    def plan(_: int) -> None:
        asked = Freshness(RESULTS)
        for name in names:
            (marker,) = due(asked.due(name, '{"seed": 1}'))
            seen.append(Path(marker).read_text("utf-8").splitlines())

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(plan, range(8)))
    assert all(reason == "other settings: seed" and len(mark) == 32 for reason, mark in seen)
    assert len(seen) == 8 * len(names)
    assert sorted(path.stem for path in Path(MARKERS).rglob("*") if path.is_file()) == sorted(
        name.removeprefix("tasks/") for name in names
    )


@pytest.fixture
def copied_run(root: Path, finished: Path, tmp_path: Path) -> Path:
    """Another clone with the results of a finished run."""
    folder = clone(root, tmp_path / "other")
    stand_in_commands(folder)
    shutil.copytree(finished / "results", folder / "results")
    return folder


def test_a_changed_checkpoint_of_a_student_makes_its_import_and_what_follows_due(
    copied_run: Path, project: Path
) -> None:
    for name in ("model.ckpt.index", "model.ckpt.data-00000-of-00001", "student.json", "vocab.txt"):
        (project / name).write_text(name)
    settings, prefix = project / "given.yaml", str(project / "model.ckpt")
    change(settings, ["student", "from"], prefix)
    asked = ("student", "--configfile", str(settings), "--config", "transfer={schedule: none}")
    snakemake(copied_run, "--profile", "profiles/local", *asked)
    for path in project.glob("model.ckpt.*"):
        os.utime(path)
    assert planned(copied_run, *asked) == {}
    (project / "model.ckpt.data-00000-of-00001").write_text("other weights")
    os.utime(project / "model.ckpt.data-00000-of-00001", (1_600_000_000,) * 2)
    assert planned(copied_run, *asked) == {"import_student": 1, "pretrain_student": 1, "student": 1}
