"""Worker processes come from a server that forks, work with Beam's own variables, and leave nothing behind."""

from __future__ import annotations

import os
import subprocess
from functools import partial
from pathlib import Path

import apache_beam as beam
import psutil

from mobilebert.pipelines import forking, running
from mobilebert.settings import Beam


def _build(pipeline: beam.Pipeline, commands: list[str]) -> None:
    _ = pipeline | beam.Create(commands) | beam.Map(os.system)


def test_workers_are_children_of_one_server_and_nothing_is_left(tmp_path: Path) -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    told = "echo $PPID $(cut -d ' ' -f 4 /proc/$PPID/stat)"
    running.run("tell", partial(_build, commands=[f"{told} > {tmp_path}/{number}; sleep 0.1" for number in range(9)]), Beam(), 3)
    found = [path.read_text().split() for path in tmp_path.iterdir()]
    workers, servers = ({int(each[place]) for each in found} for place in (0, 1))
    assert (len(found), len(workers), len(servers)) == (9, 3, 1)
    assert os.getpid() not in workers | servers
    left = [child for child in psutil.Process().children(recursive=True) if child.pid not in before]
    assert not psutil.wait_procs(left, timeout=5)[1]


def test_the_command_fails_when_its_worker_does(tmp_path: Path) -> None:
    root = str(Path(__file__).resolve().parents[3])
    with forking.forked(["json"]) as command:
        environment = {**os.environ, "PYTHONPATH": root, "CONTROL_API_SERVICE_DESCRIPTOR": "not a descriptor"}
        assert subprocess.run(command, shell=True, env=environment, timeout=60).returncode == 1
    gone = subprocess.run(command, shell=True, env=environment, timeout=60, capture_output=True)
    assert gone.returncode == 1
