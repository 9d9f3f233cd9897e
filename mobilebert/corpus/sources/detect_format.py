"""Which format a file has: by its name, and by its content where the name leaves it open."""

from __future__ import annotations

import re
from typing import NamedTuple

import orjson

from mobilebert.corpus.readers import byte_lines, streams
from mobilebert.corpus.sources import discovery
from mobilebert.text import characters, decode

_HEAD = 1 << 16
# Chinese prose has far more; a program or a table with Chinese in it has less.
_MIN_HAN_SHARE = 0.3
_PAGE = re.compile(
    r"\s*(?:<\?xml[^>]*\?>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype html|html)\b", re.IGNORECASE | re.DOTALL
)
_ARCHIVE = "an archive of files; unpack it and name the folder"


class Recognised(NamedTuple):
    """The format, or why there is none; `unreadable` if that is because the file is broken."""

    format: str | None
    why: str = ""
    unreadable: bool = False


def refused(path: str) -> Recognised | None:
    """What no format can be stated for: archives of files, and Parquet inside a compression."""
    suffix = discovery.suffix(path)
    if suffix in discovery.ARCHIVES:
        return Recognised(None, _ARCHIVE)
    if suffix in (".parquet", ".pq") and not path.lower().endswith(suffix):
        return Recognised(None, "Parquet compressed as a whole; unpack it")
    return None


def recognise(path: str, text_field: str) -> Recognised:
    """The format of a file whose source states none (`format: auto`)."""
    suffix, named = discovery.suffix(path), discovery.format_of_name(path)
    if refusal := refused(path):
        return refusal
    if suffix and named is None:
        return Recognised(None, f"no format is known for {suffix}")
    if named and suffix not in {".xml", ".json"}:
        return Recognised(named)
    try:
        return _by_content(path, suffix, text_field)
    except streams.Unreadable as error:
        # A dump that breaks at once is named when it is read, like any other broken file.
        return Recognised(named) if named else Recognised(None, str(error), unreadable=True)


def _by_content(path: str, suffix: str, text_field: str) -> Recognised:
    with streams.open_decompressed(path) as stream:
        head = stream.read(_HEAD)
    if not head:
        return Recognised("text" if not suffix else discovery.FORMATS[suffix])
    if suffix == ".xml":
        dump = b"<mediawiki" in head or b"<page>" in head
        return Recognised("mediawiki") if dump else Recognised(None, "XML, but no MediaWiki dump")
    if _is_json_lines(path, text_field):
        return Recognised("jsonl")
    if suffix == ".json":
        return Recognised(None, f"JSON, but its first line is no object with a field {text_field}")
    for start, format in ((b"WARC/", "warc"), (b"PAR1", "parquet"), (b"<mediawiki", "mediawiki")):
        if head.startswith(start):
            return Recognised(format)
    if head[257:262] == b"ustar" or head.startswith(b"PK\3\4"):
        return Recognised(None, _ARCHIVE)
    text = decode.decode(head if len(head) < _HEAD else head[: head.rfind(b"\n") + 1] or head[:-4]).text
    if text is not None and _PAGE.match(text):
        return Recognised("html")
    if text is not None and (counts := characters.count(text)).han >= max(1, _MIN_HAN_SHARE * counts.visible):
        return Recognised("text")
    return Recognised(None, "neither its name nor its content tells a format")


def _is_json_lines(path: str, text_field: str) -> bool:
    """Whether the first line that is not empty is an object with the field, or begins like one and is too
    long to be read.
    """
    with streams.open_decompressed(path) as stream:
        line = next((line for _, line in byte_lines.split_lines(stream) if line.strip()), b"")
    head = line.removeprefix(b"\xef\xbb\xbf")
    if isinstance(line, byte_lines.Truncated):
        return head.lstrip().startswith(b"{")
    try:
        row = orjson.loads(head)
    except orjson.JSONDecodeError:
        return False
    return isinstance(row, dict) and text_field in row
