"""The printed command is the command that ran: nothing shapes a job that is not in its command line."""

from __future__ import annotations

from pathlib import Path

from tests.workflow.conftest import clone, snakemake, stand_in_commands
from tests.workflow.printed import commands, contents, run_by_hand


def test_printed_commands_run_by_hand_do_the_same_work(root: Path, finished: Path, tmp_path: Path) -> None:
    folder = clone(root, tmp_path / "by hand")
    stand_in_commands(folder)
    plan = snakemake(folder, "--profile", "profiles/local", "-n", "all")
    run_by_hand(commands(plan.stdout + plan.stderr), folder)
    assert contents(folder / "results" / "demo") == contents(finished / "results" / "demo")


def test_a_command_line_says_where_and_how_it_works(copied: Path) -> None:
    beam = "beam={runner: flink, pipeline_options: [--flink_version=2.0], work: 'gs://bucket/w'}"
    where = ("--config", "checkpoint_seconds=9", "state_bucket=gs://bucket/p", "on_nonfinite=skip", beam)
    plan = snakemake(copied, "--profile", "profiles/local", "-n", "student", *where)
    lines = {line.split()[2]: line for line in commands(plan.stdout + plan.stderr)}
    trains = lines["scripts.pretrain_student"]
    assert "--state-bucket gs://bucket/p/demo --checkpoint-seconds 9 --on-nonfinite skip" in trains
    assert '"runner": "flink"' in lines["scripts.clean_corpus"]
    assert not [name for name, line in lines.items() if "MOBILEBERT_" in line]
