"""Teacher, transfer, pretraining and finetuning, killed 20 times in every phase, end with the bits of an
unbroken run. `make test-resume`.

The real commands under the real Snakemake, on a tiny world; the copies of the checkpoints go to a loopback
bucket. Where exactly each kill falls follows from a seed, which is printed; MOBILEBERT_RESUME_SEED repeats a
run.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from mobilebert.settings import Masking
from tests.loopback_gcs import LoopbackGcs
from tests.resume.killing import KILL
from tests.workflow.conftest import SNAKEMAKE, clone, snakemake
from tests.workflow.test_own_shapes import STUDENT, TEACHER

SEED = int(os.environ.get("MOBILEBERT_RESUME_SEED") or random.SystemRandom().randrange(10**6))
RESULTS = Path("results/tiny")
STAGES = {
    "teacher": RESULTS / "teacher_sources/pretrained/small",
    "layer01": RESULTS / "students/own/transfer/layer01",
    "layer02": RESULTS / "students/own/transfer/layer02",
    "student": RESULTS / "students/own/pretrained",
    "task": RESULTS / "finetuned/own/chnsenticorp/seed-0",
}
FINISHED = [*STAGES.values(), RESULTS / "teachers/small"]
# Killed at most once after its last step, each stage stops at the first phase of the second list for good.
WHILE_TRAINING = {
    "teacher": ["measure", "checkpoint-write", "upload"],
    "layer01": ["opening", "step", "upload-marker"],
    "layer02": ["checkpoint-rotation", "fetch", "step"],
    "student": ["best", "checkpoint-write", "fetch"],
    "task": ["step", "upload", "measure"],
}
AFTER_TRAINING = {
    "teacher": ["evaluation"],
    "layer01": ["finish"],
    "layer02": ["removal"],
    "student": ["artifact"],
    "task": [],
}
SNAKEMAKE_KILLED = "layer01"  # Snakemake itself dies once this stage is whole: between two stages
TRAINING = {"steps": 80, "warmup_steps": 0, "batch_size": 8}
TINY: dict[str, Any] = {
    "run": "tiny",
    "checkpoint_seconds": 0,
    "small_world": {"megabytes": 0.3, "questions": 20, "reviews": 200},
    "vocabulary": {"size": 2400},
    "training": {
        "steps_per_call": 2,
        "device_batch": 4,
        "evaluate_every": 5,
        "evaluate_sequences": 16,
        "keep": "best",
    },
    "shapes": {"own": "student.json", "own-teacher": "teacher.json"},
    "students": ["own"],
    "teacher": {"shape": "own-teacher", "min_head_lift": -1, "training": TRAINING},
    "transfer": {"training": TRAINING},
    "pretraining": {"training": TRAINING | {"phases": [{"share": 0.3, "sequence_length": 32}]}},
    "tasks": ["chnsenticorp"],
    "task": {"chnsenticorp": {"training": {"batch_size": 4}}},
    "finetuning": {"teacher": False},
}


@dataclass(frozen=True)
class Kill:
    """One death: in which stage, in which phase, at which call, where in it."""

    stage: str
    phase: str
    call: int
    share: float
    after_upload: bool = False  # a later kill of the stage needs a checkpoint in the bucket

    @property
    def name(self) -> str:
        return f"{self.stage}/{self.phase}"

    def told(self, hits: Path) -> str:
        """For `killing.arm`."""
        out = f"/{STAGES[self.stage].relative_to(RESULTS)}"
        return json.dumps(asdict(self) | {"stage": out, "name": self.name, "hits": str(hits)})


def plan(chance: random.Random) -> list[Kill]:
    """What happens while a stage trains comes in any order, at any of the first calls; what happens after
    it comes last.
    """
    kills = []
    for stage in STAGES:
        training = chance.sample(WHILE_TRAINING[stage], len(WHILE_TRAINING[stage]))
        if "fetch" in training:  # there must be something to fetch
            training.remove("fetch")
            training.insert(chance.randint(1, len(training)), "fetch")
        for phase in training:
            first_only = phase in ("opening", "fetch", "best")
            soon = "fetch" in training and training.index(phase) < training.index("fetch")
            kills.append(Kill(stage, phase, 1 if first_only else chance.randint(2, 4), chance.random(), soon))
        kills += [Kill(stage, phase, 1, chance.random()) for phase in AFTER_TRAINING[stage]]
    return kills


@pytest.fixture(scope="module")
def before(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with everything before the first training, whose commands can be told to die."""
    folder = clone(root, tmp_path_factory.mktemp("before"))
    (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY), encoding="utf-8")
    (folder / "student.json").write_text(json.dumps(STUDENT | {"vocab_size": 2400}), encoding="utf-8")
    (folder / "teacher.json").write_text(json.dumps(TEACHER | {"vocab_size": 2400}), encoding="utf-8")
    with (folder / "scripts" / "command.py").open("a", encoding="utf-8") as stream:
        stream.write("\n\nfrom tests.resume.killing import arm  # noqa: E402\n\narm()\n")
    snakemake(
        folder, *command(f"{RESULTS}/records/manifest.json", f"{RESULTS}/tasks/chnsenticorp/manifest.json")
    )
    return folder


def command(*targets: str, profile: str = "profiles/local", bucket: str = "") -> list[str]:
    where = ["--config", f"state_bucket={bucket}"] if bucket else []
    return ["--profile", profile, "--cores", "2", "--configfile", "tiny.yaml", *where, "--", *targets]


@pytest.fixture(scope="module")
def unbroken(before: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run without a break, and without a bucket."""
    folder = copied(before, tmp_path_factory.mktemp("unbroken") / "run")
    snakemake(folder, *command(f"{STAGES['task']}/manifest.json"))
    return folder


def copied(folder: Path, target: Path) -> Path:
    shutil.copytree(folder, target, symlinks=True)
    return target


def log_of(folder: Path, stage: str) -> str:
    names = {
        "teacher": "pretrain_teacher/small",
        "student": "pretrain_student/own",
        "task": "finetune_task/own-chnsenticorp-0",
    }
    return (folder / RESULTS / "logs" / f"{names.get(stage, f'transfer_layer/own-{stage}')}.log").read_text(
        "utf-8"
    )


def kill_snakemake_after(folder: Path, stage: str, arguments: list[str]) -> None:
    """Snakemake dies between a stage and the next one."""
    following = list(STAGES)[list(STAGES).index(stage) + 1]
    running = subprocess.Popen(
        [SNAKEMAKE, *arguments], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    done = (
        folder / RESULTS / "benchmarks/transfer_layer" / f"own-{stage}.tsv"
    )  # written when Snakemake has seen the job's end
    while not done.is_file():
        assert running.poll() is None
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert (folder / STAGES[stage] / "manifest.json").is_file()
    assert not (folder / STAGES[following] / "manifest.json").exists()
    snakemake(folder, "--unlock", *arguments)


def assert_same_bytes(folder: Path, other: Path) -> None:
    for place in FINISHED:
        names = {path.name for path in (other / place).iterdir()} - {".snakemake_timestamp"}
        assert {"manifest.json", "model.safetensors"} <= names
        assert names == {path.name for path in (folder / place).iterdir()} - {".snakemake_timestamp"}
        for name in names:
            assert (folder / place / name).read_bytes() == (other / place / name).read_bytes(), place / name


def test_killed_twenty_times_the_run_ends_with_the_bits_of_an_unbroken_one(
    before: Path, unbroken: Path, gcs: LoopbackGcs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kills = plan(random.Random(SEED))
    print(f"\nseed {SEED}: {', '.join(f'{kill.name} ({kill.call}, {kill.share:.2f})' for kill in kills)}")
    folder, hits = copied(before, tmp_path / "run"), tmp_path / "hits"
    arguments = command(f"{STAGES['task']}/manifest.json", bucket="gs://states/here")
    for number, kill in enumerate(kills, 1):
        if kill.phase == "fetch":  # another machine takes over: nothing of this one's disk is left
            shutil.rmtree(folder / "state")
        monkeypatch.setenv(KILL, kill.told(hits))
        done = snakemake(folder, *arguments, check=False)
        said = f"{log_of(folder, kill.stage)[-3000:]}\n{done.stderr[-3000:]}"
        assert done.returncode != 0, f"{kill.name} was never reached\n{said}"
        assert hits.read_text().split() == [one.name for one in kills[:number]], (
            f"{kill.name} failed otherwise\n{said}"
        )
        print(f"{number:2d} {kill.name}", flush=True)
        monkeypatch.delenv(KILL)
        if kill.stage == SNAKEMAKE_KILLED and kill == [one for one in kills if one.stage == kill.stage][-1]:
            kill_snakemake_after(folder, kill.stage, arguments)
            print("   Snakemake, between two stages", flush=True)
    snakemake(folder, *arguments)
    assert len(kills) + 1 == 20
    assert "resuming from step" in log_of(folder, "task")
    assert_same_bytes(folder, unbroken)
    assert not list((folder / "state").rglob("*.safetensors")), "the state of finished trainings is removed"
    assert gcs.buckets["states"] == {}, "and so are its copies"


def test_a_preempted_training_saves_and_is_repeated_by_the_profile(
    before: Path, unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copied(before, tmp_path / "run")
    kill = Kill("teacher", "preempted", 4, 0.5)
    monkeypatch.setenv(KILL, kill.told(tmp_path / "hits"))
    done = snakemake(folder, *command(f"{STAGES['teacher']}/manifest.json", profile="tpu"))
    assert (tmp_path / "hits").read_text().split() == [kill.name]
    assert "stopped by SIGTERM after step" in done.stdout + done.stderr
    assert "resuming from step" in log_of(folder, "teacher")
    for name in ("manifest.json", "model.safetensors", "metrics.jsonl"):
        assert (folder / STAGES["teacher"] / name).read_bytes() == (
            unbroken / STAGES["teacher"] / name
        ).read_bytes()


def test_a_run_that_starts_in_the_middle_meets_the_same_records_and_masks(before: Path) -> None:
    from mobilebert.records import reader

    chance, records = random.Random(SEED), reader.RecordSet(before / RESULTS / "records")
    epochs = iter(reader.train_batches(records, Masking(), 8, 7, 0))
    unbroken = [next(epochs) for _ in range(400)]
    for start in sorted(chance.sample(range(400), 10)):
        again = next(iter(reader.train_batches(records, Masking(), 8, 7, start)))
        for name, expected in unbroken[start].items():
            np.testing.assert_array_equal(again[name], expected)
