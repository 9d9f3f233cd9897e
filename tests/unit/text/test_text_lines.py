"""The rules on lines: every phrase drops its line wherever the rule says, and what is dropped is counted."""

from __future__ import annotations

import random
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]

import pytest

from mobilebert.text import lines, normalise


def draw_text(pattern: list, draw: random.Random) -> str:
    """A random text that a parsed expression matches."""
    made = ""
    for kind, value in pattern:
        if kind is sre.LITERAL:
            made += draw.choice([chr(value).lower(), chr(value)])
        elif kind is sre.IN:
            made += draw_member(value, draw)
        elif kind in (sre.ANY, sre.NOT_LITERAL):
            made += draw.choice("的 a1")
        elif kind is sre.BRANCH:
            made += draw_text(draw.choice(value[1]), draw)
        elif kind is sre.SUBPATTERN:
            made += draw_text(value[3], draw)
        elif kind in (sre.MAX_REPEAT, sre.MIN_REPEAT):
            made += "".join(
                draw_text(value[2], draw) for _ in range(draw.randint(value[0], min(value[1], value[0] + 2)))
            )
        else:
            assert kind in (sre.AT, sre.ASSERT_NOT), kind
    return made


def draw_member(choices: list, draw: random.Random) -> str:
    kind, value = draw.choice(choices)
    if kind is sre.LITERAL:
        return chr(value)
    if kind is sre.RANGE:
        return chr(draw.randint(*value))
    return draw.choice(" —*a1_")  # of a class, or of all that is not named


@pytest.mark.parametrize(
    ("pattern", "before", "rule"),
    [
        (lines._ANYWHERE, ["", "我们", "2019 "], lines.is_boilerplate),
        (lines._AT_START, [""], lines.is_boilerplate),
        (lines._LINK, [""], lines.is_link),
        (lines._SYMBOLS_ONLY, [""], lines.is_symbols),
    ],
)
def test_a_line_that_an_expression_matches_is_dropped(pattern, before, rule):
    draw, parsed = random.Random(3), parser.parse(pattern.pattern, pattern.flags)
    for _ in range(500):
        text = draw_text(parsed, draw)
        line = normalise.normalise(draw.choice(before) + text)
        if line and "\n" not in line and pattern.search(line.lower() if pattern is lines._AT_START else line):
            assert rule(line), line


@pytest.mark.parametrize("word", lines._MENU_WORDS.split("|"))
def test_every_menu_word_is_navigation_alone_and_in_a_row(word):
    draw = random.Random(5)
    text = draw_text(parser.parse(word), draw)
    assert lines.judge(text) == "navigation"
    assert lines.judge(f"{text} {text} 新闻") == (None if text.isascii() else "navigation")


def test_a_text_without_a_dropped_line_is_the_same_object():
    text = "第一句。\n第二句。"
    found = lines.clean(text, 3)
    assert found.text is text
    assert found.dropped == {}
