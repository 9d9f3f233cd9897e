"""A profile's retries are blind: they repeat a job whatever its exit code was. What only a person can mend
must not be repeated.

A command that ends with a UserError notes it beside its log. A later attempt of the same run of Snakemake
finds the note and ends at once; a first attempt removes it, and so does a command that was started by hand,
whatever attempt its printed line was. Where a note cannot be read or written (a folder
of somebody else's), the attempt is made: that costs time and nothing else.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def refusal(log: Path | None, attempt: int) -> str | None:
    """What the attempt before this one said only a person can mend.

    Args:
        log: the command's log file, if it has one.
        attempt: which attempt of one run of Snakemake this is, from 1 on; 0 for one started by hand.
    """
    note = _note(log)
    if note is None:
        return None
    with suppress(OSError, ValueError):
        if attempt > 1 and note.is_file():
            return note.read_text(encoding="utf-8")
        note.unlink(missing_ok=True)
    return None


def note_refusal(log: Path | None, attempt: int, message: str) -> None:
    """Leave word for the attempts that follow in this run of Snakemake; nothing where the command was
    started by hand.
    """
    note = _note(log)
    if note is not None and attempt:
        with suppress(OSError):
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(message, encoding="utf-8")


def _note(log: Path | None) -> Path | None:
    return log.with_name(f"{log.name}.refused") if log is not None else None
