"""Worker processes come from a server that forks, work with Beam's own variables, and leave nothing behind."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from functools import partial
from pathlib import Path

import apache_beam as beam
import psutil
import pytest

from mobilebert.errors import PassingError
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


@pytest.mark.parametrize("victim", ["$PPID", "$(cut -d ' ' -f 4 /proc/$PPID/stat)"], ids=["worker", "server"])
def test_a_killed_process_ends_the_pipeline_with_a_message_and_all_the_others(tmp_path: Path, victim: str) -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    sleeping = [f"echo $PPID > {tmp_path}/{number}; sleep 60" for number in range(2)]
    with pytest.raises(PassingError, match="run again"):
        running.run("die", partial(_build, commands=[*sleeping, f"sleep 1; kill -9 {victim}; sleep 60"]), Beam(), 3)
    told = [psutil.Process(int(path.read_text())) for path in tmp_path.iterdir() if psutil.pid_exists(int(path.read_text()))]
    left = [child for child in psutil.Process().children(recursive=True) if child.pid not in before]
    assert not psutil.wait_procs([*left, *told], timeout=5)[1]


def test_a_killed_parent_leaves_no_process_and_no_socket_however_deep_its_folder(tmp_path: Path) -> None:
    deep = tmp_path / ("deep" * 25)
    deep.mkdir()
    program = (
        "import sys; from mobilebert.pipelines import forking\n"
        "with forking.forked(['json']) as command: print(command, flush=True); sys.stdin.read()"
    )
    for folder in (deep, tmp_path / "t"):
        folder.mkdir(exist_ok=True)
        with subprocess.Popen(
            [sys.executable, "-c", program],
            env={**os.environ, "TMPDIR": str(folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as parent:
            assert parent.stdout is not None
            place = Path(shlex.split(parent.stdout.readline())[-1])
            servers = psutil.Process(parent.pid).children()
            assert place.is_socket()
            parent.kill()
        assert not psutil.wait_procs(servers, timeout=20)[1]
        assert not place.parent.exists()
