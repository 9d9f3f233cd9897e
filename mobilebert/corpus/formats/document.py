"""What a reader gives for one document."""

from __future__ import annotations

from typing import NamedTuple


class Found(NamedTuple):
    """A document as it was found: its raw text; or a reason and what to show of it instead of text.

    `name` is the document's own id if it has one, else its place in the sources (`ordinal-offset-number`).
    """

    name: str
    text: str
    reason: str | None = None
    size: int | None = None  # bytes, where they are not those of `text`


def shown(data: bytes, most: int = 10_000) -> str:
    """Undecodable bytes as a person can look at them: what is valid UTF-8 as text, the rest as \\xNN."""
    return data[:most].decode("utf-8", "backslashreplace")
