"""What every job's shell needs, and what a run says when it starts, ends or fails."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import uuid
from pathlib import Path

from mobilebert.settings import Settings


def shell_prefix(repository: str, settings: Settings, bucket: str) -> str:
    """Shell text before every command: our packages, this Python, and the process that the job must not outlive.

    The time between checkpoints, where copies of checkpoints go (`bucket`), what is done about a step
    that is not finite (it stops a training, or is left out where it would have stopped it) and where Beam runs (the section `beam` as
    JSON) go this way because they change no result: as params, a change of them would rerun the work.
    """
    runner = shlex.quote(settings.beam.model_dump_json()).replace("{", "{{").replace("}", "}}")  # Snakemake formats the prefix
    quoted = [shlex.quote(place) for place in (repository, str(Path(sys.executable).parent), bucket)]
    return (
        f'export PYTHONPATH={quoted[0]} PYTHONNOUSERSITE=1 PATH={quoted[1]}:"$PATH"'
        f" MOBILEBERT_CHECKPOINT_SECONDS={settings.checkpoint_seconds:g}"
        f" MOBILEBERT_STATE_BUCKET={quoted[2]} MOBILEBERT_ON_NONFINITE={settings.on_nonfinite} MOBILEBERT_BEAM={runner}"
        ' MOBILEBERT_WATCHED_PROCESS="${{MOBILEBERT_WATCHED_PROCESS:-$PPID}}"; '
    )


def name_run() -> None:
    """Name this run of Snakemake for `scripts.attempts`: jobs inherit the environment, also those that Slurm starts elsewhere."""
    os.environ.setdefault("MOBILEBERT_RUN", uuid.uuid4().hex)


def uncommitted_warning(repository: str, executor: str) -> str:
    """A warning where other machines would run without the changes that lie here: they receive files known to git only."""
    if executor in {"local", "dryrun", "touch"}:
        return ""
    status = subprocess.run(["git", "status", "--porcelain"], cwd=repository, capture_output=True, text=True, check=False)
    if not status.stdout.strip():
        return ""
    return (
        f"WARNING: uncommitted changes. The {executor} executor ships only what git tracks; commit new files before they are needed there."
    )


def closing_message(results: str) -> str:
    """What a finished run tells the user to look at."""
    report = f"{results}/report.html"
    looked_at = f"Report: {report}" if Path(report).is_file() else f"Results: {results}"
    return f"Done. {looked_at}"


def failure_message(log: str | list[str]) -> str:
    """What to do after a failure; `log` is Snakemake's own."""
    all_of_it = log if isinstance(log, str) else ", ".join(log)
    return (
        f"The run failed. The failed rule, its error and its log stand above (all of it: {all_of_it}).\n"
        "Start the same command again to go on: trainings resume from their last checkpoint, cleaning and records from their last block.\n"
        "If Snakemake says that the folder is locked, because it was killed, run once with --unlock first."
    )
