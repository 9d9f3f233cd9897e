"""A clone of the project whose commands are stand-ins, so that the real graph runs in seconds."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

SNAKEMAKE = Path(sys.executable).with_name("snakemake")
STAND_IN = Path(__file__).with_name("stand_in.py")


def snakemake(folder: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run Snakemake in a folder, as a user types it; the output of a run that must work is shown when it
    does not.
    """
    done = subprocess.run([SNAKEMAKE, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if check and done.returncode:
        pytest.fail(
            f"snakemake {' '.join(arguments)} ended with "
            f"{done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        )
    return done


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
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=root, capture_output=True, text=True, check=True
    )
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
