"""The one exception for what a person can mend: a setting, a file, a machine."""


class UserError(Exception):
    """Says which file, line or setting, what was found, what was expected and what to do.

    Commands print its text alone, without a traceback. Anything else that is raised is our own mistake and keeps its traceback.
    """


class PassingError(UserError):
    """A UserError that may pass by itself (a network, a service), so that another attempt is worth its while."""


class CorruptedError(PassingError):
    """Bytes that came do not match their checksum: on the way, or where they lie."""
