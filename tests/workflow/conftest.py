"""A clone of the project whose commands are stand-ins, so that the real graph runs in seconds."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import yaml

SNAKEMAKE = Path(sys.executable).with_name("snakemake")
FORKED = Path(__file__).with_name("forked.py")
STAND_IN = Path(__file__).with_name("stand_in.py")


def snakemake(folder: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run Snakemake in a folder, as a user types it; the output of a run that must work is shown when it does not."""
    server = fork_server()
    assert server.stdin is not None
    assert server.stdout is not None
    with tempfile.TemporaryDirectory() as output:
        files = [f"{output}/stdout", f"{output}/stderr"]
        print(json.dumps([str(folder), arguments, dict(os.environ), files]), file=server.stdin, flush=True)
        code = int(server.stdout.readline())
        done = subprocess.CompletedProcess(arguments, code, *(Path(file).read_text("utf-8") for file in files))
    if check and done.returncode:
        pytest.fail(f"snakemake {' '.join(arguments)} ended with {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
    return done


@functools.cache
def fork_server() -> subprocess.Popen[str]:
    """The process that starts every Snakemake; it ends when its input does."""
    return subprocess.Popen([sys.executable, FORKED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.fixture(scope="session", autouse=True)
def _no_process_stays() -> Iterator[None]:
    yield
    if fork_server.cache_info().currsize:
        with fork_server():
            pass


def planned(folder: Path, *arguments: str, profile: str = "profiles/local") -> dict[str, int]:
    """The jobs that a dry run announces: rule -> number."""
    output = snakemake(folder, "--profile", profile, "-n", *arguments)
    text = output.stdout + output.stderr
    table = re.search(r"^Job stats:\n.*\n[- ]+\n((?:.+\n)+)", text, re.M)
    if table is None:
        assert "Nothing to be done" in text, text
        return {}
    rows = (line.split() for line in table[1].splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[0] != "total"}


def clone(root: Path, folder: Path) -> Path:
    """Copy what git knows (and new files that it does not ignore), as a fresh clone would have it."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=root, capture_output=True, text=True, check=True)
    for name in sorted(set(listed.stdout.splitlines())):
        source, target = root / name, folder / name
        if source.is_symlink() or source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    return folder


def change(file: Path, path: Sequence[str], value: object) -> None:
    """Write a configuration file that changes one setting."""
    nested: object = value
    for key in reversed(path):
        nested = {key: nested}
    file.write_text(yaml.safe_dump(nested), encoding="utf-8")


def stand_in_commands(folder: Path) -> None:
    """Put stand-ins in the place of a clone's commands."""
    for rules in (folder / "rules").glob("*.smk"):
        for command in re.findall(r"python -m scripts\.(\w+)", rules.read_text("utf-8")):
            shutil.copy(STAND_IN, folder / "scripts" / f"{command}.py")


@pytest.fixture(scope="session")
def copied(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh clone."""
    return clone(root, tmp_path_factory.mktemp("clone"))


@pytest.fixture(scope="session")
def finished(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which `all` ran to its end, with stand-ins for the commands."""
    folder = clone(root, tmp_path_factory.mktemp("finished"))
    stand_in_commands(folder)
    snakemake(folder, "--profile", "profiles/local", "all")
    return folder
