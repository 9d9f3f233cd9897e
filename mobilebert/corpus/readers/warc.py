"""Web archives, on warcio: the pages of a WARC, the texts of a WET.

A .warc.gz of one gzip member a record, as crawlers write it, can be read from any byte on: a range owns the
records whose member begins in it.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from typing import Any

import brotli
import xxhash
import zstandard
from warcio.archiveiterator import ArchiveIterator
from warcio.bufferedreaders import ChunkedDataReader
from warcio.statusandheaders import StatusAndHeadersParser

from mobilebert.corpus.plan import FileRange
from mobilebert.corpus.readers import multistream, streams
from mobilebert.corpus.readers.document import OVERSIZED, RawDocument, extracted
from mobilebert.corpus.readers.markup import decoded, main_text

NOT_A_PAGE, HTTP_STATUS, BROKEN_HTTP, WRONG_LENGTH, UNKNOWN_CODING = (
    "not_a_page",
    "http_status",
    "broken_http",
    "wrong_length",
    "unknown_coding",
)
_MEDIA = {"text/html", "application/xhtml+xml"}


def warc(file_range: FileRange) -> Iterator[RawDocument]:
    """A document for each HTML page (`response`, `resource`) and each text (`conversion`); all other
    records with their reason.
    """
    stream = _Heads(_owned(file_range))
    archive = ArchiveIterator(stream, no_record_parse=True)
    archive.INC_RECORD = (
        ""  # warcio writes the rest of such a record to the terminal; its count of them is looked at below
    )
    record = _next(archive, stream)
    while record is not None:
        stream.allow(None)
        document = _record_document(record)
        while record.raw_stream.read(1 << 20):
            pass
        if record.raw_stream.limit > 0:
            raise streams.Unreadable("the file ends inside a record")
        # A record that is longer than it says is known by what stands before the next one.
        errors_before, failure = archive.err_count, None
        try:
            record = _next(archive, stream)
        except streams.Unreadable as error:
            failure = error
        yield document._replace(reason=WRONG_LENGTH) if archive.err_count > errors_before else document
        if failure:
            raise failure


def _next(archive: Any, stream: _Heads) -> Any:
    stream.allow(streams.MAX_DOCUMENT_BYTES)
    try:
        record = next(archive, None)
    except streams.Unreadable:
        raise
    except Exception as error:  # warcio's own, and what it runs into over bytes that are no record
        raise streams.Unreadable(f"no readable web archive: {type(error).__name__}: {error}") from None
    if record is not None and record.length is None:
        raise streams.Unreadable("a record without a length")
    return record


def _record_document(record: Any) -> RawDocument:
    head = "\n".join(f"{key}: {value}" for key, value in record.rec_headers.headers)
    own = (record.rec_headers.get_header("WARC-Record-ID") or "").strip("<>").removeprefix("urn:uuid:")
    document = RawDocument(
        own[:200] or f"#{xxhash.xxh3_64_hexdigest(head.encode())}", head, size=record.length
    )
    if record.rec_type not in {"response", "resource", "conversion"}:
        return document._replace(reason=NOT_A_PAGE)
    if record.length > streams.MAX_DOCUMENT_BYTES:
        return document._replace(reason=OVERSIZED)
    if record.rec_type == "conversion":
        return _text(document, record.raw_stream.read(record.length))
    if record.rec_type == "resource":
        page = _is_page(record.rec_headers)
        return (
            _page(document, record.raw_stream.read(record.length))
            if page
            else document._replace(reason=NOT_A_PAGE)
        )
    try:
        head = StatusAndHeadersParser(["HTTP/"], verify=False).parse(record.raw_stream)
        if not head.get_statuscode().startswith("2"):
            return document._replace(reason=HTTP_STATUS)
        return (
            _page(document, _body(record, head)) if _is_page(head) else document._replace(reason=NOT_A_PAGE)
        )
    except streams.Unreadable:
        raise
    except _UnknownCoding as error:
        return document._replace(reason=UNKNOWN_CODING, detail=str(error))
    except Exception as error:  # a head that is no HTTP, a body in another coding than it claims
        return document._replace(reason=BROKEN_HTTP, text=f"{document.text}\n{type(error).__name__}: {error}")


def _is_page(headers: Any) -> bool:
    return (headers.get_header("Content-Type") or "").partition(";")[0].strip().lower() in _MEDIA


def _text(document: RawDocument, data: bytes) -> RawDocument:
    return decoded(document.name, data) if data else document._replace(reason="empty")


def _page(document: RawDocument, data: bytes) -> RawDocument:
    if len(data) > streams.MAX_DOCUMENT_BYTES:
        return document._replace(reason=OVERSIZED)
    return extracted(_text(document, data), main_text)


class _UnknownCoding(Exception):
    """A content coding that no library here undoes."""


def _body(record: Any, head: Any) -> bytes:
    """The body without its transfer and content codings; at most a byte more than a document may have."""
    transfer = _codings(head, "Transfer-Encoding")
    # A crawler may have taken the codings away and left the headers: warcio reads on where there are no
    # chunks.
    stream = ChunkedDataReader(record.raw_stream) if "chunked" in transfer else record.raw_stream
    data = b"".join(iter(lambda: stream.read(1 << 20), b""))
    for coding in reversed([*_codings(head, "Content-Encoding"), *transfer]):
        data = _uncoded(data, coding)
    return data


def _codings(head: Any, name: str) -> list[str]:
    """The codings that a header names, in the order in which they were applied."""
    return (head.get_header(name) or "").lower().replace(" ", "").split(",")


def _uncoded(data: bytes, coding: str) -> bytes:
    most = streams.MAX_DOCUMENT_BYTES + 1
    if coding in {"", "identity", "none", "utf-8", "chunked"} or data.lstrip().startswith(b"<"):
        return data  # that a page begins tells that the crawler undid the coding
    if coding in {"gzip", "x-gzip"}:
        return _gunzipped(data, most)
    if coding == "deflate":
        try:
            return zlib.decompressobj().decompress(data, most)
        except zlib.error:  # without zlib's wrapping, which the standard asks for and some servers leave out
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, most)
    if coding == "br":
        return brotli.Decompressor().process(data, output_buffer_limit=most)
    if coding == "zstd":
        decompressor = zstandard.ZstdDecompressor(max_window_size=streams.ZSTANDARD_WINDOW)
        return decompressor.stream_reader(data, read_across_frames=True).read(most)
    raise _UnknownCoding(f"Content-Encoding: {coding}")


def _gunzipped(data: bytes, most: int) -> bytes:
    """What all members hold (RFC 1952, 2.2), without what was cut off or comes after them, as browsers do."""
    if not data.startswith(b"\x1f\x8b"):
        return data
    unpacked = b""
    while data.startswith(b"\x1f\x8b") and len(unpacked) < most:
        member = zlib.decompressobj(16 + zlib.MAX_WBITS)
        try:
            unpacked += member.decompress(data, most - len(unpacked))
        except zlib.error:
            if not unpacked:
                raise
            break
        data = member.unused_data
    return unpacked


class _Heads(io.RawIOBase):
    """The archive's bytes, with a limit on those read for a record's head: a line without an end must not
    fill the memory.
    """

    def __init__(self, source: Iterator[bytes]) -> None:
        self._source = source
        self._rest = b""
        self._left: int | None = None

    def allow(self, most: int | None) -> None:
        """Let at most so many bytes be read from now on; None: any number."""
        self._left = most

    def read(self, size: int = -1) -> bytes:
        if not self._rest:
            self._rest = next(self._source, b"")
        data, self._rest = (self._rest, b"") if size < 0 else (self._rest[:size], self._rest[size:])
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                raise streams.Unreadable(
                    f"the head of a record is over {streams.MAX_DOCUMENT_BYTES // 1_000_000} MB"
                )
        return data

    def tell(self) -> int:
        return 0  # offsets are not asked for


def _owned(file_range: FileRange) -> Iterator[bytes]:
    """The records whose gzip member begins in the piece; a record that fills several members belongs where
    its first one begins.
    """
    for chunk in multistream.chunks(file_range.path, file_range.start, file_range.end, multistream.WARC_GZ):
        if (
            chunk.first
            and chunk.data.startswith(b"WARC/")
            and file_range.end is not None
            and chunk.offset >= file_range.end
        ):
            return
        yield chunk.data
