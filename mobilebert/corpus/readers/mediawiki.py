"""MediaWiki XML dumps: articles as plain text; plain XML and .bz2 can be read from any byte on.

Pages are found by their tags in the bytes, not by an XML parser, so that a range needs nothing before it and
a truncated or concatenated dump gives all its whole pages. In a .bz2 file each stream that begins in the
range is read (`multistream`). Of a page with its history the latest revision is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from html import unescape

import xxhash

from mobilebert.corpus.plan import FileRange
from mobilebert.corpus.readers import (
    byte_lines,
    multistream,
    streams,
    wikitext,
    wikitext_kinds,
    wikitext_links,
)
from mobilebert.corpus.readers.document import OVERSIZED, RawDocument, extracted, shown
from mobilebert.text import whatwg

_OPEN, _CLOSE = b"<page>", b"</page>"
_REVISION, _REVISION_END = b"<revision>", b"</revision>"
_TIMESTAMP = re.compile(rb"<timestamp>([^<]*)</timestamp>")
_HEAD_BYTES = 1 << 16  # Wikipedia's <siteinfo> takes 2,000
_NAMESPACE_NAME = re.compile(r'<namespace key="(-?\d+)"[^<>]*>([^<>]+)</namespace>')
_NUMERIC_REFERENCE = re.compile(r"&(?:amp;)?#(?:[xX]([0-9a-fA-F]+)|([0-9]+));?")
_NAMESPACE = re.compile(r"<ns>(-?\d+)</ns>")
_ID = re.compile(r"<id>(\d+)</id>")
_TEXT = re.compile(r"<text\b[^<>]*>")


def mediawiki(file_range: FileRange) -> Iterator[RawDocument]:
    """The pages whose tag begins in the piece: articles with their text, all others with the reason why
    they are none.
    """
    namespaces = wikitext_links.NAMESPACES | _own_namespaces(file_range.path)
    chunks = multistream.chunks(file_range.path, file_range.start, file_range.end, multistream.BZ2)
    for page in _pages(
        (chunk.data, file_range.end is None or chunk.offset < file_range.end) for chunk in chunks
    ):
        yield _read(page, namespaces)


def _own_namespaces(path: str) -> dict[str, int]:
    """The namespaces that the dump names at its beginning: number by name in small letters."""
    # What is unreadable there is said by the range that it belongs to.
    with suppress(streams.Unreadable):
        head = next(multistream.chunks(path, 0, _HEAD_BYTES, multistream.BZ2), None)
        source = head.data.decode(errors="replace") if head else ""
        names = _NAMESPACE_NAME.findall(_between(source, "<namespaces>", "</namespaces>"))
        return {_unescaped(name).strip().lower(): int(key) for key, name in names}
    return {}


def _mark(page: bytes) -> str:
    """What tells a page without an id from the others of its file, wherever it is cut into ranges."""
    return f"#{xxhash.xxh3_64_hexdigest(page)}"


def _read(page: bytes, namespaces: dict[str, int]) -> RawDocument:
    if isinstance(page, byte_lines.Truncated):
        number = _ID.search(shown(page))
        return RawDocument(number[1] if number else _mark(page), shown(page), OVERSIZED, page.size)
    source = whatwg.decode(page, "utf-8")
    number = _ID.search(source)
    name = number[1] if number else _mark(page)
    title = _unescaped(_between(source, "<title>", "</title>"))
    body = _TEXT.search(source)
    raw = _unescaped(_between(source, body[0], "</text>")) if body and not body[0].endswith("/>") else ""
    reason = _not_an_article(source, title, raw, namespaces)
    if reason:
        return RawDocument(name, f"{title}\n{raw}", reason)
    return extracted(RawDocument(name, raw), partial(wikitext.plain, title=title, namespaces=namespaces))


def _unescaped(text: str) -> str:
    """The text of an XML element, without references to characters that there are none of (&#x0;): no
    reader of the wiki sees them, and U+FFFD would say that the text is damaged.
    """
    return unescape(_NUMERIC_REFERENCE.sub(_possible, text) if "#" in text else text)


def _possible(match: re.Match[str]) -> str:
    digits = (match[1] or match[2]).lstrip("0")
    if not 0 < len(digits) < 8:
        return ""
    code = int(digits, 16 if match[1] else 10)
    return match[0] if code < 0xD800 or 0xDFFF < code <= 0x10FFFF else ""


def _between(source: str, begin: str, end: str) -> str:
    """What stands between two tags; in linear time whatever the page holds, unlike a regular expression."""
    start = source.find(begin)
    stop = source.find(end, start)
    return source[start + len(begin) : stop] if start >= 0 and stop >= 0 else ""


def _not_an_article(page: str, title: str, raw: str, namespaces: dict[str, int]) -> str | None:
    number = _NAMESPACE.search(page)
    model = _between(page, "<model>", "</model>")
    # Dumps before MediaWiki 1.20 give no number.
    if (int(number[1]) if number else wikitext_links.namespace(title, namespaces)) != 0:
        return "not_an_article"
    if "<redirect " in page or wikitext_kinds.is_redirect(raw):
        return "redirect"
    if model not in {"", "wikitext"}:
        return "not_an_article"
    if not raw.strip():
        return "empty"
    return "disambiguation" if wikitext_kinds.is_disambiguation(title, raw) else None


def _pages(chunks: Iterator[tuple[bytes, bool]]) -> Iterator[bytes]:
    """Whole pages from chunks of bytes with one revision each, of one that is too large its beginning; after
    the last owned chunk only the open page is finished.

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
                buffer = _with_latest_revision(buffer[start:])
                if len(buffer) > byte_lines.MAX_LINE_BYTES:
                    excerpt = buffer[: byte_lines.SHOWN_BYTES] + buffer[-(len(_CLOSE) - 1) :]
                    gone, buffer = gone + len(buffer) - len(excerpt), excerpt
                break
            page = _with_latest_revision(buffer[start : end + len(_CLOSE)])
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


def _with_latest_revision(page: bytes) -> bytes:
    """The page, or its beginning, with the latest of its whole revisions alone: by timestamp, by order where
    one has none.
    """
    latest, when, count = b"", b"", 0
    start = first = page.find(_REVISION)
    while start >= 0 and (end := page.find(_REVISION_END, start)) >= 0:
        end += len(_REVISION_END)
        revision = page[start:end]
        timestamp = _TIMESTAMP.search(revision)
        if not (timestamp and timestamp[1] < when):
            latest, when = revision, timestamp[1] if timestamp else b""
        count, last = count + 1, end
        start = page.find(_REVISION, end)
    return page if count < 2 else page[:first] + latest + page[last:]


def _is_open(buffer: bytes) -> bool:
    """Whether a page, or its tag, has begun and not ended."""
    return _OPEN in buffer or any(buffer.endswith(_OPEN[:length]) for length in range(1, len(_OPEN)))
