"""A training whose Snakemake is killed goes on from its last checkpoint and ends with the bits of an unbroken
one.

The real commands on a tiny world. tests/resume kills every kind of training in every phase.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from tests.workflow.conftest import SNAKEMAKE, clone, snakemake

STAGE = "results/tiny/teacher_sources/pretrained/small"
LOG = "results/tiny/logs/pretrain_teacher/small.log"
TARGET = f"{STAGE}/manifest.json"
TINY = {
    "run": "tiny",
    "checkpoint_seconds": 0,
    "small_world": {"megabytes": 0.3, "questions": 20, "reviews": 20},
    "vocabulary": {"size": 2400},
    "teacher": {"training": {"steps": 12, "warmup_steps": 0, "batch_size": 8}},
    "training": {"steps_per_call": 2},
}
# Appended to the clones' commands: while there is a file `waits`, a training takes no further step.
WAITING = """

def _wait_at_step_six() -> None:
    import time

    from mobilebert.training.state.workspace import Workspace

    add_metrics = Workspace.add_metrics

    def waiting(workspace, line) -> None:
        add_metrics(workspace, line)
        while line["step"] == 6 and Path("waits").exists():
            time.sleep(0.02)

    Workspace.add_metrics = waiting


_wait_at_step_six()
"""


@pytest.fixture(scope="module")
def before(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which everything before the stage is done."""
    folder = clone(root, tmp_path_factory.mktemp("before"))
    (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY), encoding="utf-8")
    with (folder / "scripts" / "command.py").open("a", encoding="utf-8") as stream:
        stream.write(WAITING)
    snakemake(folder, *command("results/tiny/records/manifest.json"))
    return folder


@pytest.fixture(scope="module")
def unbroken(before: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stage trained without a break."""
    folder = copy(before, tmp_path_factory.mktemp("unbroken") / "run")
    snakemake(folder, *command(TARGET))
    assert "resuming" not in (folder / LOG).read_text("utf-8")
    return folder


def command(target: str) -> list[str]:
    return ["--profile", "profiles/local", "--cores", "2", "--configfile", "tiny.yaml", "--", target]


def copy(folder: Path, target: Path) -> Path:
    shutil.copytree(folder, target, symlinks=True)
    return target


def start(folder: Path) -> subprocess.Popen[bytes]:
    """A run that gets no further than step 6 of the stage, and there has a checkpoint of step 4."""
    (folder / "waits").touch()
    return subprocess.Popen(
        [SNAKEMAKE, *command(TARGET)], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def trainings(folder: Path) -> list[int]:
    """Process ids of trainings of this folder."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            words = (process / "cmdline").read_bytes().split(b"\0") if process.name.isdigit() else []
            if b"scripts.pretrain_teacher" in words and (process / "cwd").resolve() == folder.resolve():
                found.append(int(process.name))
        except OSError:
            continue  # it ended while we looked
    return found


def wait_for_checkpoint(folder: Path, running: subprocess.Popen[bytes]) -> None:
    while not ((folder / LOG).is_file() and "checkpoint at step 4" in (folder / LOG).read_text("utf-8")):
        assert running.poll() is None, "no training waits"
        time.sleep(0.05)


def resumed_from(folder: Path) -> int:
    found = re.search(r"resuming from step (\d+)", (folder / LOG).read_text("utf-8"))
    assert found, (folder / LOG).read_text("utf-8")
    return int(found[1])


def assert_same_bytes(folder: Path, other: Path) -> None:
    names = {path.name for path in (other / STAGE).iterdir()} - {".snakemake_timestamp"}
    assert {"manifest.json", "model.safetensors", "metrics.jsonl"} <= names
    for name in names:
        assert (folder / STAGE / name).read_bytes() == (other / STAGE / name).read_bytes(), name


def test_a_killed_snakemake_leaves_no_orphan_and_goes_on(
    before: Path, unbroken: Path, tmp_path: Path
) -> None:
    folder = copy(before, tmp_path / "run")
    running = start(folder)
    wait_for_checkpoint(folder, running)
    running.kill()
    running.wait()
    while trainings(folder):  # until the orphan sees that nobody waits for it
        time.sleep(0.05)
    assert not (folder / TARGET).exists()
    locked = snakemake(folder, *command(TARGET), check=False)
    assert "cannot be locked" in locked.stderr + locked.stdout
    (folder / "waits").unlink()
    snakemake(folder, "--unlock", *command(TARGET))
    snakemake(folder, *command(TARGET))
    assert 4 <= resumed_from(folder) < 12
    assert_same_bytes(folder, unbroken)
    assert not list((folder / "state").rglob("*.safetensors")), "the state of a finished training is removed"
