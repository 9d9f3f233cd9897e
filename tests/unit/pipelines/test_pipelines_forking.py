"""Worker processes come from a server that forks, work with Beam's own variables, and leave nothing behind."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import apache_beam as beam
import psutil
import pytest

from mobilebert.errors import PassingError
from mobilebert.pipelines import forking, running
from mobilebert.settings import Beam
from mobilebert.storage.locks import holder

# A process of a single thread, unlike that of the tests, and a pipeline in it.
PROGRAM = """
import logging, os, sys, threading, time
from functools import partial
from pathlib import Path
from mobilebert.pipelines import importing
with importing.quickly():
    import apache_beam as beam
    from mobilebert.errors import PassingError
    from mobilebert.storage.locks import locked
    from mobilebert.pipelines import forking, running
    from mobilebert.settings import Beam

def build(pipeline, commands):
    _ = pipeline | beam.Create(commands) | beam.Map(tell)

def tell(command):
    logging.warning("heard")
    sys.stdout.flush()
    time.sleep(60 if os.system(command) else 0)

def run(commands):
    running.run("tell", partial(build, commands=commands), Beam(), 2)

"""
PARENTS = "echo $PPID $(cut -d ' ' -f 4 /proc/$PPID/stat)"
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks of the process itself are made on Linux only")


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


@contextmanager
def _program(text: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    body = PROGRAM + text
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", body], env={**os.environ, **environment}, text=True, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


def _gone(pids: list[int]) -> bool:
    return not psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)], timeout=10)[1]


@linux
def test_a_process_of_one_thread_is_forked_itself_for_all_its_pipelines(tmp_path: Path) -> None:
    program = f"""
logging.basicConfig(filename="{tmp_path}/log", force=True)
print("once")
threading.Thread(target=time.sleep, args=(60,), name=forking.IDLE, daemon=True).start()
with running.ready("json", Beam(), 2):
    for turn in range(2):
        run([f"{PARENTS} > {tmp_path}/{{turn}}-{{number}}; sleep 0.1" for number in range(4)])
assert not forking._is_alone()
print("end", flush=True)
os._exit(0)
"""
    with _program(program, PYTHONUNBUFFERED="") as process:
        out, errors = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "once\nend\n"), errors
    told = [path.read_text().split() for path in tmp_path.glob("?-?")]
    workers, servers = ({int(each[place]) for each in told} for place in (0, 1))
    assert (len(told), len(workers), len(servers)) == (8, 4, 1)
    assert _gone([*workers, *servers])
    assert (tmp_path / "log").read_text().count("heard") == 8
    assert "heard" not in errors


@linux
@pytest.mark.parametrize("thread", ["idle", "at work", "of a library"])
def test_a_process_with_other_threads_is_not_forked(thread: str) -> None:
    starts = {
        "idle": "threading.Thread(target=time.sleep, args=(60,), name=forking.IDLE, daemon=True).start()",
        "at work": "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
        "of a library": "import grpc; channel = grpc.insecure_channel('localhost:1'); grpc.channel_ready_future(channel)",
    }
    program = f"""
{starts[thread]}
with forking.ahead(["json"]), forking.forked(["json"]):
    print(*Path(f"/proc/self/task/{{os.getpid()}}/children").read_text().split(), flush=True)
    sys.stdin.read()
os._exit(0)
"""
    with _program(program) as process:
        assert process.stdout is not None
        (server,) = map(int, process.stdout.readline().split())
        while not (command := psutil.Process(server).cmdline()):  # for a moment a program that begins has none
            time.sleep(0.01)
        spawned = forking.__name__ in command
        process.communicate(timeout=60)
    assert spawned == (thread != "idle")
    assert _gone([server])


@linux
@pytest.mark.parametrize("victim", ["$PPID", "$(cut -d ' ' -f 4 /proc/$PPID/stat)"], ids=["worker", "server"])
def test_a_killed_process_ends_the_pipeline_of_a_process_forked_itself(tmp_path: Path, victim: str) -> None:
    program = f"""
with running.ready("json", Beam(), 2):
    try:
        run(["{PARENTS} > {tmp_path}/told; false", "sleep 1; {PARENTS} > {tmp_path}/killed; kill -9 {victim}; false"])
    except PassingError as error:
        print(error, flush=True)
os._exit(0)
"""
    with _program(program) as process:
        out, errors = process.communicate(timeout=60)
    assert "run again" in out, errors
    assert _gone([int(pid) for path in tmp_path.iterdir() for pid in path.read_text().split()])


@linux
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_forked_itself_takes_all_with_it_and_its_lock_is_free_at_once(tmp_path: Path, ending: signal.Signals) -> None:
    program = f"""
with running.ready("json", Beam(), 2), locked(Path("{tmp_path}/locked")):
    run(["{PARENTS} > {tmp_path}/told; false"] * 2)
"""
    (tmp_path / "t").mkdir()
    with _program(program, TMPDIR=str(tmp_path / "t")) as process:
        end = time.monotonic() + 30
        while not (tmp_path / "told").exists() or not (tmp_path / "told").read_text():
            assert time.monotonic() < end
            time.sleep(0.05)
        server = int((tmp_path / "told").read_text().split()[1])
        below = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
        os.kill(server, signal.SIGSTOP)  # what it has open stays open
        process.send_signal(ending)
        process.wait(30)
        assert holder(tmp_path / "locked") == ""
        os.kill(server, signal.SIGCONT)
        assert server in below
        assert _gone(below)
        assert list((tmp_path / "t").glob("tmp*")) == []  # Beam leaves a folder of its own


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
