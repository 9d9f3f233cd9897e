"""Which format a file has: by its name, and by its content where the name leaves it open."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Sequence
from typing import NamedTuple

import orjson

from mobilebert.corpus.plan import FileRange
from mobilebert.corpus.readers import byte_lines, json_rows, plain, streams, text_fields
from mobilebert.corpus.readers.document import NO_TEXT_FIELD
from mobilebert.corpus.sources import discovery
from mobilebert.text import characters, decode

_HEAD = 1 << 16
# Chinese prose has far more; a program or a table with Chinese in it has less.
_MIN_HAN_SHARE = 0.3
_PAGE = re.compile(
    r"\s*(?:<\?xml[^>]*\?>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype html|html)\b", re.IGNORECASE | re.DOTALL
)
# An array or object whose first line is not all of it.
_BEGUN = re.compile(rb"(?:\[|\{)\s*(?:$|[\[{\"])")
_JUDGED_ROWS = 20
_ARCHIVE = "an archive of files"
# What the first bytes of a file without a suffix tell.
_OTHERS = {
    b"%PDF-": "a PDF; convert it (pdftotext)",
    b"PK\3\4": f"{_ARCHIVE}, to unpack (unzip), or a document (.docx, .epub), to convert (pandoc)",
    b"\xd0\xcf\x11\xe0": "a document of old Office (.doc, .xls); convert it (soffice --headless)",
    b"Rar!": f"{_ARCHIVE}; unpack it (unrar x) and name the folder",
    b"7z\xbc\xaf": f"{_ARCHIVE}; unpack it (7z x) and name the folder",
}


class Recognised(NamedTuple):
    """The format, or why there is none; `unreadable` if that is because the file is broken."""

    format: str | None
    why: str = ""
    unreadable: bool = False


def refused(path: str) -> Recognised | None:
    """What no format can be stated for: archives, documents of other programs, and Parquet inside a
    compression.
    """
    suffix = discovery.suffix(path)
    if suffix in discovery.UNPACKERS:
        command = discovery.UNPACKERS[suffix].format(suffix)
        return Recognised(None, f"{_ARCHIVE}; unpack it ({command}) and name the folder")
    if suffix in discovery.CONVERTERS:
        return Recognised(
            None, f"{suffix} is not read; convert it: {discovery.CONVERTERS[suffix].format(suffix)}"
        )
    if suffix in (".parquet", ".pq") and not path.lower().endswith(suffix):
        return Recognised(None, "Parquet compressed as a whole; unpack it")
    return None


def has_remedy(why: str) -> bool:
    """Whether a file was left out that a person can make readable."""
    return any(word in why for word in ("convert", "unpack", "without a field"))


def recognise(path: str, text_field: str | Sequence[str]) -> Recognised:
    """The format of a file whose source states none (`format: auto`)."""
    suffix, named = discovery.suffix(path), discovery.format_of_name(path)
    if refusal := refused(path):
        return refusal
    if suffix and named is None:
        return Recognised(None, f"no format is known for {suffix}")
    if named and named != "jsonl" and suffix != ".xml":
        return Recognised(named)
    try:
        return _by_content(path, suffix, text_field)
    except streams.Unreadable as error:
        # A dump that breaks at once is named when it is read, like any other broken file.
        return Recognised(named) if named else Recognised(None, str(error), unreadable=True)


def _by_content(path: str, suffix: str, text_field: str | Sequence[str]) -> Recognised:
    with streams.open_decompressed(path) as stream:
        head = stream.read(_HEAD)
    if not head:
        return Recognised("text" if not suffix else discovery.FORMATS[suffix])
    if suffix == ".xml":
        dump = b"<mediawiki" in head or b"<page>" in head
        return Recognised("mediawiki") if dump else Recognised(None, "XML, but no MediaWiki dump")
    if rows := _json(path, text_field):
        refusal = _without_text(path, rows, text_field) if suffix in {"", ".json"} else ""
        return Recognised(None, refusal) if refusal else Recognised(rows)
    if suffix:
        return Recognised(None, "no JSON") if suffix == ".json" else Recognised("jsonl")
    for start, format in ((b"WARC/", "warc"), (b"PAR1", "parquet"), (b"<mediawiki", "mediawiki")):
        if head.startswith(start):
            return Recognised(format)
    if head[257:262] == b"ustar":
        return Recognised(None, f"{_ARCHIVE}; unpack it (tar -xf) and name the folder")
    if why := next((why for start, why in _OTHERS.items() if head.startswith(start)), None):
        return Recognised(None, why)
    text = decode.decode(head if len(head) < _HEAD else head[: head.rfind(b"\n") + 1] or head[:-4]).text
    if text is not None and _PAGE.match(text):
        return Recognised("html")
    if text is not None and (counts := characters.count(text)).han >= max(1, _MIN_HAN_SHARE * counts.visible):
        return Recognised("text")
    return Recognised(None, "neither its name nor its content tells a format")


def _without_text(path: str, format: str, text_field: str | Sequence[str]) -> str:
    """Why no text is in the first rows of a JSON file, such as the settings of a program; "" if one has some,
    or cannot be read.
    """
    field = text_field if isinstance(text_field, str) else tuple(text_field)
    read = json_rows.json_rows if format == "json" else plain.jsonl
    first = itertools.islice(read(FileRange("", 0, path, format, field, 0)), _JUDGED_ROWS)
    try:
        reasons = [(row.reason, row.detail) for row in first]
    except streams.Unreadable:
        return ""
    if not all(reason in {NO_TEXT_FIELD, "invalid_json"} for reason, _ in reasons):
        return ""
    keys = next((detail for reason, detail in reasons if reason == NO_TEXT_FIELD), "nothing that is JSON")
    return f"JSON without a field {text_fields.shown(text_field)} (it has {keys})"


def _json(path: str, text_field: str | Sequence[str]) -> str | None:
    """`jsonl` if the first line is an object that has the text or is one of several, or begins like one and
    is too long to be read; `json` for an array, and objects of several lines or of rows; None: no JSON.
    """
    with streams.open_decompressed(path) as stream:
        lines = (line for _, line in byte_lines.split_lines(stream) if line.strip())
        first, second = next(lines, b""), next(lines, b"")
    head = first.removeprefix(b"\xef\xbb\xbf").strip()
    if isinstance(first, byte_lines.Truncated):
        return None if head[:1] not in (b"{", b"[") else "jsonl" if second and head[:1] == b"{" else "json"
    try:
        row = orjson.loads(head)
    except orjson.JSONDecodeError:
        try:
            row = json.loads(decode.decode(head).text or "")  # another encoding, NaN
        except (ValueError, RecursionError):
            # A broken line, if the next one is whole.
            return "json" if _BEGUN.match(head) and not second.strip().endswith(b"}") else None
    if isinstance(row, list):
        return "json" if not second else None
    if not isinstance(row, dict):
        return None
    fields = text_fields.names(text_field)
    return "jsonl" if second or json_rows.rows(row, fields) == [row] else "json"
