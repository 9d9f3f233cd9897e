"""Soft line ends: what the end of a source line inside a paragraph becomes in HTML, Markdown and
reStructuredText, where it stands for nothing but the width of the author's screen.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

# Lines of fewer characters are verse, addresses or items of a list; old bulletin boards cut at 35 to 40 Han.
_SHORTEST_WIDTH = 20
_ENDS = tuple("。！？；：…”’」』）》!?;:.")
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


def is_wrapped(lines: Sequence[str]) -> bool:
    """Whether lines that end for good were cut at a width all the same, inside of sentences: most of the
    longer ones are of one length, to two characters, and most of these end without a full stop.

    Args:
        lines: without white space around them; empty ones part paragraphs.
    """
    width = max(map(len, lines), default=0)
    if width < _SHORTEST_WIDTH:
        return False
    full = [line for line in lines if len(line) >= width - 2]
    longer = sum(2 * len(line) > width for line in lines)
    cut = sum(not line.endswith(_ENDS) for line in full)
    return len(full) > 2 and 2 * len(full) > longer and 2 * cut > len(full)


def _joint(match: re.Match[str]) -> str:
    before, after = match.string[match.start() - 1], match.string[match.end()]
    wide = is_wide(before), is_wide(after)
    marks = _is_mark(before), _is_mark(after)
    if all(wide) or (wide[0] and marks[0]) or (wide[1] and marks[1]):
        return ""
    beside_wide = (wide[0] and marks[1]) or (wide[1] and marks[0])
    ambiguous = "A" in (unicodedata.east_asian_width(before), unicodedata.east_asian_width(after))
    return "" if beside_wide and ambiguous else " "


def is_wide(character: str) -> bool:
    """Whether a character fills the square of a Han: Han, kana, full-width forms; Hangul does not count."""
    width = unicodedata.east_asian_width(character)
    return width in {"F", "W", "H"} and "HANGUL" not in unicodedata.name(character, "")


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] in "PS"
