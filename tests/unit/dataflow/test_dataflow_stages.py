"""A list of stages, in process and in worker processes: order, errors, dead workers."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from mobilebert.dataflow import running
from mobilebert.dataflow.stages import Stage
from mobilebert.errors import PassingError, UserError
from mobilebert.settings import Beam


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Worker processes import this file."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


def _upto(count: int, _: list[int]) -> range:
    return range(count)


def _square(number: int) -> int:
    return number * number


def _write(folder: Path, number: int) -> None:
    (folder / str(number)).touch()


def _raise(folder: Path, error: UserError, number: int) -> int:
    _write(folder, number)
    if number == 3:
        raise error
    return number


def _die(folder: Path, number: int) -> None:
    """The first call writes down its process, waits for a second one, and kills itself; that one sleeps."""
    try:
        (folder / "first").symlink_to(str(os.getpid()))
    except FileExistsError:
        (folder / "second").symlink_to(str(os.getpid()))
        time.sleep(10_000)
    while not (folder / "second").is_symlink():
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_stage_begins_with_all_that_the_one_before_returned(tmp_path: Path) -> None:
    stages = [
        Stage("Square", partial(_upto, 10), _square),
        Stage("Write", sorted, partial(_write, tmp_path)),
    ]
    running.run("squares", stages, str(tmp_path), Beam())
    assert sorted(int(path.name) for path in tmp_path.iterdir()) == [number**2 for number in range(10)]


@pytest.mark.parametrize(
    ("processes", "error"),
    [
        (1, PassingError("the service is away")),
        (1, UserError("a.txt: line 3")),
        (2, UserError("a.txt: line 3")),
    ],
    ids=["passing", "user", "in a worker process"],
)
def test_a_users_error_arrives_as_it_was_raised_and_ends_the_run(
    tmp_path: Path, processes: int, error: UserError, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "calls").mkdir()
    stages = [
        Stage("Raise", partial(_upto, 8), partial(_raise, tmp_path / "calls", error)),
        Stage("Write", sorted, partial(_write, tmp_path / "later")),
    ]
    with pytest.raises(UserError) as raised:
        running.run("fail", stages, str(tmp_path), Beam(), processes)
    assert (type(raised.value), str(raised.value)) == (type(error), str(error))
    assert caplog.text == ""


def test_a_users_error_while_numbers_are_made_arrives_too(tmp_path: Path) -> None:
    def numbers(_: list[int]) -> range:
        raise UserError("nothing is left")

    stages = [Stage("Square", partial(_upto, 2), _square), Stage("Write", numbers, partial(_write, tmp_path))]
    with pytest.raises(UserError, match="nothing is left"):
        running.run("fail", stages, str(tmp_path), Beam())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # of Beam's threads
def test_a_killed_worker_ends_the_run_and_the_other_workers(tmp_path: Path) -> None:
    with pytest.raises(PassingError, match="run again"):
        running.run(
            "die", [Stage("Die", partial(_upto, 2), partial(_die, tmp_path))], str(tmp_path), Beam(), 2
        )
    workers = [int(os.readlink(tmp_path / name)) for name in ("first", "second")]
    psutil.wait_procs([psutil.Process(pid) for pid in workers if psutil.pid_exists(pid)])


def test_workers_are_as_many_as_the_text_is_worth() -> None:
    worth = running.BYTES_WORTH_A_WORKER
    assert [running.count_workers(4, size) for size in (0, worth, 2 * worth, 9 * worth)] == [1, 1, 2, 4]
