"""`python -m scripts.list_state`: what the settings would go on with, what not, what is locked; removal on demand only."""

from __future__ import annotations

import re
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mobilebert.storage import artifacts
from mobilebert.storage.locks import locked
from mobilebert.training import checkpoints, listing, state
from tests.loopback_gcs import LoopbackGcs
from tests.workflow.conftest import clone
from workflow.planned import trainings

DAMAGED = ["somebody whose lease.json cannot be read", "unknown (it holds no work.json)"]
INPUTS = {"transfer_layer": ("records", "tokenizer"), "pretrain_teacher": ("records", "tokenizer"), "finetune_task": ("model", "data")}


@pytest.fixture(scope="module")
def made(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, listing.Wanted]]:
    """A clone and its first training; there stopped trainings of these settings, of others, one whose input changed, of another run."""
    folder = clone(root, tmp_path_factory.mktemp("tree"))
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        wanted = trainings([])
        assert {one.command for one in wanted} == {"pretrain_teacher", "transfer_layer", "pretrain_student", "finetune_task"}
        for place in ("records", "tokenizer", "students/mini/pretrained", "tasks/chnsenticorp", "tasks/cmrc2018"):
            write(folder / "results" / "demo" / place, "as it was")
        teacher, layer = wanted[0], next(one for one in wanted if one.options.get("stage") == "layer02")
        task = next(one for one in wanted if one.command == "finetune_task" and one.options["model"].endswith("pretrained"))
        stop("teacher", teacher)
        stop("other-teacher", teacher, settings=str(teacher.options["settings"]).replace('"steps": 400', '"steps": 500'))
        stop("layer02", layer)
        stop("task", task)
        stop("of-another-run", teacher, root="state/other")
        write(folder / task.options["data"], "changed")
        (folder / "state" / "demo" / ".layer01-0123456789ab.removed").mkdir()
        yield folder, teacher


@pytest.fixture
def tree(made: tuple[Path, listing.Wanted]) -> Path:
    return made[0]


def write(folder: Path, text: str) -> None:
    with artifacts.writing(folder, "made up") as writer:
        writer.path("text").write_text(text)


def stop(name: str, wanted: listing.Wanted, *, root: str = "state/demo", bucket: str | None = None, **changed: str) -> None:
    """Leave what a training that is stopped at step 5 leaves."""
    told = Namespace(**{**wanted.options, **changed, "log": None, "threads": 3})
    inputs = {role: Path(told_path(vars(told)[role])) for role in INPUTS[wanted.command]}
    with state.open(root, name, "12" * 32, bucket=bucket, work=state.describe(wanted.command, told, inputs)) as work:
        work.save(5, {"weights": np.zeros(1000, np.float32)})


def told_path(value: str | list[str]) -> str:
    return value if isinstance(value, str) else value[0]


def listed(folder: Path, *arguments: str) -> tuple[dict[str, list[str]], list[str]]:
    """Columns by state, and the lines after the table."""
    done = subprocess.run([sys.executable, "-m", "scripts.list_state", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    table = [re.split(r"\s{2,}", line) for line in lines if not line.startswith(("removed", "kept"))][1:]
    return {row[0].rpartition("-")[0]: row[1:] for row in table}, [line for line in lines if line.startswith(("removed", "kept"))]


def test_states_are_told_apart(tree: Path) -> None:
    (tree / "state" / "demo" / "teacher-121212121212" / "step-of-somebody.safetensors").touch()
    with locked(tree / "state" / "demo" / "layer02-121212121212"):
        found, removed = listed(tree)
    assert removed == []
    assert {name: row[-1] for name, row in found.items()} == {
        "demo/teacher": "reachable",
        "demo/other-teacher": "unreachable (no job has its settings)",
        "demo/layer02": "reachable",
        "demo/task": "unreachable (changed input: data)",
        "demo/.layer01": "unreachable (its work was finished)",
        "other/of-another-run": "unknown (the settings of run other were not given)",
    }
    assert found["demo/teacher"][0] == "5"
    assert found["demo/teacher"][2].endswith((" s", " min"))
    assert found["demo/layer02"][3].startswith("process ")


def test_a_folder_that_is_not_there_and_one_that_is_empty_are_said(root: Path, tmp_path: Path) -> None:
    for place, code, told in (("missing", 1, "missing: no such folder"), ("", 0, f"{tmp_path}/: no unfinished work lies there")):
        where = place or f"{tmp_path}/"
        command = [sys.executable, "-m", "scripts.list_state", "--state", where]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        (line,) = (done.stdout + done.stderr).splitlines()
        assert line.startswith(told)


def test_a_state_that_the_system_does_not_let_be_removed_is_kept_and_said(tmp_path: Path) -> None:
    with state.open(tmp_path / "demo", "job", "12" * 32) as work:
        work.save(5, {"weights": np.zeros(3, np.float32)})
    (work.folder.with_name(f".{work.folder.name}.removed")).touch()
    (found,) = (one for one in listing.in_folder(tmp_path) if one.step == 5)
    assert "Not a directory" in listing.remove(found)
    assert checkpoints.steps(work.folder) == [5]


def test_an_absent_input_may_come_back_and_other_settings_reach_other_states(tree: Path) -> None:
    (tree / "results" / "demo" / "records").rename(tree / "results" / "demo" / "records.away")
    found, _ = listed(tree, "--", "--config", "teacher={training: {steps: 500}}")
    (tree / "results" / "demo" / "records.away").rename(tree / "results" / "demo" / "records")
    assert found["demo/teacher"][-1] == "unreachable (no job has its settings)"
    assert found["demo/other-teacher"][-1] == "reachable (if it comes out the same: records)"


def test_an_input_in_another_place_is_compared_by_its_digest_and_what_was_being_removed_by_what_it_says(
    made: tuple[Path, listing.Wanted], monkeypatch: pytest.MonkeyPatch
) -> None:
    tree, teacher = made
    monkeypatch.chdir(tree)
    one = next(one for one in listing.in_folder(Path("state")) if one.name.startswith("teacher-"))

    def judged(found: listing.Found, records: str) -> tuple[str, str]:
        return listing.verdict(found, [replace(teacher, options={**teacher.options, "records": records})])

    assert judged(replace(one, name=f".{one.name}.removed"), "results/demo/records") == ("reachable", ""), "opening it takes it back"
    assert judged(one, "elsewhere") == ("unknown", "a job has its settings, but reads elsewhere, where nothing lies: records")
    write(tree / "elsewhere", "other")
    assert judged(one, "elsewhere") == ("unreachable", "no job has its settings")
    write(tree / "elsewhere", "as it was")
    assert judged(one, "elsewhere") == ("reachable", "")
    moved = [
        replace(teacher, options={**teacher.options, "settings": f'{{"seed": 1, "student": {{"from": "{place}"}}}}'}) for place in "ab"
    ]
    told = {**dict(one.work or {}), "options": moved[0].options}
    assert listing.verdict(replace(one, work=told), moved[1:]) == ("reachable", ""), "where a given student lies shapes nothing"


def test_another_format_of_checkpoints_is_unreachable_and_somebody_elses_work_is_unknown() -> None:
    wanted = [listing.Wanted("pretrain_teacher", {}, "state/demo")]
    work = {"format": checkpoints.FORMAT, "command": "pretrain_teacher", "options": {}, "inputs": {}}
    found = listing.Found("state/demo/teacher-12", "demo", "teacher-12", 5, 1, 1.0, "", work)
    assert listing.verdict(found, wanted) == (listing.REACHABLE, "")
    older = replace(found, work=work | {"format": checkpoints.FORMAT - 1})
    assert listing.verdict(older, wanted) == (listing.UNREACHABLE, "its checkpoints have another format")
    for missing in work:
        other = replace(found, work={name: value for name, value in work.items() if name != missing})
        assert listing.verdict(other, wanted) == (listing.UNKNOWN, "it holds no work.json"), missing


def test_only_what_is_unreachable_and_free_is_removed(tree: Path) -> None:
    with locked(tree / "state" / "demo" / "other-teacher-121212121212"):
        _, removed = listed(tree, "--remove-unreachable")
    assert len(removed) == 3
    assert any(line.startswith("kept state/demo/other-teacher-121212121212: ") for line in removed)
    left = {path.name.rpartition("-")[0] for path in (tree / "state" / "demo").iterdir()}
    assert left == {"teacher", "other-teacher", "layer02"}
    assert (tree / "state" / "other").is_dir()


def test_copies_in_a_bucket_are_listed_and_removed(made: tuple[Path, listing.Wanted], monkeypatch: pytest.MonkeyPatch) -> None:
    tree, teacher = made
    monkeypatch.chdir(tree)
    with LoopbackGcs("states") as gcs:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.address)
        for name, settings in (("teacher", str(teacher.options["settings"])), ("other", "{}")):
            stop(name, teacher, root="elsewhere", bucket="gs://states/p/demo", settings=settings)
        stop("locked", teacher, root="elsewhere", bucket="gs://states/p/demo", settings="{}")
        gcs.commit(
            "states", "p/demo/locked-121212121212/lease.json", b'{"owner": "x", "process": "y", "who": "process 7 on two"}', None, {}
        )
        for name in ("work.json", "lease.json"):
            gcs.commit("states", f"p/demo/damaged-121212121212/{name}", b"{", None, {})
        found, removed = listed(tree, "--state", "gs://states/p", "--remove-unreachable")
        assert found["demo/damaged"] == ["none", "0.0", found["demo/damaged"][2], *DAMAGED]
        assert found["demo/teacher"][0] == "5"
        assert found["demo/teacher"][-1] == "reachable"
        assert found["demo/locked"][3:] == ["process 7 on two", "unreachable (no job has its settings)"]
        assert removed == [
            "kept gs://states/p/demo/locked-121212121212: somebody works in it",
            "removed gs://states/p/demo/other-121212121212",
        ]
        assert {name.split("/")[2].rpartition("-")[0] for name in gcs.buckets["states"]} == {"teacher", "locked", "damaged"}
