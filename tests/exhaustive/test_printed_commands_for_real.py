"""A whole small run by Snakemake, and again by hand from the commands that it printed: the same manifests,
so the same bytes.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.workflow.conftest import clone, planned, snakemake
from tests.workflow.printed import commands, contents, run_by_hand

TINY = {
    "run": "tiny",
    "small_world": {"megabytes": 0.8, "questions": 60, "reviews": 80},
    "vocabulary": {"size": 1200, "sample_megabytes": 1},
    "teacher": {"min_head_lift": -1.0, "training": {"steps": 20, "warmup_steps": 5, "batch_size": 16}},
    "transfer": {"training": {"steps": 3, "batch_size": 8}},
    "pretraining": {"training": {"steps": 6, "warmup_steps": 2, "batch_size": 8}},
    "training": {"evaluate_every": 0},
    "task": {"chnsenticorp": {"training": {"epochs": 1}}, "cmrc2018": {"training": {"epochs": 1}}},
    "export": {"formats": ["transformers", "tflite", "tf1"]},
    "finetuning": {"teacher": False},
}


def test_a_run_repeated_by_hand_from_the_printed_commands(root: Path, tmp_path: Path) -> None:
    folders = [clone(root, tmp_path / name) for name in ("by snakemake", "by hand")]
    for folder in folders:
        (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY), encoding="utf-8")
    arguments = ("all", "--configfile", "tiny.yaml", "--cores", "2")
    snakemake(folders[0], "--profile", "profiles/local", *arguments)
    assert planned(folders[0], *arguments) == {}, "the real manifests show what was asked for"
    plan = snakemake(folders[1], "--profile", "profiles/local", "-n", *arguments)
    run_by_hand(commands(plan.stdout + plan.stderr), folders[1])
    assert contents(folders[1] / "results" / "tiny") == contents(folders[0] / "results" / "tiny")
