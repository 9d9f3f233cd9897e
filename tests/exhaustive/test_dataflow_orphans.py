"""What is left of a run whose own process is killed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil

from mobilebert.storage.locks import holder

PROGRAM = """
import os, sys, time
from pathlib import Path
from mobilebert.dataflow import running
from mobilebert.dataflow.stages import Stage
from mobilebert.storage.locks import locked
from mobilebert.settings import Beam

folder = Path(sys.argv[1])

def sleep(number):
    (folder / f"worker-{number}").symlink_to(str(os.getpid()))
    time.sleep(10_000)

with locked(folder / "locked"):
    running.run("sleep", [Stage("Sleep", lambda _: range(2), sleep)], str(folder), Beam(), 2)
"""


def test_a_killed_run_leaves_no_worker_and_no_lock(tmp_path: Path, root: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path)], cwd=root) as process:
        while len(links := list(tmp_path.glob("worker-*"))) < 2:
            assert process.poll() is None
            time.sleep(0.1)
        workers = [psutil.Process(int(link.readlink().name)) for link in links]
        process.kill()
    assert holder(tmp_path / "locked") == ""
    psutil.wait_procs(workers)
