"""What the pipeline's elements refer to: files and byte ranges, never text.

Beam's cost is its elements (16 µs a Reshuffle), so an element is about `corpus.block_megabytes` of input:
many small files, or a range of a large one (docs/corpus.md).
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mobilebert.corpus.readers import byte_lines, streams
from mobilebert.errors import UserError
from mobilebert.storage import artifacts

# Formats that can be cut at a byte range, given the file's compression.
_SPLITTABLE = {
    *(("jsonl", ""), ("lines", ""), ("parquet", "")),
    *(("mediawiki", ""), ("mediawiki", ".bz2"), ("warc", ".gz")),
}


@dataclass(frozen=True)
class FileRange:
    """A file, or the part of it whose documents begin in [start, end) bytes; `end` None: all of it."""

    source: str
    ordinal: int  # place of the file in sources.json
    path: str
    format: str
    text_field: str | tuple[str, ...]
    size: int
    start: int = 0
    end: int | None = None
    text_format: str = "plain"
    name: str = ""  # of the file in its source: names documents without the path of a machine

    @property
    def reference(self) -> str:
        """The path, and the range if it is not the whole file, for messages."""
        return self.path if self.end is None else f"{self.path} (bytes {self.start} to {self.end})"


@dataclass(frozen=True)
class Element:
    """What one Beam element refers to; `number` gives the order of the output."""

    number: int
    ranges: tuple[FileRange, ...]

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(
            (file_range.size if file_range.end is None else file_range.end) - file_range.start
            for file_range in self.ranges
        )


def read_sources(folder: Path | str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The files of a `sources` artifact, and those left out when they were listed ({"source", "path",
    "why", "unreadable"}).
    """
    folder = Path(folder)
    artifacts.read(folder, "sources")
    entries = json.loads((folder / "sources.json").read_text(encoding="utf-8"))
    skipped = (
        json.loads((folder / "skipped.json").read_text(encoding="utf-8"))
        if (folder / "skipped.json").exists()
        else []
    )
    if not entries:
        raise UserError(f"{folder / 'sources.json'}: it names no file; list the sources again")
    return entries, skipped


def elements(entries: Sequence[dict[str, Any]], block_bytes: int) -> list[Element]:
    """Group small files and cut large ones into elements of about `block_bytes`, in the order of
    `entries`.
    """
    made: list[Element] = []
    gathered: list[FileRange] = []
    size = 0
    for file_range in _ranges(entries, block_bytes):
        if gathered and (file_range.end is not None or size + file_range.size > block_bytes):
            made.append(Element(len(made), tuple(gathered)))
            gathered, size = [], 0
        if file_range.end is not None:
            made.append(Element(len(made), (file_range,)))
        else:
            gathered.append(file_range)
            size += file_range.size
    if gathered:
        made.append(Element(len(made), tuple(gathered)))
    return made


def _ranges(entries: Sequence[dict[str, Any]], block_bytes: int) -> Iterator[FileRange]:
    for ordinal, entry in enumerate(entries):
        field = entry["text_field"]
        file_range = FileRange(
            entry["source"],
            ordinal,
            entry["path"],
            entry["format"],
            field if isinstance(field, str) else tuple(field),
            entry["size"],
            text_format=entry.get("text_format", "plain"),
            name=entry.get("name") or Path(entry["path"]).name,
        )
        count = -(-file_range.size // block_bytes)
        if count <= 1 or not _splittable(file_range):
            yield file_range
            continue
        # Equal ranges: a last one of a few bytes would give the encoding nothing to be judged by.
        bounds = [file_range.size * number // count for number in range(count + 1)]
        for start, end in itertools.pairwise(bounds):
            yield replace(file_range, start=start, end=end)


def _splittable(file_range: FileRange) -> bool:
    try:
        with streams.open_raw(file_range.path) as stream:
            compression = streams.compression_of(file_range.path, stream)
            wide = file_range.format in {"jsonl", "lines"} and not compression and byte_lines.is_wide(stream)
    except streams.Unreadable:
        return False
    return (file_range.format, compression) in _SPLITTABLE and not wide
