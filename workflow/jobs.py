"""What every job's shell needs, and what a run says when it starts, ends or fails."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any


def shell_prefix(repository: str) -> str:
    """Shell text before every command: our packages, this Python, the process that the job must not outlive.

    It shapes no result: a printed command does the same work without it, in this repository and Python.
    """
    package, programs = shlex.quote(repository), shlex.quote(str(Path(sys.executable).parent))
    return (
        f'export PYTHONPATH={package} PYTHONNOUSERSITE=1 PATH={programs}:"$PATH"'
        ' MOBILEBERT_WATCHED_PROCESS="${{MOBILEBERT_WATCHED_PROCESS:-$PPID}}"; '
    )


def attempt(wildcards: Any, attempt: int) -> int:
    """The number of a job's attempt within one run of Snakemake, from 1 on, for `resources`."""
    return attempt


def uncommitted_warning(repository: str, executor: str) -> str:
    """A warning where other machines would run without the changes that lie here: they receive files known
    to git only.
    """
    if executor in {"local", "dryrun", "touch"}:
        return ""
    status = subprocess.run(
        ["git", "status", "--porcelain"], cwd=repository, capture_output=True, text=True, check=False
    )
    if not status.stdout.strip():
        return ""
    return (
        f"WARNING: uncommitted changes. The {executor} executor ships only what git tracks; commit new "
        f"files before they are needed there."
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
        "Start the same command again to go on: trainings resume from their last checkpoint, cleaning and "
        "records from their last block.\n"
        "If Snakemake says that the folder is locked, because it was killed, run once with --unlock first."
    )
