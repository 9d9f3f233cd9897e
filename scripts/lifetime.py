"""A command does not outlive what started it."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import threading

PR_SET_PDEATHSIG = 1  # prctl(2)


def die_with_parent() -> None:
    """A killed Snakemake must leave no orphan that writes into a folder which its successor uses.

    The kernel's signal covers our own parent, the job's shell; it is SIGTERM, upon which a training still
    saves. The thread covers Snakemake, whose process id `workflow.jobs` hands down through the environment.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if process := watched_process():
        threading.Thread(target=_die_after, args=(process,), daemon=True).start()


def watched_process() -> int:
    """The process id of the Snakemake whose job this is; 0 for a command that was started by hand."""
    watched = os.environ.get("MOBILEBERT_WATCHED_PROCESS", "")
    return int(watched) if watched.isdigit() else 0


def _die_after(process: int) -> None:
    try:
        handle = os.pidfd_open(process)
    except ProcessLookupError:
        os._exit(1)
    select.select([handle], [], [])
    os._exit(1)
