"""Manifests decide on reruns: results that were moved plan as in their old place, whatever their times and
without `.snakemake`.
"""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

from tests.workflow.conftest import change, clone, planned, snakemake, stand_in_commands
from tests.workflow.test_reruns import AFTER_STUDENT, PUBLISH, STUDENT, TEACHER, TRANSFER


def move(finished: Path, target: Path, *, times: bool, seed: int = 8) -> Path:
    """Copy a finished run's results into another clone, as `cp -a` does, or with times in any order."""
    shutil.copytree(
        finished / "results", target / "results", copy_function=shutil.copy2 if times else shutil.copy
    )
    if not times:
        paths = sorted(path for path in (target / "results").rglob("*"))
        random.Random(seed).shuffle(paths)
        for number, path in enumerate(paths):
            os.utime(path, (1_700_000_000 + number,) * 2)
    return target


@pytest.fixture
def other(root: Path, tmp_path: Path) -> Path:
    """Another clone, in another folder."""
    folder = clone(root, tmp_path / "other")
    stand_in_commands(folder)
    return folder


@pytest.mark.parametrize("times", [True, False], ids=["with times", "without times"])
def test_moved_results_plan_nothing(finished: Path, other: Path, times: bool) -> None:
    assert planned(move(finished, other, times=times), "all") == {}


@pytest.mark.parametrize("seed", [2, 10])
def test_times_in_any_order_plan_nothing(finished: Path, other: Path, seed: int) -> None:
    assert planned(move(finished, other, times=False, seed=seed), "all") == {}


def test_an_input_that_was_added_makes_what_is_made_from_it_due(finished: Path, other: Path) -> None:
    folder = move(finished, other, times=True)
    more = ("--config", "export={formats: [transformers, tflite, tf1]}")
    assert set(planned(folder, "publish", *more)) == {"export_model", "check_export", "publish"} | PUBLISH


def test_results_that_have_no_manifest_are_due(finished: Path, other: Path) -> None:
    folder = move(finished, other, times=True)
    (folder / "results" / "demo" / "tokenizer" / "manifest.json").unlink()
    jobs = planned(folder, "student", "--config", "vocabulary={size: 5000}")
    assert "learn_vocabulary" in jobs
    assert "pretrain_student" in jobs


def test_artifacts_behind_links_are_read(finished: Path, other: Path, tmp_path: Path) -> None:
    folder = move(finished, other, times=True)
    students = folder / "results" / "demo" / "students"
    shutil.move(students, tmp_path / "disk")
    students.symlink_to(tmp_path / "disk")
    assert planned(folder, "student") == {}
    jobs = planned(folder, "student", "--config", "pretraining={training: {steps: 700}}")
    assert set(jobs) == STUDENT | {"student"}


def test_a_baseline_takes_the_steps_of_todays_transfer(finished: Path, other: Path) -> None:
    folder, baselines = move(finished, other, times=True), "baselines=[scratch]"
    target = "results/demo/students/mini-scratch/pretrained/manifest.json"
    snakemake(folder, "--profile", "profiles/local", target, "--config", baselines)
    assert planned(folder, target, "--config", baselines) == {}
    jobs = planned(folder, target, "--config", baselines, "transfer={training: {steps: 99}}")
    assert jobs == {"pretrain_student": 1}


def test_results_without_snakemakes_own_folder_plan_nothing(finished: Path, other: Path) -> None:
    folder = move(finished, other, times=True)
    assert not (folder / ".snakemake" / "metadata").exists()
    assert planned(folder, "all") == {}
    assert planned(folder, "all") == {}, "a plan leaves nothing behind that changes the next"


@pytest.mark.parametrize("times", [True, False], ids=["with times", "without times"])
def test_a_changed_setting_is_seen_on_another_machine(
    finished: Path, other: Path, tmp_path: Path, times: bool
) -> None:
    folder = move(finished, other, times=times)
    change(tmp_path / "changed.yaml", ["pretraining", "training", "steps"], 700)
    assert (
        set(planned(folder, "all", "--configfile", str(tmp_path / "changed.yaml"))) == STUDENT | AFTER_STUDENT
    )
    assert planned(folder, "all") == {}


def test_what_was_made_from_an_older_input_is_due(finished: Path, other: Path) -> None:
    folder = move(finished, other, times=False)
    manifest = folder / "results" / "demo" / "teachers" / "small" / "manifest.json"
    manifest.write_text(manifest.read_text().replace("content", "changed"))
    os.utime(manifest, (1_600_000_000,) * 2)  # older than all that was made from it
    jobs = set(planned(folder, "all"))
    assert jobs == TRANSFER | STUDENT | AFTER_STUDENT


def test_what_has_a_damaged_manifest_is_due(finished: Path, other: Path) -> None:
    folder = move(finished, other, times=True)
    manifest = folder / "results" / "demo" / "students" / "mini" / "pretrained" / "manifest.json"
    manifest.write_text(manifest.read_text()[:40])
    assert set(planned(folder, "student")) == STUDENT | {"student"}


def test_a_change_there_and_back_runs_twice_and_then_nothing(
    finished: Path, other: Path, tmp_path: Path
) -> None:
    folder = move(finished, other, times=True)
    change(tmp_path / "changed.yaml", ["teacher", "training", "steps"], 700)
    target = "results/demo/teachers/small/manifest.json"
    changed = (target, "--configfile", str(tmp_path / "changed.yaml"))
    assert set(planned(folder, *changed)) == TEACHER
    snakemake(folder, "--profile", "profiles/local", *changed)
    assert planned(folder, *changed) == {}
    assert set(planned(folder, target)) == TEACHER
    snakemake(folder, "--profile", "profiles/local", target)
    assert planned(folder, target) == {}


def test_a_file_of_the_users_is_compared_by_content(finished: Path, other: Path, tmp_path: Path) -> None:
    folder = move(finished, other, times=True)
    words = tmp_path / "words.txt"
    words.write_text("小城\n", encoding="utf-8")
    change(tmp_path / "changed.yaml", ["records", "user_dictionary"], str(words))
    target = ("records", "--configfile", str(tmp_path / "changed.yaml"))
    snakemake(folder, "--profile", "profiles/local", *target)
    os.utime(words)
    assert planned(folder, *target) == {}
    words.write_text("小镇\n", encoding="utf-8")
    os.utime(words, (1_600_000_000,) * 2)
    assert set(planned(folder, *target)) == {"write_records", "records"}
