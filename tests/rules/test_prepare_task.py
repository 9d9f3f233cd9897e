"""The command `prepare_task`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mobilebert import smallworld
from mobilebert.settings import SmallWorld
from mobilebert.storage import artifacts


def run(
    root: Path, task: str, files: dict[str, str], out: Path, *more: str
) -> subprocess.CompletedProcess[str]:
    settings = json.dumps({f"task.{task}.files": files})
    command = [
        sys.executable,
        "-m",
        "scripts.prepare_task",
        "--task",
        task,
        "--settings",
        settings,
        "--out",
        str(out),
        *more,
    ]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepare_task") / "world"
    with artifacts.writing(folder, "small_world", settings={}) as writer:
        smallworld.generate(writer, SmallWorld(megabytes=0.05, questions=25, reviews=30), 5)
    return folder


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def test_both_tasks_from_the_small_world(root: Path, world: Path, tmp_path: Path) -> None:
    for task, kind, count in (("chnsenticorp", "classification", 30), ("cmrc2018", "reading", 25)):
        out = tmp_path / task
        done = run(root, task, {}, out, "--world", str(world))
        assert done.returncode == 0, done.stderr
        manifest = artifacts.read(out, "task")
        assert manifest.inputs == {"world": artifacts.digest(world)}
        body = json.loads((out / "task.json").read_text())
        assert (body["name"], body["kind"]) == (task, kind)
        assert len(lines(out / "train.jsonl")) == count == manifest.counts["train"]["examples"]
        assert len(lines(out / "dev.jsonl")) == count // 5
    reviews = lines(tmp_path / "chnsenticorp" / "train.jsonl")
    assert {review["label"] for review in reviews} == {0, 1}
    assert set(reviews[0]) == {"id", "text", "text_pair", "label"}
    assert artifacts.read(tmp_path / "chnsenticorp").counts["train"]["majority"] == 0.5
    for question in lines(tmp_path / "cmrc2018" / "dev.jsonl"):
        assert set(question) == {"id", "context", "question", "answers"}
        assert len(question["answers"]) == 3
        assert all(
            question["context"][answer["start"] :].startswith(answer["text"])
            for answer in question["answers"]
        )


def test_own_files_stand_in_the_manifest_by_digest_not_path(root: Path, tmp_path: Path) -> None:
    manifests = []
    for folder in (tmp_path / "here", tmp_path / "there"):
        folder.mkdir()
        for split in ("train", "dev"):
            (folder / f"{split}.tsv").write_text(f"label\ttext_a\n1\t好{split}\n0\t坏\n", encoding="utf-8")
        out = tmp_path / f"task-{folder.name}"
        done = run(
            root, "chnsenticorp", {split: str(folder / f"{split}.tsv") for split in ("train", "dev")}, out
        )
        assert done.returncode == 0, done.stderr
        manifests.append((out / "manifest.json").read_bytes())
    assert manifests[0] == manifests[1]
    assert str(tmp_path).encode() not in manifests[0]


def test_refusals_are_one_line_and_leave_no_artifact(root: Path, tmp_path: Path) -> None:
    for files, message in (
        ({}, "--world"),
        ({"train": str(tmp_path / "no.tsv"), "dev": str(tmp_path / "no.tsv")}, "no such file"),
    ):
        done = run(root, "chnsenticorp", files, tmp_path / "out")
        assert done.returncode == 1
        assert message in done.stderr
        assert "Traceback" not in done.stderr
        assert not artifacts.exists(tmp_path / "out")
