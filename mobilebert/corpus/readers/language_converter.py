"""-{...}- of Chinese wikis, shown as MediaWiki's LanguageConverter shows it to one reader.

The grammar is that of https://www.mediawiki.org/wiki/Writing_systems/Syntax and of MediaWiki's
ConverterRule. It is read after links, tags and entities have become text, so that a `;`, `:` or `|` of theirs
cuts no rule. Only the rules of the page itself convert; the wiki's general tables are not applied, so a page
keeps the script in which it was written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

# What stands for -{ and }- and the bar after the flags while a page is parsed: noncharacters, in no text.
OPEN, CLOSE, BAR = "\ufdd0", "\ufdd1", "\ufdd2"

# Names of the variants, as `N` shows them.
_NAMES = {
    "zh": "中文",
    "zh-cn": "中文（中国大陆）",
    "zh-hans": "中文（简体）",
    "zh-hant": "中文（繁體）",
    "zh-hk": "中文（香港）",
    "zh-mo": "中文（澳門）",
    "zh-my": "中文（马来西亚）",
    "zh-sg": "中文（新加坡）",
    "zh-tw": "中文（台灣）",
}
# Codes of BCP 47, which MediaWiki takes too.
_CODES = dict.fromkeys(_NAMES, "") | {
    f"zh-{script}-{region}": f"zh-{region}"
    for script, regions in (("hans", ("cn", "my", "sg")), ("hant", ("hk", "mo", "tw")))
    for region in regions
}
# The reader's variant, those that MediaWiki falls back to, and then all others: something is always shown.
_SIMPLIFIED = ("zh-cn", "zh-hans", "zh-sg", "zh-my", "zh")
_TRADITIONAL = ("zh-tw", "zh-hant", "zh-hk", "zh-mo", "zh")
# Frequent characters that only one script has.
_SIMPLIFIED_ONLY = "这们时会国学说对经过发还从开关东车门问间"
_TRADITIONAL_ONLY = "這們時會國學說對經過發還從開關東車門問間"

_ANY_CODE = "|".join(sorted(_CODES, key=len, reverse=True))
_SEPARATOR = re.compile(rf";(?=\s*(?:{_ANY_CODE})\s*:|[^;]*?=>\s*(?:{_ANY_CODE})\s*:|\s*$)", re.IGNORECASE)
_BLOCK_ENDS = re.compile(f"([{OPEN}{CLOSE}])")
_FLAGS = re.compile(f"{OPEN}([^{OPEN}{CLOSE}{{}}\\[\\]<>|]*)\\|")


class _Rule(NamedTuple):
    """What a -{...}- shows, and what it changes in the rest of the page: words and what stands for them."""

    shown: str
    added: dict[str, str]
    removed: dict[str, str]


def protect_bars(wikitext: str) -> str:
    """Wikitext of `OPEN` and `CLOSE` in which the bar after the flags is `BAR`: it ends no parameter and no
    link.
    """
    return _FLAGS.sub(rf"{OPEN}\1{BAR}", wikitext)


def is_traditional(text: str) -> bool:
    """Whether more of the text is in Traditional characters than in Simplified ones."""
    return sum(map(text.count, _TRADITIONAL_ONLY)) > sum(map(text.count, _SIMPLIFIED_ONLY))


def convert(text: str, traditional: bool) -> str:
    """Text without markup but `OPEN`, `BAR` and `CLOSE`, as a reader in mainland China sees it, or one in
    Taiwan: words of a page stay in its one script.
    """
    if OPEN not in text:
        return text
    own, other = (_TRADITIONAL, _SIMPLIFIED) if traditional else (_SIMPLIFIED, _TRADITIONAL)
    segments = list(_segments(text, own, other))
    words = {word for segment in segments if isinstance(segment, _Rule) for word in segment.added}
    pattern = re.compile("|".join(map(re.escape, sorted(words, key=len, reverse=True))))
    table: dict[str, str] = {}  # of the rules so far

    def replace(match: re.Match[str]) -> str:
        return table.get(match[0], match[0])

    shown = []
    for segment in segments:
        if isinstance(segment, _Rule):
            table.update(segment.added)
            for word in segment.removed:
                table.pop(word, None)
            shown.append(segment.shown)
        else:
            shown.append(pattern.sub(replace, segment) if table else segment)
    return "".join(shown)


def _segments(text: str, own: tuple[str, ...], other: tuple[str, ...]) -> Iterator[str | _Rule]:
    """The text outside of all -{...}-, and each outermost -{...}- as its rule, those inside it before it."""
    opened: list[list[str]] = []
    for token in _BLOCK_ENDS.split(text):
        if token == OPEN:
            opened.append([])
        elif token == CLOSE and opened:
            rule = _rule("".join(opened.pop()), own, other)
            if opened:
                opened[-1].append(rule.shown)
                rule = rule._replace(shown="")
            yield rule
        elif token != CLOSE:
            if opened:
                opened[-1].append(token)
            else:
                yield token
    yield from ("".join(left) for left in opened)


def _rule(block: str, own: tuple[str, ...], other: tuple[str, ...]) -> _Rule:
    first, bar, rest = block.partition(BAR)
    body = rest if bar else block
    flags = {flag.strip() for flag in first.split(";")} & {*"ATRDHN-", *_NAMES} if bar else set()
    if "R" in flags or (flags & {*_NAMES} and not flags & {*"NH-"}):
        return _Rule(body, {}, {})
    if "N" in flags:
        return _Rule(_NAMES.get(body.strip(), ""), {}, {})
    both, one_way = _parse(body)
    if not both and not one_way:
        if not flags & {*"AHT-"}:
            return _Rule(body, {}, {})
        both = dict.fromkeys((*own, *other), body) if body else {}
    if "D" in flags and not flags & {*"H-"}:
        shown = _describe(both, one_way)
    elif flags & {*"HT-"}:
        shown = ""
    else:
        shown = _choose(both, one_way, (*own, *other))
    changes = _changes(both, one_way, own) if flags & {*"AH-"} else {}
    return _Rule(shown, {}, changes) if "-" in flags else _Rule(shown, changes, {})


def _parse(body: str) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Rules `code:word` as words by code, and rules `word=>code:word` as the words to replace by code; none
    if one of them has no code that is known.
    """
    both: dict[str, str] = {}
    one_way: dict[str, dict[str, str]] = {}
    for rule in _SEPARATOR.split(body):
        left, colon, word = rule.partition(":")
        if not colon:
            continue
        source, arrow, code = left.rpartition("=>")
        code = code.strip().lower()
        if code not in _CODES:
            return {}, {}
        code = _CODES[code] or code
        if arrow and source.strip():
            one_way.setdefault(code, {})[source.strip()] = word.strip()
        elif not arrow and word.strip():
            both[code] = word.strip()
    return both, one_way


def _choose(both: dict[str, str], one_way: dict[str, dict[str, str]], order: tuple[str, ...]) -> str:
    words = both or {code: next(iter(table.values())) for code, table in one_way.items()}
    return next((words[code] for code in order if code in words), "")


def _changes(
    both: dict[str, str], one_way: dict[str, dict[str, str]], own: tuple[str, ...]
) -> dict[str, str]:
    """What the reader sees in place of the words of the other variants."""
    target = next((both[code] for code in own if code in both), None)
    changes = dict.fromkeys(both.values(), target) if target is not None else {}
    for code in reversed(own):
        changes |= one_way.get(code, {})
    return {word: shown for word, shown in changes.items() if shown is not None}


def _describe(both: dict[str, str], one_way: dict[str, dict[str, str]]) -> str:
    rules = [f"{_NAMES[code]}：{word}；" for code, word in both.items()]
    rules += [
        f"{word}⇒{_NAMES[code]}：{shown}；"
        for code, table in one_way.items()
        for word, shown in table.items()
    ]
    return "".join(rules)
