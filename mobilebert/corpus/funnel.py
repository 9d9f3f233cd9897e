"""What came in, what stayed, and why the rest did not: counts by source and reason, and samples of what
was dropped.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import xxhash

SHOWN_CHARACTERS = 10_000  # of a rejected document in a sample
_HELD_CHARACTERS = 2_000_000  # where all are kept, until they are handed on
_EACH = 100  # characters that a reject counts for beside its text: a folder may hold millions of empty ones


class Reject(NamedTuple):
    """A dropped document with its raw text (or what could be shown of it)."""

    id: str
    source: str
    reason: str
    text: str
    detail: str = (
        ""  # what the reason refers to, such as the test file that a contaminated document has text of
    )


class Rejects:
    """The rejected documents with the smallest hashes, at most `most` a source and reason: the same ones in
    whatever order they come.

    Where `most` is `all`, they are handed to `write` some at a time, since they may be all of a large file.
    """

    def __init__(self, most: int | str, write: Callable[[list[Reject]], None]) -> None:
        self.most = most
        self.written = 0
        self._write = write
        self._held = 0  # characters
        self._kept: dict[tuple[str, str], list[tuple[int, Reject]]] = {}

    def add(self, reject: Reject) -> None:
        """Keep the document if it belongs to the sample, or all are asked for."""
        kept = self._kept.setdefault((reject.source, reject.reason), [])
        shown = reject.text if isinstance(self.most, str) else reject.text[:SHOWN_CHARACTERS]
        text = shown.encode(
            "utf-8", "replace"
        ).decode()  # a lone surrogate would stop the writing of the file
        key = xxhash.xxh3_64_intdigest(f"{reject.id}\0{text[:SHOWN_CHARACTERS]}".encode())
        if isinstance(self.most, str):
            kept.append((-key, reject._replace(text=text)))
            self._held += len(text) + _EACH
            if self._held > _HELD_CHARACTERS:
                self.flush()
        elif self.most:
            item = (-key, reject._replace(text=text))
            if len(kept) < self.most:
                heapq.heappush(kept, item)
            else:
                heapq.heappushpop(kept, item)

    def flush(self) -> None:
        """Write what is kept, by source, reason and hash, and keep nothing."""
        rows = [
            reject
            for key in sorted(self._kept)
            for _, reject in sorted(self._kept[key], key=lambda item: (-item[0], item[1]))
        ]
        self._kept, self._held = {}, 0
        self._write(rows)
        self.written += len(rows)


def new() -> dict[str, Any]:
    """The empty counts of one source, in the form of funnel.json."""
    return {
        "in": _none(),
        "out": _none(),
        "reasons": {},
        "lines": {},
        "masked": {},
        "replaced": {"documents": 0, "characters": 0},
        "cantonese": _none(),
        "scripts": {},
        "simplified": {"documents": 0, "characters": 0},
        "unreadable": [],
        "left_out": {},
    }


def count(counts: dict[str, Any], size: int, reason: str | None = None) -> None:
    """Count a document of `size` bytes as read, and as dropped if there is a reason."""
    _add(counts["in"], 1, size)
    if reason is not None:
        drop(counts, size, reason)


def drop(counts: dict[str, Any], size: int, reason: str) -> None:
    """Count a document that was read before as dropped."""
    _add(counts["reasons"].setdefault(reason, _none()), 1, size)


def keep(counts: dict[str, Any], size: int, documents: int = 1) -> None:
    """Count documents that stay; `size` is that of their cleaned texts."""
    _add(counts["out"], documents, size)


def count_lines(counts: dict[str, Any], dropped: dict[str, tuple[int, int]]) -> None:
    """Count the lines that the line rules dropped of a document, whatever became of the document."""
    for reason, (number, size) in dropped.items():
        entry = counts["lines"].setdefault(reason, {"lines": 0, "bytes": 0})
        entry["lines"] += number
        entry["bytes"] += size


def leave_out(counts: dict[str, Any], file: str, why: str, unreadable: bool) -> None:
    """Name a file that cannot be read, or count one that is left out on purpose (skipped.json of the
    sources names it).
    """
    if unreadable:
        counts["unreadable"].append({"file": file, "why": why})
    else:
        counts["left_out"][why] = counts["left_out"].get(why, 0) + 1


def count_masked(counts: dict[str, Any], masked: dict[str, int]) -> None:
    """Count what was masked in a document that stayed until deduplication."""
    for kind, number in masked.items():
        counts["masked"][kind] = counts["masked"].get(kind, 0) + number


def count_replaced(counts: dict[str, Any], documents: int, characters: int) -> None:
    """Count documents that have U+FFFD in them, and these: what could not be decoded or was lost before,
    whatever became of the documents.
    """
    counts["replaced"]["documents"] += documents
    counts["replaced"]["characters"] += characters


def count_cantonese(counts: dict[str, Any], size: int) -> None:
    """Count a document of `size` bytes in written Cantonese, whatever became of it."""
    _add(counts["cantonese"], 1, size)


def count_script(counts: dict[str, Any], script: str, changed: int = 0) -> None:
    """Count a document that the rules keep by its script, and the characters that simplifying changed."""
    counts["scripts"][script] = counts["scripts"].get(script, 0) + 1
    if changed:
        counts["simplified"]["documents"] += 1
        counts["simplified"]["characters"] += changed


def merge(into: dict[str, Any], other: dict[str, Any]) -> None:
    """Add the counts of `other` to `into`."""
    for name in ("in", "out"):
        _add(into[name], other[name]["documents"], other[name]["bytes"])
    for reason, entry in other["reasons"].items():
        _add(into["reasons"].setdefault(reason, _none()), entry["documents"], entry["bytes"])
    count_lines(into, {reason: (entry["lines"], entry["bytes"]) for reason, entry in other["lines"].items()})
    count_masked(into, other["masked"])
    count_replaced(into, **other["replaced"])
    _add(into["cantonese"], other["cantonese"]["documents"], other["cantonese"]["bytes"])
    for script, documents in other["scripts"].items():
        into["scripts"][script] = into["scripts"].get(script, 0) + documents
    for unit, number in other["simplified"].items():
        into["simplified"][unit] += number
    into["unreadable"] += other["unreadable"]
    for why, files in other["left_out"].items():
        into["left_out"][why] = into["left_out"].get(why, 0) + files


def report(by_source: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """funnel.json: the counts of every source and their sum."""
    total = new()
    for counts in by_source.values():
        merge(total, counts)
    return {"sources": by_source, "total": total}


def lines_of(reasons: Iterable[tuple[str, dict[str, int]]]) -> str:
    """The reasons and their counts in a line for people, the most frequent first."""
    return counted({reason: entry["documents"] for reason, entry in reasons})


def counted(reasons: Mapping[str, int]) -> str:
    """Reasons and how many documents each has, in a line for people, the most frequent first."""
    ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{reason} {documents}" for reason, documents in ordered) or "none"


def _none() -> dict[str, int]:
    return {"documents": 0, "bytes": 0}


def _add(entry: dict[str, int], documents: int, size: int) -> None:
    entry["documents"] += documents
    entry["bytes"] += size
