"""Soft line ends: what the end of a source line inside a paragraph becomes in HTML, Markdown and
reStructuredText, where it stands for nothing but the width of the author's screen, and in other text whose
lines were cut at a width.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

# Narrower lines are verse, addresses or items of a list; bulletin boards cut at 70 to 80 columns, a Han or a
# mark that may not begin a line before or after.
_LEAST_COLUMNS, _RAGGED_COLUMNS, _FEWEST_LINES = 40, 4, 3
_ENDS = tuple("。！？；：…”’」』）》!?;:.")
_width = unicodedata.east_asian_width
_ADDRESS = re.compile(r"://\S+$")
_BREAK = re.compile(r"[ \t]*\n[ \t\n]*")


def join_lines(text: str) -> str:
    """The lines of a paragraph as one line, without white space around it.

    As CSS Text Module Level 3 has it (4.1.3, segment break transformation rules): nothing between two wide
    characters (Han, kana, full-width forms; not Hangul), nor between one of them and a quotation mark, dash
    or ellipsis, which are wide in Chinese only; a space between all others, Han and Latin too. Beyond CSS,
    nothing beside a full-width mark such as ，: it brings its own space.

    Args:
        text: its line ends are "\\n".
    """
    return _BREAK.sub(_joint, text.strip(" \t\n"))


def join_cut_lines(text: str) -> str:
    """The paragraphs of a text whose lines were cut at a width, as in converted PDFs and old files; any
    other text as it is.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    cut = cut_at_a_width(lines)
    if not any(cut):
        return text
    paragraphs: list[list[str]] = [[]]
    for line, goes_on in zip(lines, cut, strict=True):
        paragraphs[-1].append(line)
        if not goes_on:
            paragraphs.append([])
    return "\n".join(
        lines[0] if len(lines) == 1 else join_lines("\n".join(lines)) for lines in paragraphs[:-1]
    )


def cut_at_a_width(lines: Sequence[str]) -> list[bool]:
    """Of each line whether it was cut at a width, inside of a sentence, though its end is marked to stay.

    So it is where at least half of the longer lines are of one width, most of these end without a full stop,
    it does not end in an address, and no empty or indented line follows.

    Args:
        lines: with their indentation.
    """
    if len(lines) < _FEWEST_LINES:
        return [False] * len(lines)
    lines = [line.rstrip() for line in lines]
    widths = list(map(_columns, lines))
    # The width that most lines have: headings and tables may be wider.
    counts = Counter(columns for columns in widths if columns >= _LEAST_COLUMNS)
    width = max(counts, key=lambda most: (_count_near(counts, most), most), default=0)
    least = max(width - _RAGGED_COLUMNS, _LEAST_COLUMNS)
    full = [
        least <= columns <= width and not _ADDRESS.search(line)
        for columns, line in zip(widths, lines, strict=True)
    ]
    cut = sum(not line.endswith(_ENDS) for line, is_full in zip(lines, full, strict=True) if is_full)
    if (
        sum(full) < _FEWEST_LINES
        or 2 * sum(full) < sum(2 * each > width for each in widths)
        or 2 * cut <= sum(full)
    ):
        return [False] * len(lines)
    goes_on = [bool(line) and not line[0].isspace() for line in lines[1:]] + [False]
    return [is_full and follows for is_full, follows in zip(full, goes_on, strict=True)]


def _count_near(counts: Counter[int], width: int) -> int:
    return sum(counts[columns] for columns in range(width - _RAGGED_COLUMNS, width + 1))


def _columns(text: str) -> int:
    return len(text.encode("gb18030", "replace"))  # as bulletin boards count: a byte a column


def _joint(match: re.Match[str]) -> str:
    before, after = match.string[match.start() - 1], match.string[match.end()]
    wide = is_wide(before), is_wide(after)
    marks = _is_mark(before), _is_mark(after)
    if all(wide) or (wide[0] and marks[0]) or (wide[1] and marks[1]):
        return ""
    beside_wide = (wide[0] and marks[1]) or (wide[1] and marks[0])
    ambiguous = "A" in (_width(before), _width(after))
    return "" if beside_wide and ambiguous else " "


def is_wide(character: str) -> bool:
    """Whether a character fills the square of a Han: Han, kana, full-width forms; Hangul does not count."""
    width = _width(character)
    return width in {"F", "W", "H"} and "HANGUL" not in unicodedata.name(character, "")


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] in "PS"
