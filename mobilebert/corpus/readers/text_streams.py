"""Files of one encoding as streams of text: what parsers of tables and of JSON read."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, NamedTuple, TextIO

from mobilebert.corpus.readers import streams
from mobilebert.text import decode, whatwg

HEAD = 1 << 18  # bytes that an encoding is judged by
_MOST_BROKEN = 20  # of so many characters beyond ASCII one may be broken in UTF-8
_CHUNK, _LONGEST = 1 << 16, 1 << 20  # bytes that are decoded at once
_TAIL = 4  # bytes of the longest character, cut perhaps


class Text(NamedTuple):
    """A stream of text whose line ends are those of the file, and the file's encoding."""

    stream: TextIO
    encoding: str


@contextmanager
def open_text(path: str) -> Iterator[Text]:
    """The text of a file, compressed or not, without its byte order mark; U+FFFD for broken bytes.

    Raises:
        Unreadable: the file cannot be read (further), or its first bytes are in no encoding that is clear.
    """
    with streams.open_decompressed(path) as stream:
        head, failure = read_head(stream)
        encoding = encoding_of(head)
        if encoding is None:
            raise streams.Unreadable("its encoding is not clear; write it as UTF-8")
        if "+" in encoding:
            raise streams.Unreadable(f"it is in two encodings ({encoding}); write all of it as UTF-8")
        head = head.removeprefix("\ufeff".encode(encoding, "ignore"))
        joined = io.BufferedReader(_Joined(head, failure, stream), _CHUNK)
        if decode.is_wide(encoding):
            yield Text(io.TextIOWrapper(joined, encoding, "replace", newline=""), encoding)
            return
        mended = io.BufferedReader(_Mended(joined, encoding), _CHUNK)
        yield Text(io.TextIOWrapper(mended, "utf-8", newline=""), encoding)


def encoding_of(head: bytes) -> str | None:
    """The encoding of a file that begins so; None if it is not clear. ASCII counts as UTF-8."""
    text = codecs.getincrementaldecoder("utf-8")("replace").decode(head)
    beyond_ascii = len(text) - len(text.encode("ascii", "ignore"))
    if b"\0" not in head and _MOST_BROKEN * text.count("\ufffd") <= beyond_ascii:
        return "utf-8"
    whole = head if len(head) < HEAD else head[: head.rfind(b"\n") + 1] or head[:-_TAIL]
    encoding = decode.wide_encoding(head) or decode.decode(whole).encoding
    return "utf-8" if encoding == "ascii" else encoding


def read_head(stream: BinaryIO) -> tuple[bytes, Exception | None]:
    """The first `HEAD` bytes of a stream, or those before what cannot be read, and why it cannot."""
    head = b""
    read = getattr(stream, "read1", stream.read)
    try:
        while len(head) < HEAD and (data := read(HEAD - len(head))):
            head += data
    except (streams.Unreadable, *streams.FAILURES) as error:
        return head, error
    return head, None


class _Joined(streams.FilledStream):
    """The head that was read, and the rest of the stream."""

    def __init__(self, head: bytes, failure: Exception | None, stream: BinaryIO) -> None:
        self._head = head
        self._failure = failure
        self._stream = stream

    def _next(self) -> bytes:
        head, self._head = self._head, b""
        if not head and self._failure:
            raise self._failure
        return head or self._stream.read(_CHUNK)


class _Mended(streams.FilledStream):
    """A stream in `encoding` as sound UTF-8: bad bytes are read as in files of text (`whatwg`)."""

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self._stream = stream
        self._encoding = encoding
        self._pending = b""

    def _next(self) -> bytes:
        end = 0
        while not end and (data := self._stream.read(_CHUNK)):
            self._pending += data
            # Line ends and marks of quotation are no bytes of longer characters, and what is out of step is
            # in step again after them.
            end = max(self._pending.rfind(b"\n"), self._pending.rfind(b'"')) + 1
            end = end or (len(self._pending) if len(self._pending) > _LONGEST else 0)
        data, self._pending = self._pending[: end or None], self._pending[end:] if end else b""
        text = whatwg.decode(data, self._encoding)
        return whatwg.resynchronise(text, data, self._encoding).encode("utf-8", "replace")
