"""Tab-separated classification files.

Published ones know no quoting: a quotation mark is a character like any other. Programs such as pandas or
Excel put fields that hold one, a tab or a line end in quotation marks and double those inside (RFC 4180).
Which of the two a file is, its marks say.
"""

from __future__ import annotations

import csv
import logging
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mobilebert.errors import UserError
from mobilebert.tasks.examples import Classification, Split, read_text

NAMED_BAD_ROWS = 10  # bad rows that the log names; the others are only counted
QUOTED = re.compile(r'(?:^|(?<=[\t\n]))"(?:[^"]|"")*"(?=\t|\r?\n|\r?\Z)')  # a field in quotation marks
MOST_BAD = 0.5  # share of bad rows from which the file is taken to be another one


Row = tuple[int, list[str]]  # number of its first line, from 1 on, and its cells


@dataclass(frozen=True)
class Columns:
    """A layout.

    `names` are the columns as the header has them, in the order of a file without a header; `spellings` maps
    a label as it stands in the file to its number. `text`, `label` and, for pairs, `text_pair` are names of
    columns.
    """

    names: tuple[str, ...]
    spellings: Mapping[str, int]
    text: str
    label: str
    text_pair: str | None = None

    def read(self, path: Path, split: str, *, training: bool) -> Split:
        """All good rows of the file; bad ones are counted as `bad_rows` and named in the log.

        Raises:
            UserError: if columns are missing, a label is unknown, or most rows are bad.
        """
        rows, order = self._table(path, read_text(path))
        examples: list[Classification] = []
        bad: list[str] = []
        for number, cells in rows:
            values = dict(zip(order, (cell.strip() for cell in cells), strict=False))
            why = self._wrong(cells, order, values)
            if why:
                bad.append(f"{path}, line {number}: {why}")
                continue
            if values[self.label] not in self.spellings:
                raise UserError(
                    f"{path}, line {number}: label '{values[self.label][:40]}', expected one of "
                    f"{self._labels()}"
                )
            pair = values[self.text_pair] if self.text_pair else None
            examples.append(
                Classification(
                    f"{split}-{number}", values[self.text], pair, self.spellings[values[self.label]]
                )
            )
        self._judge(path, examples, bad)
        counts = Counter(examples=len(examples))
        if bad:
            counts["bad_rows"] = len(bad)
        return Split(examples, counts)

    def _table(self, path: Path, text: str) -> tuple[list[Row], tuple[str, ...]]:
        """The rows of data, and the columns in the file's order."""
        # Only "\n" ends a row: str.splitlines would also split at U+2028 and others that stand in texts.
        lines = text.rstrip("\r\n").split("\n")
        quoted = QUOTED.findall(text)
        if quoted and '"' not in QUOTED.sub("", text):
            rows = _unquoted(path, lines)
            order, first = self._order(path, rows[0][1])
            inside = [line for _, cells in rows for cell in cells for line in cell.split("\n")[1:]]
            # Two single marks, rows apart, make no field.
            if not any(self._is_row(line.split("\t"), order) for line in inside):
                return rows[first:], order
        elif quoted:
            logging.warning(
                "%s: %d fields begin and end with a quotation mark, but other marks stand alone, so all are "
                "taken as text; the first: %.40s",
                path,
                len(quoted),
                quoted[0],
            )
        rows = [(number, line.removesuffix("\r").split("\t")) for number, line in enumerate(lines, 1)]
        order, first = self._order(path, rows[0][1])
        return rows[first:], order

    def _is_row(self, cells: list[str], order: tuple[str, ...]) -> bool:
        return len(cells) == len(order) and cells[order.index(self.label)].strip() in self.spellings

    def _order(self, path: Path, first: list[str]) -> tuple[tuple[str, ...], int]:
        """The columns in the file's order, and the index of the first row of data."""
        cells = tuple(cell.strip() for cell in first)
        if set(self.names) <= set(cells):
            return cells, 1
        expected = "<TAB>".join(self.names)
        if len(cells) != len(self.names):
            raise UserError(
                f"{path}, line 1: {len(cells)} tab-separated columns, expected {len(self.names)}: {expected}"
            )
        if cells[self.names.index(self.label)] not in self.spellings:
            shown = "<TAB>".join(cell[:20] for cell in cells)
            raise UserError(
                f"{path}, line 1: '{shown}' is neither the header {expected} nor a row whose label is "
                f"one "
                f"of {self._labels()}"
            )
        return self.names, 0

    def _wrong(self, cells: list[str], order: tuple[str, ...], values: dict[str, str]) -> str | None:
        if len(cells) != len(order):
            return f"{len(cells)} columns, expected {len(order)}"
        empty = [name for name in (self.text, self.text_pair) if name and not values[name]]
        return f"column {empty[0]} is empty" if empty else None

    def _judge(self, path: Path, examples: list[Classification], bad: list[str]) -> None:
        for row in bad[:NAMED_BAD_ROWS]:
            logging.warning("%s; the row is left out", row)
        if len(bad) > NAMED_BAD_ROWS:
            logging.warning("%s: %d further bad rows are left out", path, len(bad) - NAMED_BAD_ROWS)
        if not examples:
            raise UserError(
                f"{path}: no row of data"
                + (f"; the first bad one is {bad[0]}" if bad else " below the header")
            )
        if len(bad) > MOST_BAD * (len(bad) + len(examples)):
            raise UserError(
                f"{path}: {len(bad)} of {len(bad) + len(examples)} rows are bad, so this seems to be "
                f"another file; the first: {bad[0]}"
            )

    def _labels(self) -> str:
        return ", ".join(self.spellings)


def _unquoted(path: Path, lines: list[str]) -> list[Row]:
    reader = csv.reader((f"{line}\n" for line in lines), delimiter="\t", strict=True)
    rows: list[Row] = []
    number = 1
    try:
        for cells in reader:
            rows.append((number, cells or [""]))
            number = reader.line_num + 1
    except csv.Error as error:
        raise UserError(f"{path}, line {number}: {error}; mend its quotation marks") from None
    return rows
