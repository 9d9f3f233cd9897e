"""Artifact directories: whole or absent, verified on read, equal for equal work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from mobilebert.storage import artifacts
from mobilebert.storage.artifacts import ArtifactError


def write(folder: Path, text: str = "内容", **options: object) -> Path:
    with artifacts.writing(folder, "corpus", **options) as writer:  # type: ignore[arg-type]
        writer.path("deep", "a.txt").write_text(text, encoding="utf-8")
        writer.counts["documents"] = 3
    return folder


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    first = write(tmp_path / "first")
    second = write(
        tmp_path / "second", settings={"b": 1, "a": "字"}, inputs={"raw": first}, versions=["pydantic"]
    )
    manifest = artifacts.read(second, "corpus")
    assert manifest.files["deep/a.txt"]["size"] == 6
    assert manifest.counts == {"documents": 3}
    assert manifest.inputs == {"raw": artifacts.digest(first)}
    assert manifest.versions.keys() == {"pydantic"}


def test_equal_work_gives_an_equal_manifest_wherever_it_lies(tmp_path: Path) -> None:
    first = write(tmp_path / "a", settings={"x": 1, "y": 2})
    second = write(tmp_path / "elsewhere" / "b", settings={"y": 2, "x": 1})
    assert (first / "manifest.json").read_bytes() == (second / "manifest.json").read_bytes()
    assert artifacts.digest(first) != artifacts.digest(write(tmp_path / "c", "其他"))


def test_a_failure_leaves_no_manifest_and_no_old_one(tmp_path: Path) -> None:
    folder = write(tmp_path / "a")
    with pytest.raises(ZeroDivisionError), artifacts.writing(folder, "corpus") as writer:
        writer.path("a.txt").write_text(str(1 // 0))
    assert not artifacts.exists(folder)
    with pytest.raises(ArtifactError, match="never finished"):
        artifacts.read(folder)


def test_old_files_do_not_leak_into_a_new_artifact(tmp_path: Path) -> None:
    folder = write(tmp_path / "a")
    with artifacts.writing(folder, "corpus") as writer:
        writer.path("b.txt").write_text("new")
    assert list(artifacts.read(folder).files) == ["b.txt"]
    assert not (folder / "deep").exists()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.unlink(), r"a\.txt: missing"),
        (lambda path: path.write_text("短"), r"a\.txt: 3 bytes, expected 6"),
        (lambda path: path.write_text("内客"), r"a\.txt: its SHA-256 differs"),
    ],
)
def test_damage_is_named(tmp_path: Path, damage: object, said: str) -> None:
    folder = write(tmp_path / "a")
    damage(folder / "deep" / "a.txt")  # type: ignore[operator]
    with pytest.raises(ArtifactError, match=said):
        artifacts.read(folder)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"format": 1}',
        '{"format": 2, "kind": "corpus", "files": {}}',
        '{"format": 1, "kind": 1, "new": 2, "files": {}}',
    ],
)
def test_what_is_no_manifest_is_refused(tmp_path: Path, text: str) -> None:
    folder = write(tmp_path / "a")
    (folder / "manifest.json").write_text(text)
    with pytest.raises(ArtifactError, match="not a manifest"):
        artifacts.read(folder)


def test_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="expected an artifact of kind 'records', found 'corpus'"):
        artifacts.read(write(tmp_path / "a"), "records")


def test_an_absent_input_is_refused_before_any_work(tmp_path: Path) -> None:
    with (
        pytest.raises(ArtifactError, match="no manifest"),
        artifacts.writing(tmp_path / "b", "corpus", inputs={"raw": tmp_path / "none"}),
    ):
        pytest.fail("the block must not start")


def test_a_kill_at_any_system_call_leaves_a_whole_artifact_or_none(tmp_path: Path) -> None:
    """The child kills itself at its n-th call that touches the disk, for every n, while it replaces an
    artifact.
    """
    folder = write(tmp_path / "a", "old")
    program = textwrap.dedent(
        """
        import os, signal, sys, pathlib
        from mobilebert.storage import artifacts
        left = int(sys.argv[2])
        def dies(function):
            def called(*arguments, **options):
                global left
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*arguments, **options)
            return called
        for name in ("unlink", "rename", "replace", "fsync", "mkdir", "rmdir", "open"):
            setattr(os, name, dies(getattr(os, name)))
        pathlib.Path.open = dies(pathlib.Path.open)
        with artifacts.writing(sys.argv[1], "corpus") as writer:
            for number in range(3):
                writer.path(f"{number}.txt").write_text("new" * 1000)
        """
    )
    outcomes = set()
    for calls in range(0, 60, 1 if os.environ.get("CI") else 3):
        write(folder, "old")
        done = subprocess.run([sys.executable, "-c", program, str(folder), str(calls)], check=False)
        assert done.returncode in (0, -signal.SIGKILL)
        if artifacts.exists(folder):
            outcomes.add(tuple(artifacts.read(folder).files))
        else:
            outcomes.add(None)
        if done.returncode == 0:
            break
    else:
        pytest.fail("the program never came to its end")
    assert outcomes == {("deep/a.txt",), None, ("0.txt", "1.txt", "2.txt")}
