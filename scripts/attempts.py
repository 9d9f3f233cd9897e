"""A profile's retries are blind: they repeat a job whatever its exit code was. What only a person can mend must not be repeated.

A command that ends with a UserError notes it beside its log, under the name of the run of Snakemake that started it. The next
attempt of the same run finds the note and ends at once; another run finds a note that is not its own and starts afresh. Where a note
cannot be read or written (a folder of somebody else's), the attempt is made: that costs time and nothing else.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

RUN = "MOBILEBERT_RUN"  # names one run of Snakemake; set by workflow.jobs, inherited by the jobs


def refusal(log: Path | None) -> str | None:
    """What the attempt before this one, in the same run of Snakemake, said only a person can mend; the note of another run is removed."""
    note = _note(log)
    if note is None or not note.is_file():
        return None
    with suppress(OSError, ValueError):  # not readable; killed while it was written
        body = json.loads(note.read_bytes())
        if body["run"] == os.environ[RUN]:
            return str(body["message"])
    with suppress(OSError):
        note.unlink(missing_ok=True)
    return None


def note_refusal(log: Path | None, message: str) -> None:
    """Leave word for the attempts that follow in this run of Snakemake; nothing where the command was started by hand."""
    note = _note(log)
    if note is not None:
        with suppress(OSError):
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(json.dumps({"run": os.environ[RUN], "message": message}, ensure_ascii=False), encoding="utf-8")


def _note(log: Path | None) -> Path | None:
    return log.with_name(f"{log.name}.refused") if log is not None and os.environ.get(RUN) else None
