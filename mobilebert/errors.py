"""The one exception for what a person can mend: a setting, a file, a machine."""

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


class UserError(Exception):
    """Says which file, line or setting, what was found, what was expected and what to do.

    Commands print its text alone, without a traceback. Anything else that is raised is our own mistake and keeps its traceback.
    """


class PassingError(UserError):
    """A UserError that may pass by itself (a network, a service), so that another attempt is worth its while."""


class CorruptedError(PassingError):
    """Bytes that came do not match their checksum: on the way, or where they lie."""


def refused(error: Exception) -> str | None:
    """What to do where a disk refuses, which is nobody's mistake in the program; None for any other error."""
    return next((advice for words, advice in ADVICE.items() if words in str(error)), None)
