"""Commands measured from outside: CPU seconds of the whole process tree, pinned to given cores."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

PR_SET_CHILD_SUBREAPER = (
    36  # prctl(2): what our commands leave behind becomes our child, so that its seconds are counted too
)

Measured = dict[str, Any]


def run(
    command: Sequence[str], cores: Sequence[int], folder: Path, environment: Mapping[str, str] | None = None
) -> Measured:
    """Run a command on these cores alone; its last line is JSON.

    Returns:
        that JSON and `tree`: user and system seconds of all its processes, `wall`: seconds from start to end.

    Raises:
        RuntimeError: it failed; with the end of what it said.
    """
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    start, before = time.monotonic(), _children()
    threads = {
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    with (folder / "said").open("w+b") as errors:
        done = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, **threads, **(environment or {})},
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
        out, _ = done.communicate()
        wall = time.monotonic() - start
        _reap()
        if done.returncode:
            errors.seek(0)
            raise RuntimeError(f"{' '.join(command)}:\n{errors.read()[-3000:].decode('utf-8', 'replace')}")
    return json.loads(out.decode().strip().split("\n")[-1]) | {"tree": _children() - before, "wall": wall}


def in_turns(arms: Mapping[str, Callable[[], Measured]], repeats: int) -> dict[str, list[Measured]]:
    """Each arm once, then each again: what disturbs the machine for a while disturbs all of them."""
    measured: dict[str, list[Measured]] = {name: [] for name in arms}
    for turn in range(repeats):
        for name, arm in arms.items():
            measured[name].append(arm())
            print(
                (
                    f"  {turn + 1}/{repeats} {name}: {measured[name][-1]['tree']:.1f} CPU s, "
                    f"{measured[name][-1]['wall']:.1f} s"
                ),
                flush=True,
            )
    return measured


def median(runs: Sequence[Measured], key: str) -> float:
    """The median of one figure over the runs."""
    return statistics.median(run[key] for run in runs)


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _reap() -> None:
    """Wait for processes that the command left behind; ten seconds at most."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.05)
        except ChildProcessError:
            return
