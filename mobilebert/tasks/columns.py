"""Tab-separated classification files, read without quoting: a quotation mark is a character like any
other.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mobilebert.errors import UserError
from mobilebert.tasks.examples import Classification, Split, read_text

NAMED_BAD_ROWS = 10  # bad rows that the log names; the others are only counted
MOST_BAD = 0.5  # share of bad rows from which the file is taken to be another one


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
        # Only "\n" ends a row: str.splitlines would also split at U+2028 and others that stand in texts.
        rows = [line.removesuffix("\r") for line in read_text(path).split("\n")]
        while rows and not rows[-1]:
            rows.pop()
        order, first = self._order(path, rows)
        examples: list[Classification] = []
        bad: list[str] = []
        for number, row in enumerate(rows[first:], first + 1):
            cells = row.split("\t")
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

    def _order(self, path: Path, rows: list[str]) -> tuple[tuple[str, ...], int]:
        """The columns in the file's order, and the index of the first row of data."""
        cells = tuple(cell.strip() for cell in rows[0].split("\t"))
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
