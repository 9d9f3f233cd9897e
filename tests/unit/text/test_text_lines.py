"""The rules on lines, many texts at once: nothing that a rule on one line would drop is overlooked."""

from __future__ import annotations

import gzip
import json
import random
import re
import sys
from collections import Counter
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]

import pytest

from mobilebert.text import document, lines, normalise

HAN = re.compile("[\u3400-\u9fff]")
PATTERNS = [lines._ANYWHERE, lines._AT_START, lines._LINK, lines._SYMBOLS_ONLY, lines._WORDS_OF_NAVIGATION, lines._SEPARATOR]
AROUND = ["", "", "我们", "请看：", " 。", "2019 年", "Page ", "首页 | 新闻 | 体育", "—— ", "·", "x", "。", "；", "\U0001f600", "ＡＢ"]


def one_by_one(text: str, most: int) -> tuple[str, dict[str, tuple[int, int]]]:
    """What `clean` should give, line by line."""
    kept, dropped, seen = [], Counter(), Counter()
    for line in text.split("\n"):
        reason = lines.judge(line)
        if reason is None:
            seen[line] += 1
            reason = "repeated" if seen[line] > most and HAN.search(line) else None
        if reason is None:
            kept.append(line)
        else:
            dropped[reason, "lines"] += 1
            dropped[reason, "bytes"] += len(line.encode())
    return "\n".join(kept), {reason: (dropped[reason, "lines"], dropped[reason, "bytes"]) for reason, kind in dropped if kind == "lines"}


def spelt(pattern: list, draw: random.Random) -> str:
    """A random text that a parsed expression matches."""
    made = ""
    for kind, value in pattern:
        if kind is sre.LITERAL:
            made += draw.choice([chr(value).lower(), chr(value)])
        elif kind is sre.IN:
            made += member(value, draw)
        elif kind in (sre.ANY, sre.NOT_LITERAL):
            made += draw.choice("的 a1")
        elif kind is sre.BRANCH:
            made += spelt(draw.choice(value[1]), draw)
        elif kind is sre.SUBPATTERN:
            made += spelt(value[3], draw)
        elif kind in (sre.MAX_REPEAT, sre.MIN_REPEAT):
            made += "".join(spelt(value[2], draw) for _ in range(draw.randint(value[0], min(value[1], value[0] + 2))))
        else:
            assert kind in (sre.AT, sre.ASSERT_NOT), kind
    return made


def member(choices: list, draw: random.Random) -> str:
    kind, value = draw.choice(choices)
    if kind is sre.LITERAL:
        return chr(value)
    if kind is sre.RANGE:
        return chr(draw.randint(*value))
    return draw.choice(" —*a1_")  # of a class, or of all that is not named


@pytest.mark.parametrize("most", [1, 3])
def test_no_line_is_overlooked_that_a_rule_on_one_line_drops(most):
    draw = random.Random(3)
    parsed = [parser.parse(pattern.pattern, pattern.flags) for pattern in PATTERNS]
    texts = []
    for _ in range(4000):
        found = [draw.choice(AROUND) + spelt(draw.choice(parsed), draw) + draw.choice(AROUND) for _ in range(draw.randint(1, 4))]
        found += draw.choices(found, k=draw.randint(0, 3)) + ["这里说的是另外一件事情。"] * draw.randint(0, 4)
        draw.shuffle(found)
        texts.append(normalise.normalise("\n".join(found)))
    cleaned = [found for at in range(0, len(texts), 100) for found in lines.clean(texts[at : at + 100], most)]
    reasons = Counter(reason for _, dropped in cleaned for reason in dropped)
    assert min(reasons[reason] for reason in ("symbols", "link", "navigation", "boilerplate", "repeated")) > 100
    assert [(found.text, found.dropped) for found in cleaned] == [one_by_one(text, most) for text in texts]


def test_texts_do_not_depend_on_those_that_are_looked_at_with_them(shared_data):
    for name in ("articles_markdown", "dialogue", "subtitles_ass", "hant_statutes"):
        with gzip.open(shared_data / "corpus" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as stream:
            raw = [json.loads(line)["text"] for line, _ in zip(stream, range(120), strict=False)]
        raw += ["", " ", "\n", raw[0]]
        texts = normalise.normalise_all(raw)
        assert texts == list(map(normalise.normalise, raw))
        together = []
        for at in range(0, len(texts), 7):
            together += lines.clean(texts[at : at + 7], 3)
        assert [(found.text, found.dropped) for found in together] == [one_by_one(text, 3) for text in texts]
        assert lines.clean(texts, 3) == together, "so many that each is looked at alone"


def test_a_character_that_has_another_form_is_seen():
    codes = (*range(0x3400), *range(0xD7B0, 0x10000), *range(0x10000, sys.maxunicode + 1, 41))
    texts = [f"好{chr(code)}好" for code in codes]
    for at in range(0, len(texts), 10_000):
        assert normalise.normalise_all(texts[at : at + 10_000]) == list(map(normalise.normalise, texts[at : at + 10_000]))


@pytest.mark.parametrize(
    "text", ["", " ", "一", " 一", "一 ", "一\n", "\n一", "一\n\n二", "一 \n二", "一\n 二", "一  二", "一\t二", "一 二", "一\n二"]
)
def test_blanks_are_seen_wherever_they_stand(text):
    around = ["好", text, "", text, "好"]
    assert normalise.normalise_all(around) == list(map(normalise.normalise, around))
    assert normalise.normalise_all([]) == []


def test_documents_with_a_line_twice_are_found():
    texts = ["甲\n乙\n丙", "甲乙\n丙\n甲乙", "", "丁\n\n丁", "甲"]
    found = document.Documents(texts)
    assert lines.repeating(found.codes, found.line_starts, found.line_ends, found.line_owners, 1).tolist() == [1, 3]
    assert lines.repeating(found.codes, found.line_starts, found.line_ends, found.line_owners, 2).tolist() == []
