"""Commands of scripts/ as jobs that are kept: named by a digest of all that shapes them, run several at a
time, each in one thread.

What was made once is found again by its name, so a run that was broken off goes on, a changed setting makes
anew what follows from it, and a teacher serves every later run. The program's own code is no part of a name
(as for Snakemake in the profiles); `PROGRAM` is.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from concurrent import futures
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mobilebert.storage import artifacts

ROOT = Path(__file__).resolve().parents[2]
MASKS_SEED = 20  # of the held-out masks: the same for every model
DIGITS = 12
HOW = [
    "--checkpoint-seconds",
    "120",
    "--on-nonfinite",
    "skip",
]  # how trainings run; shapes nothing in one that meets only numbers
# what `training.nonfinite` says at the end, and of no step that is merely left out
GAVE_UP = "steps before it: lower the learning rate"
# Script -> number of what it computes, 1 where nothing stands. Raise it with a change after which equal
# settings give other models, data or scores: what was kept of that script, and what follows from it, is made
# anew then.
PROGRAM: Mapping[str, int] = {}


@dataclass(frozen=True, eq=False)
class Job:
    """One command and what it reads.

    Attributes:
        script: of scripts/.
        name: the beginning of its folder's name, for people.
        settings: what it is told.
        arguments: its other options; an artifact is named by the job that makes it, None stands for an option
            without value.
        given: files outside that are read, whose content belongs to the name.
        trains: whether its steps are to be counted.
        threads: for its work; no part of its name.
    """

    script: str
    name: str
    settings: Mapping[str, Any]
    arguments: Mapping[str, str | Job | None]
    input_files: tuple[Path, ...] = ()
    trains: bool = False
    threads: int = 1

    @cached_property  # of many jobs that share the data's: files are read once
    def key(self) -> str:
        """The digest of everything that shapes the result."""
        arguments = {
            flag: value.key if isinstance(value, Job) else value for flag, value in self.arguments.items()
        }
        body: list[Any] = [
            self.script,
            dict(self.settings),
            arguments,
            [artifacts.sha256(path) for path in self.input_files],
        ]
        if (number := PROGRAM.get(self.script, 1)) > 1:
            body.append(number)
        return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:DIGITS]

    @property
    def needs(self) -> list[Job]:
        """The jobs whose artifacts it reads."""
        return [value for value in self.arguments.values() if isinstance(value, Job)]


class Diverged(RuntimeError):
    """A training that met numbers that are not finite, step after step: an outcome of its rate, not of the
    benchmark.
    """


class Kept:
    """The folder where jobs leave their artifacts, logs and figures."""

    def __init__(self, folder: Path) -> None:
        """Make the folder."""
        self.folder = folder
        (folder / "logs").mkdir(parents=True, exist_ok=True)

    def folder_of(self, job: Job) -> Path:
        """Where a job's artifact lies."""
        return self.folder / f"{job.name}-{job.key}"

    def figures(self, job: Job) -> dict[str, Any] | None:
        """What a training cost, or None where it has not ended."""
        return json.loads(self.figures_file(job).read_text("utf-8")) if self.done(job) else None

    def figures_file(self, job: Job) -> Path:
        """The file of its figures."""
        return self.folder / f"{self.folder_of(job).name}.json"  # no with_suffix: a name may hold a point

    def done(self, job: Job) -> bool:
        """Whether all that it makes is there."""
        return (self.folder_of(job) / artifacts.MANIFEST).is_file() and (
            not job.trains or self.figures_file(job).is_file()
        )

    def command(self, job: Job) -> list[str]:
        """Its command line."""
        folder = self.folder_of(job)
        arguments = ["--settings", json.dumps(job.settings, ensure_ascii=False, sort_keys=True)]
        for flag, value in job.arguments.items():
            arguments += [
                f"--{flag}",
                *([] if value is None else [str(self.folder_of(value)) if isinstance(value, Job) else value]),
            ]
        where = [
            "--out",
            str(folder),
            "--log",
            str(self.folder / "logs" / f"{folder.name}.log"),
            "--threads",
            str(job.threads),
        ]
        if not job.trains:
            return [sys.executable, "-m", f"scripts.{job.script}", *arguments, *where]
        wrapped = ["benchmarks.quality.one_job", str(self.figures_file(job)), str(MASKS_SEED), job.script]
        return [
            sys.executable,
            "-m",
            *wrapped,
            *arguments,
            *where,
            "--state",
            str(self.folder / "state"),
            *HOW,
        ]

    def run(self, job: Job) -> None:
        """Run one job.

        Raises:
            Diverged: its loss or gradients were no numbers any more.
            RuntimeError: it failed otherwise; with the end of what it said.
        """
        threads = {name: str(job.threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
        environment = (
            os.environ
            | threads
            | {"TF_CPP_MIN_LOG_LEVEL": "2", "MOBILEBERT_WATCHED_PROCESS": str(os.getpid())}
        )
        start = time.monotonic()
        done = subprocess.run(
            self.command(job),
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode:
            kind = Diverged if job.trains and GAVE_UP in done.stderr[-3000:] else RuntimeError
            raise kind(f"{self.folder_of(job).name} failed:\n{done.stderr[-3000:]}")
        print(f"  {time.monotonic() - start:5.0f} s  {self.folder_of(job).name}", flush=True)


def run_all(kept: Kept, jobs: Iterable[Job], cores: int) -> None:
    """Run what is not there yet, and what that needs; in the given order as far as cores and needs allow.

    Trainings that diverge are told, and what needs them is left out; they are tried again by the next run.

    Raises:
        RuntimeError: a job failed otherwise; the others that were running are waited for.
    """
    waiting = [job for job in unique(jobs) if not kept.done(job)]
    running: dict[futures.Future[None], Job] = {}
    failed: list[BaseException] = []
    with futures.ThreadPoolExecutor(max(1, cores)) as pool:
        while running or (waiting and not failed):
            free = cores - sum(job.threads for job in running.values())
            for job in [] if failed else list(waiting):
                if min(job.threads, cores) <= free and all(kept.done(need) for need in job.needs):
                    waiting.remove(job)
                    running[pool.submit(kept.run, job)] = job
                    free -= job.threads
            for ended in futures.wait(running, return_when=futures.FIRST_COMPLETED).done:
                job = running.pop(ended)
                error = ended.exception()
                if isinstance(error, Diverged):
                    print(f"  diverged: {kept.folder_of(job).name}", flush=True)
                    waiting = [
                        other
                        for other in waiting
                        if job.key not in {need.key for need in unique(other.needs)}
                    ]
                elif error is not None:
                    failed.append(error)
    if failed:
        raise failed[0]


def unique(jobs: Iterable[Job]) -> list[Job]:
    """The jobs and all that they need, each once, needs first."""
    by_key: dict[str, Job] = {}
    for job in jobs:
        for one in [*unique(job.needs), job]:
            by_key.setdefault(one.key, one)
    return list(by_key.values())
