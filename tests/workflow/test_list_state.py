"""`python -m scripts.list_state`: what is unfinished, who works in it; removal by name or age, never of
what is in use.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest

from mobilebert.errors import UserError
from mobilebert.storage.locks import locked
from mobilebert.training.state import workspace
from scripts import list_state
from tests.loopback_gcs import LoopbackGcs

PRINT = "12" * 32
DAYS = 86_400


def stop(root: Path | str, name: str, bucket: str = "") -> Path:
    """Leave what a training that is stopped at step 5 leaves."""
    with workspace.open_state(root, name, PRINT, bucket=bucket) as work:
        work.restore()
        work.save(5, {"weights": np.zeros(1000, np.float32)})
    return work.folder


def age(folder: Path, seconds: float) -> None:
    for path in (*folder.iterdir(), folder):
        written = path.stat().st_mtime - seconds
        os.utime(path, (written, written))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Three unfinished trainings of two runs, one of them old, and a folder of somebody else's."""
    root = tmp_path / "state"
    stop(root / "demo", "teacher")
    age(stop(root / "demo", "layer01"), 8 * DAYS)
    stop(root / "other", "teacher")
    (root / "demo" / "notes").mkdir()
    return root


def listed(
    capsys: pytest.CaptureFixture[str], root: Path | str, *arguments: str
) -> tuple[dict[str, list[str]], list[str]]:
    """Columns by RUN/TRAINING, and the lines after the table."""
    list_state.main(list_state.parser().parse_args(["--state", str(root), *arguments]))
    lines = capsys.readouterr().out.splitlines()
    table = [re.split(r"\s{2,}", line) for line in lines if not line.startswith(("removed", "kept"))]
    assert table[0] == ["RUN", "WORK", "STEP", "MB", "AGE", "IN USE BY"]
    rows = {f"{run}/{work.removesuffix(f'-{PRINT[:12]}')}": rest for run, work, *rest in table[1:]}
    return rows, [line for line in lines if line.startswith(("removed", "kept"))]


def left(root: Path) -> set[str]:
    return {f"{path.parent.name}/{path.name.removesuffix(f'-{PRINT[:12]}')}" for path in root.glob("*/*")}


def test_every_state_has_a_line(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows, after = listed(capsys, tree)

    assert list(rows) == ["demo/layer01", "demo/teacher", "other/teacher"]
    assert rows["demo/layer01"] == ["5", "0.0", "8.0 d", "-"]
    assert after == []


def test_who_works_in_a_state_is_shown(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with locked(tree / "demo" / f"teacher-{PRINT[:12]}"):
        rows, _ = listed(capsys, tree)

    assert rows["demo/teacher"][-1] == f"process {os.getpid()}"


def test_a_folder_that_is_not_there_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="missing: no such folder"):
        listed(capsys, tmp_path / "missing")


def test_a_folder_without_states_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    list_state.main(list_state.parser().parse_args(["--state", str(tmp_path)]))

    assert capsys.readouterr().out == f"{tmp_path}: no unfinished training lies there\n"


def test_states_are_removed_by_name(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, after = listed(capsys, tree, "--remove", f"demo/teacher-{PRINT[:12]}")

    assert after == [f"removed demo/teacher-{PRINT[:12]}"]
    assert left(tree) == {"demo/layer01", "demo/notes", "other/teacher"}


def test_a_name_without_its_run_means_the_states_of_all_runs(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed(capsys, tree, "--remove", f"teacher-{PRINT[:12]}")

    assert left(tree) == {"demo/layer01", "demo/notes"}


def test_a_name_that_means_nothing_removes_nothing(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="no unfinished training is called notes; nothing was removed"):
        listed(capsys, tree, "--remove", "notes", f"teacher-{PRINT[:12]}")

    assert len(left(tree)) == 4


def test_states_are_removed_by_age(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed(capsys, tree, "--remove-older-than", "7d")

    assert left(tree) == {"demo/teacher", "demo/notes", "other/teacher"}


def test_what_is_in_use_is_kept(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tree / "demo" / f"layer01-{PRINT[:12]}"
    with locked(folder):
        age(folder, 8 * DAYS)
        _, after = listed(capsys, tree, "--remove-older-than", "7d", "--remove", folder.name)

    assert after == [f"kept demo/{folder.name}: in use by process {os.getpid()}"]
    assert folder.is_dir()


def test_what_a_killed_removal_left_is_listed_and_removed(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f".layer02-{PRINT[:12]}.removed"
    (tree / "demo" / name).mkdir()

    _, after = listed(capsys, tree, "--remove", name)

    assert after == [f"removed demo/{name}"]


def test_copies_in_a_bucket_are_listed_and_removed(
    gcs: LoopbackGcs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("teacher", "layer01"):
        stop(tmp_path, name, "gs://states/p/demo")
    gcs.commit("states", "p/demo/notes/text", b"somebody else's", None, {})

    rows, after = listed(capsys, "gs://states/p", "--remove", f"demo/teacher-{PRINT[:12]}")

    assert {name: [row[0], row[3]] for name, row in rows.items()} == {
        "demo/layer01": ["5", "-"],
        "demo/teacher": ["5", "-"],
    }
    assert after == [f"removed demo/teacher-{PRINT[:12]}"]
    assert {name.split("/")[2] for name in gcs.buckets["states"]} == {f"layer01-{PRINT[:12]}", "notes"}


def test_copies_whose_owner_may_live_are_kept(
    gcs: LoopbackGcs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with workspace.open_state(tmp_path, "teacher", PRINT, bucket="gs://states/p/demo"):
        rows, after = listed(capsys, "gs://states/p", "--remove", f"teacher-{PRINT[:12]}")

    assert rows["demo/teacher"][-1].startswith(f"process {os.getpid()} on ")
    assert after == [f"kept demo/teacher-{PRINT[:12]}: in use by {rows['demo/teacher'][-1]}"]


def test_copies_whose_owner_was_silent_for_a_day_are_removed(
    gcs: LoopbackGcs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with workspace.open_state(tmp_path, "teacher", PRINT, bucket="gs://states/p/demo"):
        for stored in gcs.buckets["states"].values():
            stored.updated = "2020-01-01T00:00:00Z"
        rows, _ = listed(capsys, "gs://states/p", "--remove-older-than", "12h")

    assert rows["demo/teacher"][-1] == "-"
    assert gcs.buckets["states"] == {}
