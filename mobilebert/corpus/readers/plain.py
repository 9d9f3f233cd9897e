"""Text without markup: a file a document, a sentence a line, JSON lines."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from mobilebert.corpus.plan import FileRange
from mobilebert.corpus.readers import byte_lines, streams, text_fields
from mobilebert.corpus.readers.document import NO_TEXT_FIELD, OVERSIZED, RawDocument, shown
from mobilebert.text import decode
from mobilebert.text.soft_breaks import join_cut_lines

_BATCH_BYTES = 1 << 20  # lines whose encoding is judged together
_MOST_LINES = 100_000  # held at once, however short they are: a line takes 200 bytes and more
# A longer file of text (a whole corpus) is read as a stream of lines.
CUT_BYTES = 8_000_000
# Lines without an empty one between them are documents of a fraction of that: short lines take ten times
# their size.
_GATHERED = 4
_BOM = b"\xef\xbb\xbf"
MOST_UNREAD = 100_000  # lines
Fields = tuple[str, ...]


def text(file_range: FileRange) -> Iterator[RawDocument]:
    """The whole file is one document (several, if it is over `CUT_BYTES`) in which lines cut at a width are
    joined; an empty file has none.
    """
    with streams.open_decompressed(file_range.path) as stream:
        data = stream.read(CUT_BYTES + 1)
    if len(data) > CUT_BYTES:
        del data
        for document in _cut(file_range):
            yield document if document.reason else document._replace(text=join_cut_lines(document.text))
    elif data:
        decoded = decode.decode(data)
        yield RawDocument(
            "",
            shown(data) if decoded.text is None else join_cut_lines(decoded.text),
            decoded.reason,
            len(data) if decoded.reason else None,
            (decoded.encoding or "") if decoded.reason else "",
            encoding=decoded.encoding,
        )


def _cut(file_range: FileRange) -> Iterator[RawDocument]:
    with streams.open_decompressed(file_range.path) as stream:
        gathered: list[tuple[bytes, str | None]] = []
        first = size = 0
        for offset, data, decoded in _decoded(byte_lines.split_lines(stream)):
            long = data if isinstance(data, byte_lines.Truncated) else None
            if gathered and (long or size >= CUT_BYTES // _GATHERED or len(gathered) == _MOST_LINES):
                yield _joined(first, gathered)
                gathered, size = [], 0
            if long:
                yield _oversized(f"#{offset}", long)
                continue
            first = first if gathered else offset
            gathered.append((data, decoded))
            size += len(data)
        if gathered:
            yield _joined(first, gathered)


def lines(file_range: FileRange) -> Iterator[RawDocument]:
    """A sentence a line, an empty line between documents (what BERT's pretraining tools read).

    A range owns the documents after the empty lines that begin in it, so every document belongs to exactly
    one range.
    """
    with streams.open_decompressed(file_range.path) as stream:
        gathered: list[tuple[bytes, str | None]] = []
        first = size = 0
        owned = file_range.start == 0
        for offset, data, decoded in _decoded(
            byte_lines.split_lines(stream, file_range.start, file_range.end)
        ):
            if data.strip() or isinstance(data, byte_lines.Truncated):
                if owned:
                    first = first if gathered else offset
                    gathered.append((data, decoded))
                    size += len(data)
                    if size >= CUT_BYTES // _GATHERED or len(gathered) == _MOST_LINES:
                        yield _joined(first, gathered)
                        gathered, size = [], 0
                continue
            if gathered:
                yield _joined(first, gathered)
                gathered, size = [], 0
            if file_range.end is not None and offset >= file_range.end:
                return
            owned = True
        if gathered:
            yield _joined(first, gathered)


def jsonl(file_range: FileRange) -> Iterator[RawDocument]:
    """A JSON object a line, its text in `text_field`, its name in "id" if there is one; empty lines are
    nothing.

    Raises:
        Unreadable: `MOST_UNREAD` lines in a row hold no text, as in a file of another form or a bomb.
    """
    unread = 0
    fields = text_fields.names(file_range.text_field)
    with streams.open_decompressed(file_range.path) as stream:
        source = byte_lines.split_lines(stream, file_range.start, file_range.end)
        for batch in _batches(
            itertools.takewhile(lambda line: file_range.end is None or line[0] < file_range.end, source)
        ):
            for document in _objects(fields, batch):
                unread = unread + 1 if document.reason else 0
                yield document
                if unread == MOST_UNREAD:
                    raise streams.Unreadable(
                        f"{unread:,} lines in a row hold no text in {text_fields.shown(fields)}; the rest is "
                        f"not read"
                    )


def _objects(fields: Fields, batch: list[tuple[int, bytes]]) -> Iterator[RawDocument]:
    for number, (offset, line) in enumerate(batch):
        name = f"#{offset}"
        if isinstance(line, byte_lines.Truncated):
            yield _oversized(name, line)
            continue
        line = line.removeprefix(_BOM)
        if not line or line.isspace():
            continue
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError:
            line = line.strip()  # not before: a copy of a line may be one of 22 MB
            try:
                line.decode()
            except UnicodeDecodeError:
                # Not UTF-8, which is rare: judge the encoding by this line and all that follow in the batch.
                for (line_offset, data), decoded in zip(
                    batch[number:], _decode_batch([data for _, data in batch[number:]]), strict=True
                ):
                    if data.strip() or isinstance(data, byte_lines.Truncated):
                        yield _object(fields, f"#{line_offset}", data, decoded)
                return
            yield _object(fields, name, line, line.decode())
            continue
        yield _row_document(fields, name, row, line)


def _object(fields: Fields, name: str, data: bytes, decoded: str | None) -> RawDocument:
    """A line that orjson does not take: other encodings, lone surrogates, NaN; or no JSON at all."""
    if isinstance(data, byte_lines.Truncated):
        return _oversized(name, data)
    if decoded is None:
        return RawDocument(name, shown(data), decode.UNDECODABLE, len(data))
    try:
        return _row_document(fields, name, json.loads(decoded), data)
    except (ValueError, RecursionError):
        return RawDocument(name, decoded, "invalid_json")


def _row_document(fields: Fields, name: str, row: Any, data: bytes) -> RawDocument:
    value = row.get(fields[0]) if len(fields) == 1 and isinstance(row, dict) else None
    if not isinstance(value, str):
        value = text_fields.text_of(row, fields)
    if value is None:
        data = data.strip()
        return RawDocument(name, shown(data), NO_TEXT_FIELD, len(data), text_fields.keys(row))
    return RawDocument(own_name(row.get("id"), name), value)


def _oversized(name: str, line: byte_lines.Truncated) -> RawDocument:
    return RawDocument(name, shown(line), OVERSIZED, line.size)


def own_name(own: Any, fallback: str) -> str:
    """A document's own id, if it can name it; else its place in the sources."""
    name = own if isinstance(own, str) else str(own) if type(own) is int else ""
    return name if 0 < len(name) <= 200 and name.isprintable() else fallback


def _joined(offset: int, gathered: list[tuple[bytes, str | None]]) -> RawDocument:
    name = f"#{offset}"
    if long := next((line for line, _ in gathered if isinstance(line, byte_lines.Truncated)), None):
        return _oversized(name, long)._replace(
            size=sum(getattr(line, "size", len(line)) for line, _ in gathered)
        )
    texts = [decoded for _, decoded in gathered if decoded is not None]
    if len(texts) < len(gathered):
        data = b"".join(line for line, _ in gathered)
        return RawDocument(name, shown(data), decode.UNDECODABLE, len(data))
    return RawDocument(name, "".join(texts))


def _decoded(source: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes, str | None]]:
    """Offset, bytes and text (None: undecodable) of each line."""
    for batch in _batches(source):
        for (offset, line), decoded in zip(batch, _decode_batch([line for _, line in batch]), strict=True):
            yield offset, line, decoded


def _batches(source: Iterable[tuple[int, bytes]]) -> Iterator[list[tuple[int, bytes]]]:
    """Lines whose encoding is judged together; those before a place that cannot be read are given before
    the error is.
    """
    batch: list[tuple[int, bytes]] = []
    size = 0
    failure = None
    try:
        for offset, line in source:
            batch.append((offset, line))
            size += len(line)
            if size >= _BATCH_BYTES or len(batch) == _MOST_LINES:
                yield batch
                batch, size = [], 0
    except Exception as error:
        failure = error
    yield batch
    if failure:
        raise failure


def _decode_batch(batch: list[bytes]) -> list[str | None]:
    """Each line as text, None where its encoding is not clear; a line that is too long, cut amid a character
    perhaps, has no say in it.
    """
    return decode.decode_lines([b"" if isinstance(line, byte_lines.Truncated) else line for line in batch])
