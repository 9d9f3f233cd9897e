"""What each file gave: documents, reasons, encodings; the content of files.tsv, by the files' ordinals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mobilebert.corpus.readers.document import RawDocument


class Files:
    """Counts by file: {ordinal as text: {"in": documents, "reasons": {reason: documents}, "details": {reason:
    what the first such document says}, "encodings": list, "unreadable": why or ""}}.

    They are merged in the order of the input, so the first document is the same for any number of workers.
    """

    def __init__(self) -> None:
        self.counts: dict[str, dict[str, Any]] = {}

    def of(self, ordinal: int | str) -> dict[str, Any]:
        """The counts of a file."""
        empty: dict[str, Any] = {"in": 0, "reasons": {}, "details": {}, "encodings": [], "unreadable": ""}
        return self.counts.setdefault(str(ordinal), empty)

    def add(self, ordinal: int, raw_document: RawDocument, reason: str | None) -> None:
        """Count a document that was read, and dropped if there is a reason."""
        mine = self.of(ordinal)
        mine["in"] += 1
        encoding = "utf-8" if raw_document.encoding == "ascii" else raw_document.encoding
        if encoding and encoding not in mine["encodings"]:
            mine["encodings"].append(encoding)
        if reason is not None:
            mine["reasons"][reason] = mine["reasons"].get(reason, 0) + 1
            if raw_document.detail:
                mine["details"].setdefault(reason, raw_document.detail)

    def drop(self, ordinal: int, reason: str) -> None:
        """Count a document that was read before as dropped."""
        reasons = self.of(ordinal)["reasons"]
        reasons[reason] = reasons.get(reason, 0) + 1

    def merge(self, others: Mapping[str, dict[str, Any]]) -> None:
        """Add the counts of others, which come after these in the input."""
        for ordinal, other in others.items():
            mine = self.of(ordinal)
            mine["in"] += other["in"]
            for reason, documents in other["reasons"].items():
                mine["reasons"][reason] = mine["reasons"].get(reason, 0) + documents
            mine["details"] = other["details"] | mine["details"]
            mine["encodings"] += [name for name in other["encodings"] if name not in mine["encodings"]]
            mine["unreadable"] = mine["unreadable"] or other["unreadable"]
