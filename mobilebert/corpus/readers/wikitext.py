"""Wikitext to plain paragraphs, on mwparserfromhell: templates, tables, references, files and lists of
links out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import mwparserfromhell
from mwparserfromhell import nodes

from mobilebert.corpus.readers.document import bounded

_REDIRECT = re.compile(r"^\s*#\s*(?:redirect|重定向|重新導向)", re.IGNORECASE)
_DISAMBIGUATION = re.compile(
    r"\{\{\s*(?:disambig\w*|dab|hndis|geodis|letter-?number\s*combination\s*disambiguation|\w*disambiguation|(?:[^{}|]*)消歧[义義](?:页|頁)?|"
    r"地名消歧[义義]|人名消歧[义義]|同名[条條]目)\s*(?:\||\}\})",
    re.IGNORECASE,
)
_DISAMBIGUATION_TITLE = re.compile(r"[(（]\s*消歧[义義](?:页|頁)?\s*[)）]\s*$")

_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_NOWIKI = re.compile(r"</?nowiki\s*/?>", re.IGNORECASE)
# Innermost -{...}- first: https://www.mediawiki.org/wiki/Writing_systems/Syntax
_VARIANT = re.compile(r"-\{((?:(?!-\{|\}-).)*?)\}-", re.DOTALL)
_VARIANT_ORDER = ("zh-cn", "zh-hans", "zh", "zh-sg", "zh-my", "zh-tw", "zh-hant", "zh-hk", "zh-mo")
_HIDDEN_FLAGS = {"H", "T", "-"}
_MAGIC = re.compile(r"__[A-Z]+__")
_EMPTY_BRACKETS = re.compile(r"[（(][\s，,；;、：:]*[）)]")
_BRACKETS = re.compile(r"\[\[|\]\]|\{\{|\}\}|\{\||\|\}")
_CLOSING = {"]]": "[[", "}}": "{{", "|}": "{|"}
_PAIRED_TAG = re.compile(
    r"<(/?)(?!(?:br|hr|wbr|li|dd|dt|p|img|nowiki)\b)([A-Za-z]+)(?:\s[^<>]*)?(?<!/)>", re.IGNORECASE
)
_UNCLOSED_LINK = re.compile(r"\[(?=(?:https?:)?//)(?![^\n]{0,500}?\])")
# A tag without an end: the parser looks for it to the end of the page.
_UNCLOSED_TAG = re.compile(r"<(?=/?[A-Za-z][^<>]*(?:<|\Z))")
# References go before the page is parsed: their templates are most of the parser's work (1.6 times as fast,
# the same text).
_REFERENCE = re.compile(
    r"<ref(?:\s[^<>]*)?(?<!/)>(?:(?!<ref\b).)*?</ref\s*>|<ref(?:\s[^<>]*)?/>", re.DOTALL | re.IGNORECASE
)
_DEEPEST = 30  # articles nest a handful of brackets
_LOOK_BACK = 5
_NODES = (*"[{<|&'=", "\n----", "://", "mailto:")  # what the parser makes nodes of
_LIST_MARKS = "*#:;"

_DROPPED_LINK = re.compile(
    r"^\s*:?\s*(?:file|image|media|category|文件|图像|圖像|图片|圖片|档案|檔案|媒体|媒體|分类|分類|[a-z]{2,3}(?:-[a-z-]{2,10})?)\s*[:：]",
    re.IGNORECASE,
)
_DROPPED_TAGS = {
    *(
        "ref",
        "references",
        "table",
        "gallery",
        "math",
        "chem",
        "timeline",
        "score",
        "imagemap",
        "syntaxhighlight",
        "source",
        "pre",
        "code",
    ),
    *(
        "style",
        "script",
        "graph",
        "hiero",
        "templatestyles",
        "mapframe",
        "maplink",
        "inputbox",
        "section",
        "noinclude",
    ),
}
# Inline templates that stand for their text: which parameter holds it.
_INLINE = {
    "lang": "2",
    "nowrap": "1",
    "small": "1",
    "big": "1",
    "nobold": "1",
    "le": "1",
    "tsl": "3",
    "ruby": "1",
    "color": "2",
}
_LINK_TEMPLATE = re.compile(r"^(?:link-[a-z-]+|internal link helper/?[a-z-]*)$")
_HEADING = re.compile(r"^(={1,6})(.+?)\1\s*$")
_LAST_SECTIONS = re.compile(
    r"^(?:参考(?:文献|资料|来源|书目)?|參考(?:文獻|資料|來源|書目)?|参考文献与注释|注[释解]|註[釋解]|脚注|腳註|注脚|備註|备注|引用|資料來源|资料来源|外部[链連][接結]|"
    r"外部连接|参见|參見|参看|參看|另见|另見|相关条目|相關條目|延伸阅读|延伸閱讀|扩展阅读|擴展閱讀|书目|書目)$"
)


def is_redirect(raw: str) -> bool:
    """Whether the page only points to another one."""
    return _REDIRECT.match(raw) is not None


def is_disambiguation(title: str, raw: str) -> bool:
    """Whether the page only lists what a name may mean: by its title or by a template."""
    return _DISAMBIGUATION_TITLE.search(title) is not None or _DISAMBIGUATION.search(raw) is not None


def plain(raw: str) -> str:
    """The prose of a page, a paragraph or list item a line; "" if there is none."""
    raw = _without_link_lists(_variants(_NOWIKI.sub("", _COMMENT.sub("", raw))))
    text = "".join(_text(mwparserfromhell.parse(bounded(_balanced(raw), _NODES)).nodes))
    return _EMPTY_BRACKETS.sub("", _MAGIC.sub("", text)).strip()


def _balanced(raw: str) -> str:
    """The page without brackets and tags that open or close nothing, or nest too deep: the parser takes
    quadratic time over them.
    """
    raw = _UNCLOSED_LINK.sub("", _UNCLOSED_TAG.sub("&lt;", raw))
    tags = ((match[2].lower(), bool(match[1]), match.span()) for match in _PAIRED_TAG.finditer(raw))
    raw = _REFERENCE.sub("", _without(raw, _unpaired(tags)))
    brackets = (
        (_CLOSING.get(match[0], match[0]), match[0] in _CLOSING, match.span())
        for match in _BRACKETS.finditer(raw)
    )
    return _without(raw, _unpaired(brackets))


def _unpaired(marks: Iterable[tuple[str, bool, tuple[int, int]]]) -> list[tuple[int, int]]:
    """Spans of the marks (name, whether it closes, span) that have no partner or nest deeper than
    `_DEEPEST`.
    """
    dropped: list[tuple[int, int]] = []
    opened: list[tuple[str, tuple[int, int]]] = []
    for name, closes, span in marks:
        if not closes:
            opened.append((name, span))
            continue
        # A mark that was left open in between has no partner.
        partner = next(
            (back for back in range(1, min(len(opened), _LOOK_BACK) + 1) if opened[-back][0] == name), 0
        )
        if not partner:
            dropped.append(span)
            continue
        if len(opened) > _DEEPEST:
            # Of brackets all that is inside goes, too: a hundred thousand parameters take the parser long.
            dropped += (
                [(opened[-partner][1][0], span[1])]
                if name in _CLOSING.values()
                else [opened[-partner][1], span]
            )
        dropped += [left for _, left in opened[len(opened) - partner + 1 :]]
        del opened[-partner:]
    return sorted([*dropped, *(span for _, span in opened)])


def _without(raw: str, spans: list[tuple[int, int]]) -> str:
    """`raw` without the given spans, which are sorted by their start."""
    kept, end = [], 0
    for start, stop in spans:
        kept.append(raw[end:start])
        end = max(end, stop)
    return "".join(kept) + raw[end:]


def _variants(raw: str) -> str:
    """-{zh-hans:A;zh-hant:B}- becomes A (mainland form first); conversion rules that show nothing go."""
    for _ in range(_DEEPEST):
        replaced = _VARIANT.sub(_variant, raw) if "-{" in raw else raw
        if replaced == raw:
            break
        raw = replaced
    return raw


def _variant(match: re.Match[str]) -> str:
    flags, bar, body = match[1].rpartition("|")
    if bar and set(flags.replace(" ", "").upper().split(";")) & _HIDDEN_FLAGS:
        return ""
    variants: dict[str, str] = {}
    for rule in body.split(";"):
        language, colon, variant = rule.partition(":")
        if colon and language.strip().lower() in _VARIANT_ORDER:
            variants[language.strip().lower()] = variant.strip()
    return next((variants[language] for language in _VARIANT_ORDER if language in variants), body)


def _without_link_lists(raw: str) -> str:
    """The page without the list items of its sections of references, notes and links; paragraphs that
    stand there stay.
    """
    kept = []
    level = 0  # of such a section, 0 outside
    for line in raw.split("\n"):
        heading = _HEADING.match(line)
        if heading:
            depth = len(heading[1])
            if not level or depth <= level:
                level = depth if _LAST_SECTIONS.match(heading[2].strip()) else 0
        if not (level and line[:1] in _LIST_MARKS):
            kept.append(line.lstrip(_LIST_MARKS))
    return "\n".join(kept)


def _text(some_nodes: Any) -> Iterator[str]:
    for node in some_nodes:
        if isinstance(node, nodes.Text):
            yield node.value
        elif isinstance(node, nodes.Wikilink):
            title = str(node.title)
            if not _DROPPED_LINK.match(title):
                yield from _text(node.text.nodes) if node.text is not None else [title.lstrip(":")]
        elif isinstance(node, nodes.ExternalLink):
            if node.title is not None and node.brackets:
                yield from _text(node.title.nodes)
        elif isinstance(node, nodes.HTMLEntity):
            yield node.normalize()
        elif isinstance(node, nodes.Tag):
            yield from _tag(node)
        elif isinstance(node, nodes.Template):
            yield from _template(node)
        elif isinstance(node, nodes.Heading):
            yield "\n"


def _tag(node: Any) -> Iterator[str]:
    name = str(node.tag).strip().lower()
    if name == "br":
        yield "\n"
    elif name not in _DROPPED_TAGS and node.contents is not None:
        yield from _text(node.contents.nodes)


def _template(node: Any) -> Iterator[str]:
    name = str(node.name).strip().lower().replace("_", " ")
    parameter = "1" if _LINK_TEMPLATE.match(name) else _INLINE.get(name)
    if parameter is not None and node.has(parameter):
        yield from _text(node.get(parameter).value.nodes)
