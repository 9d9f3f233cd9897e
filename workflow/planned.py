"""The trainings that given settings ask for, exactly as Snakemake would start them."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence

from mobilebert.errors import UserError
from mobilebert.training.listing import Wanted
from mobilebert.training.state import described

_COMMAND = re.compile(r"^\s*Shell command: python -m scripts\.(\w+) (.*--state .*)$", re.M)


def trainings(arguments: Sequence[str], target: str = "all") -> list[Wanted]:
    """The trainings of a dry run of the target and everything before it, whether done or not.

    Args:
        arguments: for Snakemake: `--configfile presets/base-f4.yaml`, `--config ...`.
        target: a named target, or a path.

    Raises:
        UserError: Snakemake refuses the settings; its own words.
    """
    asked = [sys.executable, "-m", "snakemake", "--profile", "profiles/local", "--dry-run", "--forceall", *arguments, "--", target]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"the settings ask for no run:\n{(done.stdout + done.stderr).strip()[-2000:]}")
    found = []
    for command, line in _COMMAND.findall(done.stdout + done.stderr):
        options = importlib.import_module(f"scripts.{command}").parser().parse_args(shlex.split(line))
        found.append(Wanted(command, described(options), str(options.state)))
    return found
