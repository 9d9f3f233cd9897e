"""What the user is told about files: files.tsv, warnings of files that gave little, and a page of what was
dropped.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mobilebert.corpus import funnel
from mobilebert.corpus.file_counts import Files
from mobilebert.corpus.readers import text_fields

TABLE, PAGE = "files.tsv", "dropped.md"
COLUMNS = ("source", "file", "format", "encoding", "documents", "kept", "dropped", "note")
# Reasons that tell of a file or a setting that is not as it should be; others (requests in a web archive,
# redirects in a dump) are what such files have.
_FAULTS = {
    "no_text_field": "have no field {fields}",
    "invalid_json": "are no JSON (if an array, or objects of several lines, set format: json)",
    "undecodable": "are in no encoding that is known",
    "ambiguous_encoding": "may be in one encoding or another",
    "binary": "are no text but bytes",
    "oversized": "are too long",
    "broken_row": "have more fields than there are columns",
    "broken_markup": "have mark-up that cannot be read",
    "broken_http": "are broken answers of servers",
    "unknown_coding": "are in a coding that cannot be undone",
    "wrong_length": "have another length than they say",
    "no_main_text": "have no main text",
}
# Of readers too, but usual in such files.
_USUAL = {"not_an_article", "redirect", "disambiguation", "not_a_page", "http_status", "empty"}
_UNITS = {"jsonl": "lines", "csv": "rows", "tsv": "rows", "parquet": "rows", "json": "elements"}
_MOST_WARNINGS = 20  # the table names all files


@dataclass(frozen=True)
class FileRow:
    """A line of files.tsv; `fields` and `details` are for warnings."""

    source: str
    file: str
    format: str
    encoding: str
    documents: int
    reasons: Mapping[str, int]
    note: str
    details: Mapping[str, str]
    fields: str

    @property
    def kept(self) -> int:
        """Documents that are in the corpus."""
        return self.documents - sum(self.reasons.values())

    def line(self) -> str:
        """The tab-separated values."""
        dropped = funnel.counted(self.reasons) if self.reasons else ""
        values = (self.source, self.file, self.format, self.encoding, self.documents, self.kept, dropped)
        return "\t".join(map(str, (*values, " ".join(self.note.split()))))

    def warnings(self) -> Iterator[str]:
        """What is wrong with the file, for a person."""
        unit = _UNITS.get(self.format, "documents")
        for reason, count in sorted(self.reasons.items(), key=lambda item: (-item[1], item[0])):
            if reason in _FAULTS and 2 * count > self.documents:
                has = (
                    f"they have {self.details[reason]}" if reason == "no_text_field" and self.details else ""
                )
                detail = has or self.details.get(reason, "")
                words = _FAULTS[reason].format(fields=self.fields)
                yield f"{count:,} of {self.documents:,} {unit} {words}{f' ({detail})' if detail else ''}"
                return
        unread = sum(count for reason, count in self.reasons.items() if reason in _FAULTS.keys() | _USUAL)
        if unread == self.documents and not self.note:
            yield f"gave no text ({funnel.counted(self.reasons)})" if self.documents else "holds no document"


def rows(
    entries: Iterable[Mapping[str, Any]], skipped: Iterable[Mapping[str, Any]], files: Files
) -> list[FileRow]:
    """A row for each file of the sources, those that were not read included, by source and name."""
    made = []
    for ordinal, entry in enumerate(entries):
        counts = files.of(ordinal)
        made.append(
            FileRow(
                entry["source"],
                entry.get("name") or entry["path"],
                entry["format"],
                ", ".join(counts["encodings"]),
                counts["in"],
                counts["reasons"],
                counts["unreadable"] and f"not read (further): {counts['unreadable']}",
                counts["details"],
                text_fields.shown(entry["text_field"]),
            )
        )
    for entry in skipped:
        why = f"cannot be read: {entry['why']}" if entry["unreadable"] else f"left out: {entry['why']}"
        name = entry.get("name") or entry["path"]
        made.append(FileRow(entry["source"], name, "", "", 0, {}, why, {}, ""))
    return sorted(made, key=lambda row: (row.source, row.file))


def warn(report: Sequence[FileRow]) -> None:
    """Log a warning for each file that gave nothing, or lost more than half to a fault of its form."""
    said = [
        f"source {row.source}: {row.file}: {warning}"
        for row in report
        if row.format
        for warning in row.warnings()
    ]
    for line in said[:_MOST_WARNINGS]:
        logging.warning("%s", line)
    if len(said) > _MOST_WARNINGS:
        logging.warning("and %d more files that gave little; %s lists all", len(said) - _MOST_WARNINGS, TABLE)


def table(report: Sequence[FileRow]) -> str:
    """The content of files.tsv."""
    return "".join(f"{line}\n" for line in ["\t".join(COLUMNS), *(row.line() for row in report)])


def page(by_source: Mapping[str, Mapping[str, Any]], most: int | str) -> str:
    """The Markdown of what was dropped for which reason, a table a source, and where examples lie.

    Args:
        by_source: counts as in funnel.json.
        most: the setting `corpus.rejects_per_reason`.
    """
    sections = [f"{_heading(name, counts)}\n\n{_reasons(counts)}" for name, counts in by_source.items()]
    kept = "all of them" if isinstance(most, str) else f"{most} of each source and reason"
    examples = f"Dropped documents with their text: `rejects/*.parquet` ({kept})." if most else ""
    return "\n".join([*sections, f"{examples} Every file: `{TABLE}`. All counts: `funnel.json`.".strip(), ""])


def _heading(source: str, counts: Mapping[str, Any]) -> str:
    read, kept = counts["in"]["documents"], counts["out"]["documents"]
    return f"**{source}**: {read:,} documents read, {kept:,} kept ({_share(kept, read)})"


def _reasons(counts: Mapping[str, Any]) -> str:
    read = counts["in"]["documents"]
    ordered = sorted(counts["reasons"].items(), key=lambda item: (-item[1]["documents"], item[0]))
    cells = [
        (reason, f"{entry['documents']:,}", _share(entry["documents"], read), f"{entry['bytes'] / 1e6:,.2f}")
        for reason, entry in ordered
    ]
    cells.append(("kept", f"{counts['out']['documents']:,}", _share(counts["out"]["documents"], read),
                  f"{counts['out']['bytes'] / 1e6:,.2f}"))  # fmt: skip
    head = ("dropped for", "documents", "share", "MB")
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    rule = ["-" * widths[0], *(f"{'-' * (width - 1)}:" for width in widths[1:])]
    return "".join(f"{_line(row, widths)}\n" for row in (head, rule, *cells))


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first = row[0].ljust(widths[0])
    rest = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
    return f"| {' | '.join([first, *rest])} |"


def _share(count: int, total: int) -> str:
    return f"{count / total:.1%}" if total else "-"
