"""JSON values in a stream of text, one by one: the elements of an array, or one value after another.

The standard library's decoder, since a streaming parser (yajl, by ijson) gives up the rest of a file at what
Python itself writes: NaN, whole numbers of over 64 bits, control characters in strings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, TextIO

from mobilebert.corpus.readers import byte_lines, streams

_READ = 1 << 18  # characters
_BETWEEN = re.compile(r"[\s,]*")
_NEXT_OBJECT = re.compile(r"\}\s*,?\s*(?=\{)")
_KEY = re.compile(r'\s*[,{]?\s*("(?:[^"\\]|\\.)*")\s*:\s*')
_LONGEST_TOKEN = 16  # characters of `-Infinity`, an escape, or the like, cut perhaps
_MAX_CHARACTERS = byte_lines.MAX_LINE_BYTES // 3
_TOO_LONG = (
    f"a JSON value of over {_MAX_CHARACTERS // 1_000_000} million characters that is no array of documents; "
    "write a document a line (JSON lines: jq -c '.[]')"
)


class Broken(str):
    """The beginning of what is no JSON."""


class TooLong(Exception):
    """A value of more characters than are held."""


class Values:
    """The values of a stream with whether each is an element of a top-level array."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._buffer, self._at = "", 0  # what is decoded next begins at `_at`
        self._ended = False
        self._decoder = json.JSONDecoder(strict=False)

    def __iter__(self) -> Iterator[tuple[Any, bool]]:
        """Each value; `Broken` for what is none.

        Raises:
            Unreadable: the text ends inside a value or before its array does, or a value is too long; the
                values before were given.
        """
        while self._skip():
            if self._buffer[self._at] == "[":
                self._at += 1
                yield from ((value, True) for value in self._elements())
                continue
            try:
                yield self._value(), False
            except TooLong:
                yield from ((value, True) for value in self._members())
                return

    def _skip(self) -> bool:
        """Go over what stands between values; whether there is more."""
        while True:
            self._at = _BETWEEN.match(self._buffer, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._buffer) or not self._more():
                return self._at < len(self._buffer)

    def _more(self) -> bool:
        """Read on, as much again as there is, so that a long value is not tried too often."""
        self._buffer, self._at = self._buffer[self._at :], 0
        data = "" if self._ended else self._stream.read(max(_READ, len(self._buffer)))
        self._ended = not data
        self._buffer += data
        return bool(data)

    def _elements(self) -> Iterator[Any]:
        while self._skip():
            if self._buffer[self._at] == "]":
                self._at += 1
                return
            try:
                yield self._value()
            except TooLong:
                raise streams.Unreadable(_TOO_LONG) from None
        raise streams.Unreadable("the file ends before its JSON array does")

    def _value(self) -> Any:
        while True:
            try:
                value, self._at = self._decoder.raw_decode(self._buffer, self._at)
                return value
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated") or error.pos >= len(self._buffer) - _LONGEST_TOKEN
                if not cut:
                    return self._broken(error)
                if len(self._buffer) - self._at > _MAX_CHARACTERS:
                    raise TooLong from None
                if not self._more():
                    raise streams.Unreadable("the file ends inside a JSON value") from None
            except RecursionError:
                raise streams.Unreadable("a JSON value of too many levels") from None

    def _broken(self, error: json.JSONDecodeError) -> Broken:
        """What cannot be decoded, up to the next object, from which it goes on."""
        start = max(0, error.pos - 1) - self._at
        while not (boundary := _NEXT_OBJECT.search(self._buffer, self._at + start)):
            if len(self._buffer) - self._at > _MAX_CHARACTERS or not self._more():
                raise streams.Unreadable(f"no JSON ({error.msg}), and no further object after it")
        shown = Broken(self._buffer[self._at : min(boundary.end(), self._at + byte_lines.SHOWN_BYTES)])
        self._at = boundary.end()
        return shown

    def _members(self) -> Iterator[Any]:
        """The elements of the first array among the members of an object that is too long to be held."""
        start = self._at
        while member := _KEY.match(self._buffer, start):
            if self._buffer[member.end() : member.end() + 1] == "[":
                self._at = member.end() + 1
                yield from self._elements()
                return
            try:
                start = self._decoder.raw_decode(self._buffer, member.end())[1]
            except json.JSONDecodeError:
                break
        raise streams.Unreadable(_TOO_LONG)
