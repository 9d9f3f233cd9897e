"""The commands that Snakemake prints, run by hand: in their order, one after the other, in an environment
of their own.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

COMMAND = re.compile(r"^\s*(?:Shell command: )?(python -m scripts\.\w+ .*)$", re.M)


def commands(output: str) -> list[str]:
    """The shell commands of a dry run, in the order in which it lists them."""
    return COMMAND.findall(output)


def run_by_hand(lines: list[str], folder: Path) -> None:
    """Run the commands in a folder as a user would, knowing nothing but the line; those whose inputs are
    not there yet come later.
    """
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(folder)}
    waiting = list(lines)
    while waiting:
        ready = [line for line in waiting if not _missing(line, waiting, folder)]
        assert ready, f"these wait for each other: {waiting}"
        for line in ready:
            done = subprocess.run(
                ["bash", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{line}\n{done.stderr[-3000:]}"
        waiting = [line for line in waiting if line not in ready]


def contents(results: Path) -> dict[str, object]:
    """Every manifest below a results folder, by its path; timings belong to a machine, and so does what is
    made from them.
    """
    manifests = {
        path.relative_to(results).as_posix(): json.loads(path.read_text("utf-8"))
        for path in results.rglob("*manifest.json")
    }
    return {name: body for name, body in manifests.items() if not name.startswith(("latency/", "report."))}


def _missing(line: str, waiting: list[str], folder: Path) -> bool:
    """Whether another waiting command writes what this one reads."""
    outputs = {match[1] for other in waiting if other != line and (match := re.search(r"--out (\S+)", other))}
    words = set(line.split())
    return any(output in words for output in outputs)
