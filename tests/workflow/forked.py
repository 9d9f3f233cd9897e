"""A process that has imported Snakemake and forks for every run of it, since the import takes 2 of a dry run's 2.5 CPU seconds.

It knows nothing of the project, so each run imports the `workflow/` of its own clone. A line in, a line out, both JSON:
folder, arguments, environment and the two files of the output; the exit code.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from snakemake.cli import main


def run(folder: str, arguments: list[str], environment: dict[str, str], output: list[str]) -> None:
    """Be the `snakemake` that a user starts in the folder."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, path in enumerate(["/dev/null", *output]):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), number)
    code: Any = 1
    try:
        main(arguments)
    except SystemExit as left:
        code = left.code
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    sys.path.pop(0)  # the folder of this file, where a `snakemake` has its own
    for line in sys.stdin:
        if not (child := os.fork()):
            run(*json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
