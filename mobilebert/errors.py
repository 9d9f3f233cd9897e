"""The one exception for what a person can mend: a setting, a file, a machine."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

ROOM = "make room and run again: what is whole stays"
LEAVE = "allow it there, or name another place, and run again"
# strerror(3), whichever library passes it on.
ADVICE = {
    "No space left on device": ROOM,
    "Disk quota exceeded": ROOM,
    "File too large": ROOM,
    "Permission denied": LEAVE,
    "Read-only file system": LEAVE,
}
_WRAPPED = re.compile(
    r"\bUserError: (.*?)\n(?:Traceback|\s*$)", re.S
)  # how TensorFlow shows an exception of Python code that it called


class UserError(Exception):
    """Says which file, line or setting, what was found, what was expected and what to do.

    Commands print its text alone, without a traceback. Anything else that is raised is our own mistake and
    keeps its traceback.
    """


class PassingError(UserError):
    """A UserError that may pass by itself (a network, a service), so that another attempt is worth its
    while.
    """


class AbsentError(UserError):
    """What a bucket was asked for is not there, or no longer."""


class CorruptedError(PassingError):
    """Bytes that came do not match their checksum: on the way, or where they lie."""


def refused(error: Exception) -> str | None:
    """What to do where a disk refuses, which is nobody's mistake in the program; None for any other error."""
    return next((advice for words, advice in ADVICE.items() if words in str(error)), None)


@contextmanager
def unwrapped() -> Iterator[None]:
    """Raise a UserError as what it is where TensorFlow, which called the code that raised it, wraps it in an
    error of its own.

    Raises:
        UserError: the one within.
    """
    try:
        yield
    except Exception as error:
        wrapped = _WRAPPED.search(str(getattr(error, "message", "")))
        if wrapped is None:
            raise
        raise UserError(wrapped[1]) from None
