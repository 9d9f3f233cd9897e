"""Profiles repeat what failed; what only a person can mend fails at once from the second attempt on, what
may pass is tried anew.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import attempts
from tests.workflow.conftest import clone, snakemake

# Fails as the file says, and counts how often it got as far as its work.
COMMAND = """
from pathlib import Path
from mobilebert.errors import {error}
from scripts.command import parser, run

def main(options):
    with Path("worked").open("a") as stream:
        stream.write("x")
    raise {error}("sources: no file at corpus/*.txt")

run(main, parser("A command that fails."))
"""


@pytest.mark.parametrize(
    ("error", "worked", "said", "runs"),
    [("UserError", 1, 3, 2), ("PassingError", 4, 0, 1)],
)
def test_a_mistake_of_the_user_is_not_worked_on_twice(
    root: Path, tmp_path: Path, error: str, worked: int, said: int, runs: int
) -> None:
    folder = clone(root, tmp_path)
    (folder / "scripts" / "make_small_world.py").write_text(COMMAND.format(error=error), encoding="utf-8")
    for run in range(1, runs + 1):
        done = snakemake(folder, "--profile", "tpu", "results/demo/small_world/manifest.json", check=False)
        assert done.returncode != 0
        assert len((folder / "worked").read_text()) == run * worked, "another run of Snakemake tries again"
        lines = [
            line
            for line in (done.stdout + done.stderr).splitlines()
            if "not tried again" in line and " ERROR " in line
        ]
        assert all(
            line.endswith("only a change can mend it: sources: no file at corpus/*.txt") for line in lines
        )
        assert len(lines) >= said


@pytest.mark.parametrize(
    ("meets", "said", "advice"),
    [
        ('open("/dev/full", "w")', "No space left on device", "make room and run again: what is whole stays"),
        # As on a disk that takes no file of over 4 GB.
        (
            "(resource.setrlimit(resource.RLIMIT_FSIZE, (9999, 9999)), options.out.open('w'))[1]",
            "File too large",
            "make room and run again: what is whole stays",
        ),
        (
            '(_ for _ in ()).throw(PermissionError(13, "Permission denied", "x"))',  # root is denied nothing
            "Permission denied: 'x'",
            "allow it there, or name another place, and run again",
        ),
    ],
)
def test_a_disk_that_refuses_is_said_and_is_no_mistake_of_the_program(
    root: Path, tmp_path: Path, meets: str, said: str, advice: str
) -> None:
    program = tmp_path / "fills.py"
    work = f'def main(options):\n    with {meets} as stream:\n        stream.write("x" * 10_000)\n'
    program.write_text(
        f'import resource\nfrom scripts.command import parser, run\n\n{work}\nrun(main, parser("It fills '
        f'the disk."))\n'
    )
    command = [sys.executable, str(program), "--out", str(tmp_path / "out"), "--log", str(tmp_path / "log")]
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": str(root)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.endswith(f"{said}, while {tmp_path / 'out'} was made; {advice}")
    assert line in (tmp_path / "log").read_text()


def test_a_log_on_the_full_disk_gives_no_traceback_for_each_line(root: Path, tmp_path: Path) -> None:
    program = tmp_path / "fails.py"
    work = 'def main(options):\n    raise RuntimeError("events\\n\\tNo space left on device")\n'
    program.write_text(
        f'from scripts.command import parser, run\n\n{work}\nrun(main, parser("Its libraries met a full '
        f'disk."))\n'
    )
    command = [sys.executable, str(program), "--out", str(tmp_path / "out"), "--log", "/dev/full"]
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": str(root)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert " ERROR events No space left on device, while " in line


@pytest.mark.parametrize(("watched", "code"), [(True, 1), (False, 0)], ids=["a job", "by hand"])
def test_a_printed_command_of_a_later_attempt_runs_by_hand(
    root: Path, tmp_path: Path, watched: bool, code: int
) -> None:
    program, log = tmp_path / "works.py", tmp_path / "log"
    work = "lambda options: options.out.touch()"
    program.write_text(f'from scripts.command import parser, run\n\nrun({work}, parser("It works."))\n')
    attempts.note_refusal(log, 1, "sources: no file at corpus/*.txt")
    options = ["--out", str(tmp_path / "out"), "--log", str(log), "--attempt", "2"]
    command = [sys.executable, str(program), *options]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(root)}
    environment |= {"MOBILEBERT_WATCHED_PROCESS": str(os.getpid())} if watched else {}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert (tmp_path / "out").exists() != watched


def test_a_note_is_believed_by_the_same_run_only(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "rule.log"
    attempts.note_refusal(log, 0, "by hand")
    assert attempts.refusal(log, 0) is None
    assert not log.parent.exists(), "a command started by hand leaves no note"
    attempts.note_refusal(log, 1, "不行")
    assert attempts.refusal(log, 2) == "不行"
    assert attempts.refusal(log, 1) is None, "a first attempt is of another run"
    assert list(log.parent.iterdir()) == []
    note = log.with_name("rule.log.refused")
    note.mkdir()
    attempts.note_refusal(log, 1, "where nothing can be written")
    assert attempts.refusal(log, 2) is None
