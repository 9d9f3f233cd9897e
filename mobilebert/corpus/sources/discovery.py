"""Which files a place in the settings names, and which format a name tells.

No import that takes time: the workflow finds the inputs of its rules here too, so that it tracks what is
read.
"""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import PurePath
from typing import NamedTuple

from mobilebert.storage.paths import WILD, matcher

REMOTE = ("https://", "http://", "gs://")  # fetched by a rule before they are listed
COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
# Files of other programs, and the command that makes text of one; {} is the suffix.
_OFFICE = "soffice --headless --convert-to"
CONVERTERS = {
    **dict.fromkeys(
        (".docx", ".odt", ".rtf", ".epub", ".fb2", ".tex", ".org"), "pandoc -t plain NAME{} -o NAME.txt"
    ),
    **dict.fromkeys((".doc", ".wps"), f"{_OFFICE} txt:Text NAME{{}}"),
    **dict.fromkeys((".xlsx", ".xls", ".xlsm", ".ods", ".et"), f"{_OFFICE} csv NAME{{}}"),
    **dict.fromkeys((".pptx", ".ppt", ".odp"), f"{_OFFICE} pdf NAME{{}} && pdftotext NAME.pdf"),
    ".pdf": "pdftotext NAME{}",
    ".djvu": "djvutxt NAME{} NAME.txt",
    **dict.fromkeys((".mobi", ".azw", ".azw3", ".lit", ".chm"), "ebook-convert NAME{} NAME.txt"),
    ".caj": "caj2pdf convert NAME{} -o NAME.pdf && pdftotext NAME.pdf",
    **dict.fromkeys((".srt", ".vtt"), "grep -vE '^[0-9]+[[:space:]]*$|-->|^WEBVTT' NAME{} > NAME.txt"),
    **dict.fromkeys(
        (".ass", ".ssa"), "grep ^Dialogue NAME{} | cut -d, -f10- | sed 's/{{[^}}]*}}//g' > NAME.txt"
    ),
    **dict.fromkeys(
        (".db", ".sqlite", ".sqlite3"), "sqlite3 -csv -header NAME{} 'SELECT * FROM TABLE' > NAME.csv"
    ),
    ".sql": "mysql DB < NAME{}; mysql -NrB DB -e \"SELECT JSON_OBJECT('text', COLUMN) FROM T\" > NAME.jsonl",
}
UNPACKERS = {
    **dict.fromkeys((".tar", ".tgz", ".tbz2", ".txz"), "tar -xf NAME{}"),
    **{".zip": "unzip NAME{}", ".7z": "7z x NAME{}", ".rar": "unrar x NAME{}"},
}
FORMATS = {
    **dict.fromkeys((".txt", ".text"), "text"),
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), "jsonl"),
    **{".csv": "csv", ".tsv": "tsv"},
    **dict.fromkeys((".html", ".htm", ".xhtml"), "html"),
    **dict.fromkeys((".md", ".markdown"), "markdown"),
    **dict.fromkeys((".rst", ".rest"), "rst"),
    **dict.fromkeys((".parquet", ".pq"), "parquet"),
    **dict.fromkeys((".warc", ".wet"), "warc"),
    ".xml": "mediawiki",
}
_PART_OF_A_DUMP = re.compile(r"(?<=\.xml)-p\d+p\d+$")  # Wikimedia: ...-articles1.xml-p1p187712.bz2
# What Spark, Hadoop and Delta leave beside the data.
_MARKERS = re.compile(r"_(?:SUCCESS|metadata|common_metadata|temporary|delta_log|(?:committed|started)_.*)$")
_FOLDER = "a folder; name it as a source, or its files with /**"


class Skipped(NamedTuple):
    """A file or folder that is not read; `unreadable` tells what is broken from what is left out on
    purpose.
    """

    path: str
    why: str
    unreadable: bool = True


class Listed(NamedTuple):
    """What a place names, both sorted by path."""

    files: list[str]
    skipped: list[Skipped]


def find(pattern: str) -> Listed:
    """The files of a file, folder or glob on this machine.

    Hidden files are left out. Links are followed, but every folder is read once: a link to one that is read
    anyway is named, so links in a circle end. `**` crosses folders; all other wildcards stay inside one.
    """
    if os.path.isdir(pattern):
        return _sorted(_below(pattern))
    if os.path.lexists(pattern):
        return _sorted([_judged(pattern)])
    if "**" not in pattern:
        return _sorted(
            Skipped(path, _FOLDER, False) if os.path.isdir(path) else _judged(path)
            for path in glob.glob(pattern)
        )
    fits = matcher(pattern)
    top = os.path.dirname(pattern[: pattern.index("*")])
    top = os.path.dirname(top[: wild.start()]) if (wild := WILD.search(top)) else top
    below = _below(top) if os.path.isdir(top or ".") else iter(())
    return _sorted(
        each
        for each in below
        if fits.fullmatch(_path(each)) or (not isinstance(each, str) and each.unreadable)
    )


def base(pattern: str) -> str:
    """The folder that the files of a file, folder or glob are named relative to."""
    if os.path.isdir(pattern):
        return pattern
    return os.path.dirname(
        pattern if os.path.lexists(pattern) else re.split(r"[*?\[]", pattern, maxsplit=1)[0]
    )


def format_of_name(path: str) -> str | None:
    """The format that a file's name tells, under .gz, .bz2, .xz or .zst too; None if it tells none."""
    return FORMATS.get(suffix(path))


def suffix(path: str) -> str:
    """The suffix that tells the format, in small letters, without that of a compression; "" if there is
    none.
    """
    name = PurePath(path.lower())
    if name.suffix in COMPRESSED:
        name = name.with_suffix("")
    return PurePath(_PART_OF_A_DUMP.sub("", name.name)).suffix


def tracked(pattern: str, format: str) -> list[str]:
    """The files of a place that a change of which changes the corpus; those of other formats are left out
    when sources are listed.
    """
    listed = find(pattern).files
    return (
        listed if format != "auto" else [path for path in listed if format_of_name(path) or not suffix(path)]
    )


def _below(top: str) -> Iterator[str | Skipped]:
    seen = {os.path.realpath(top or ".")}
    folders, links = [top], list[str]()
    while folders or links:
        if not folders:
            links.sort(reverse=True)
            folder = links.pop()
            real = os.path.realpath(folder)
            if real in seen:
                yield Skipped(folder, "a link to a folder that is read anyway", False)
                continue
            seen.add(real)
            folders.append(folder)
        folder = folders.pop()
        try:
            names = os.listdir(folder or ".")
        except OSError as error:
            yield Skipped(folder, error.strerror or str(error))
            continue
        for name in names:
            path = os.path.join(folder, name)
            if name.startswith("."):
                yield Skipped(path, "hidden", False)
            elif _MARKERS.match(name):
                yield Skipped(path, "a mark of the program that wrote the folder", False)
            elif not os.path.isdir(path):
                yield _judged(path)
            elif os.path.islink(path):
                links.append(path)
            elif (real := os.path.realpath(path)) in seen:
                yield Skipped(path, "read already, through a link", False)
            else:
                seen.add(real)
                folders.append(path)


def _judged(path: str) -> str | Skipped:
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        return Skipped(path, error.strerror or str(error))
    if not stat.S_ISREG(mode):
        return Skipped(path, "not a regular file")
    return path if os.access(path, os.R_OK) else Skipped(path, "no permission to read it")


def _path(entry: str | Skipped) -> str:
    return entry if isinstance(entry, str) else entry.path


def _sorted(entries: Iterable[str | Skipped]) -> Listed:
    listed = Listed([], [])
    for each in sorted(entries, key=_path):
        path = _path(each)
        try:
            path.encode()
        except UnicodeEncodeError:
            path = path.encode(errors="surrogateescape").decode(errors="backslashreplace")
            each = Skipped(path, "its name is not valid UTF-8")
        if isinstance(each, str):
            listed.files.append(each)
        else:
            listed.skipped.append(each)
    return listed
