"""MediaWiki XML dumps: articles as plain text; plain XML and .bz2 can be read from any byte on.

Pages are found by their tags in the bytes, not by an XML parser, so that a range needs nothing before it and
a truncated or concatenated dump gives all its whole pages. In a .bz2 file each stream that begins in the
range is read (`members`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

from mobilebert.corpus.plan import FileRange
from mobilebert.corpus.readers import byte_lines, multistream, streams, wikitext
from mobilebert.corpus.readers.document import OVERSIZED, RawDocument, extracted, shown

_OPEN, _CLOSE = b"<page>", b"</page>"
_NAMESPACE = re.compile(r"<ns>(-?\d+)</ns>")
_ID = re.compile(r"<id>(\d+)</id>")
_TEXT = re.compile(r"<text\b[^<>]*>")


def mediawiki(file_range: FileRange) -> Iterator[RawDocument]:
    """The pages whose tag begins in the piece: articles with their text, all others with the reason why
    they are none.
    """
    chunks = multistream.chunks(file_range.path, file_range.start, file_range.end, multistream.BZ2)
    for page in _pages(
        (chunk.data, file_range.end is None or chunk.offset < file_range.end) for chunk in chunks
    ):
        yield _found(file_range, page)


def _found(file_range: FileRange, page: bytes) -> RawDocument:
    if isinstance(page, byte_lines.Truncated):
        number = _ID.search(shown(page))
        return RawDocument(
            number[1] if number else f"{file_range.ordinal:06d}", shown(page), OVERSIZED, page.size
        )
    try:
        source = page.decode()
    except UnicodeDecodeError:
        return RawDocument(f"{file_range.ordinal:06d}", shown(page), "undecodable", len(page))
    number = _ID.search(source)
    name = number[1] if number else f"{file_range.ordinal:06d}"
    title = unescape(_between(source, "<title>", "</title>"))
    body = _TEXT.search(source)
    raw = unescape(_between(source, body[0], "</text>")) if body and not body[0].endswith("/>") else ""
    reason = _not_an_article(source, title, raw)
    if reason:
        return RawDocument(name, f"{title}\n{raw}", reason)
    return extracted(RawDocument(name, raw), wikitext.plain)


def _between(source: str, begin: str, end: str) -> str:
    """What stands between two tags; in linear time whatever the page holds, unlike a regular expression."""
    start = source.find(begin)
    stop = source.find(end, start)
    return source[start + len(begin) : stop] if start >= 0 and stop >= 0 else ""


def _not_an_article(page: str, title: str, raw: str) -> str | None:
    namespace = _NAMESPACE.search(page)
    model = _between(page, "<model>", "</model>")
    if namespace and namespace[1] != "0":
        return "not_an_article"
    if "<redirect " in page or wikitext.is_redirect(raw):
        return "redirect"
    if model not in {"", "wikitext"}:
        return "not_an_article"
    if not raw.strip():
        return "empty"
    return "disambiguation" if wikitext.is_disambiguation(title, raw) else None


def _pages(chunks: Iterator[tuple[bytes, bool]]) -> Iterator[bytes]:
    """Whole pages from chunks of bytes, of one that is too large its beginning; after the last owned chunk
    only the open page is finished.

    Raises:
        Unreadable: the bytes end inside a page; the whole pages before were given.
    """
    buffer = b""
    gone = 0  # bytes of the open page that were too many
    for chunk, owned in chunks:
        if not owned and not _is_open(buffer):
            return
        known = len(buffer)
        buffer += chunk
        while True:
            start = buffer.find(_OPEN)
            if not owned and (start < 0 or start >= known):
                return
            if start < 0:
                buffer = buffer[-(len(_OPEN) - 1) :]
                break
            end = buffer.find(_CLOSE, start)
            if end < 0:
                buffer = buffer[start:]
                if len(buffer) > byte_lines.MAX_LINE_BYTES:
                    excerpt = buffer[: byte_lines.SHOWN_BYTES] + buffer[-(len(_CLOSE) - 1) :]
                    gone, buffer = gone + len(buffer) - len(excerpt), excerpt
                break
            page = buffer[start : end + len(_CLOSE)]
            size, gone = len(page) + gone, 0
            yield (
                byte_lines.Truncated.of(page[: byte_lines.SHOWN_BYTES], size)
                if size > byte_lines.MAX_LINE_BYTES
                else page
            )
            buffer = buffer[end + len(_CLOSE) :]
            known -= end + len(_CLOSE)
    if _OPEN in buffer:
        raise streams.Unreadable("the file ends inside a page")


def _is_open(buffer: bytes) -> bool:
    """Whether a page, or its tag, has begun and not ended."""
    return _OPEN in buffer or any(buffer.endswith(_OPEN[:length]) for length in range(1, len(_OPEN)))
