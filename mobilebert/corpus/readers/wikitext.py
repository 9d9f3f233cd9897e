"""Wikitext to plain paragraphs, on mwparserfromhell: templates, tables, references, files and lists of
links out.

Links, templates that stand for words and -{...}- are shown as the wiki shows them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from html import unescape
from typing import Any

import mwparserfromhell
from mwparserfromhell import nodes

from mobilebert.corpus.readers import language_converter, wikitext_links, wikitext_templates
from mobilebert.corpus.readers.document import bounded
from mobilebert.corpus.readers.language_converter import CLOSE, OPEN
from mobilebert.corpus.readers.wikitext_formulas import FORMULA, read_formula

SUPERSCRIPT = "\ufdd4"  # before a raised number while a page is parsed
FORMULA_MARK = "[公式]"  # for a formula that is more than letters, digits and signs of operation

_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_NOWIKI = re.compile(r"</?nowiki\s*/?>", re.IGNORECASE)
_MAGIC = re.compile(r"__[A-Z\u4e00-\u9fff]+__")
# What a dropped template leaves: brackets around nothing, a comma at the edge of brackets.
_EMPTY_BRACKETS = re.compile(r"[（(][\s，,；;、：:]*[）)]")
_BRACKET_EDGE = re.compile(r"(?<=[（(])[\s，,；;、：:]+|(?<![\s，,；;、])[\s，,；;、]+(?=[）)])")
_RAISED = re.compile(rf"(?<=\d){SUPERSCRIPT}(?=[\d−+-])")
# A formula on a line of its own belongs to the sentence before it, if that has not ended.
_LONE_FORMULA = re.compile(
    rf"(?:(?<=[^\n。！？.!?])\n({FORMULA}+)|^{FORMULA}+)[^\w\n]{{0,9}}(?:[(（]\d+[)）])?[^\w\n]{{0,9}}$(?(1)|\n?)",
    re.MULTILINE,
)
# A table begins and ends at the beginning of a line; -{{ is a hyphen before a template.
_BRACKETS = re.compile(r"\[\[|\]\]|-\{(?!\{)|\{\{|\}\}|\}-|^[ \t:]*\{\||^[ \t]*\|\}(?!\})", re.MULTILINE)
_CLOSING = {"]]": "[[", "}}": "{{", "|}": "{|", "}-": "-{"}
_STANDING_FOR = {"-{": OPEN, "}-": CLOSE}
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
# What is no wikitext, so that its brackets pair with none outside.
_VERBATIM = re.compile(
    r"<(math|chem|ce|syntaxhighlight|source|pre|score|timeline|graph|hiero)\b([^<>]*)(?<!/)>(.*?)</\1\s*>",
    re.DOTALL | re.IGNORECASE,
)
_DEEPEST = 30  # articles nest a handful of brackets
_LOOK_BACK = 5
_NODES = (*"[{<|&'=", "\n----", "://", "mailto:")  # what the parser makes nodes of
_LIST_MARKS = "*#:;"
_RULE_LINE = re.compile(r";\s*zh(?:-\w+)*\s*:", re.IGNORECASE)  # of a -{...}- over several lines

_DROPPED_TAGS = {
    *("ref", "references", "table", "gallery", "timeline", "score", "imagemap", "syntaxhighlight", "source"),
    *("pre", "style", "script", "graph", "hiero", "templatestyles", "mapframe", "maplink", "inputbox"),
    *("section", "noinclude", "includeonly", "rt", "rp", "rtc"),
}
_HEADING = re.compile(r"^(={1,6})(.+?)\1\s*$")
_LAST_SECTIONS = re.compile(
    r"^(?:参考(?:文献|资料|来源|书目)?|參考(?:文獻|資料|來源|書目)?|参考文献与注释|注[释解]|註[釋解]|脚注|腳註|注脚|備註|备注|引用|資料來源|资料来源|外部[链連][接結]|"
    r"外部连接|参见|參見|參看|参看|另见|另見|相关条目|相關條目|延伸阅读|延伸閱讀|扩展阅读|擴展閱讀|书目|書目)$"
)


def plain(raw: str, title: str = "", namespaces: dict[str, int] = wikitext_links.NAMESPACES) -> str:
    """The prose of a page, a paragraph or list item a line; "" if there is none.

    Args:
        raw: the source of the page.
        title: what {{PAGENAME}} shows.
        namespaces: number by name in small letters, for the links.
    """
    raw = _without_link_lists(_NOWIKI.sub("", _COMMENT.sub("", raw)))
    walker = _Walker(title, namespaces)
    text = "".join(walker.text(mwparserfromhell.parse(bounded(_balanced(raw), _NODES)).nodes))
    if OPEN in text:
        text = language_converter.convert(text, language_converter.is_traditional(raw))
    if SUPERSCRIPT in text:
        text = _RAISED.sub("^", text).replace(SUPERSCRIPT, "")
    text = _BRACKET_EDGE.sub("", _EMPTY_BRACKETS.sub("", _MAGIC.sub("", text)))
    text = "\n".join(filter(None, map(str.strip, text.split("\n"))))
    if FORMULA in text:
        text = _LONE_FORMULA.sub(lambda match: match[1] or "", text).replace(FORMULA, FORMULA_MARK)
    return text.strip()


def _balanced(raw: str) -> str:
    """The page without brackets and tags that open or close nothing, or nest too deep: the parser takes
    quadratic time over them. -{ and }- become characters that the parser does not know.
    """
    raw = _UNCLOSED_LINK.sub("", _UNCLOSED_TAG.sub("&lt;", raw))
    tags = ((match[2].lower(), bool(match[1]), match.span()) for match in _PAIRED_TAG.finditer(raw))
    raw = _VERBATIM.sub(_verbatim, _REFERENCE.sub("", _without(raw, _unpaired(tags))))
    brackets = (
        (_CLOSING.get(mark, mark), mark in _CLOSING, match.span())
        for match in _BRACKETS.finditer(raw)
        for mark in (match[0].lstrip(" \t:"),)
    )
    raw = _without(raw, _unpaired(brackets))
    if "-{" not in raw:
        return raw
    raw = _BRACKETS.sub(lambda match: _STANDING_FOR.get(match[0], match[0]), raw)
    return language_converter.protect_bars(raw)


def _verbatim(match: re.Match[str]) -> str:
    """What the page shows of formulas and of code inside a line."""
    name, attributes, content = match.groups()
    if name.lower() in {"math", "chem", "ce"}:
        return read_formula(content)
    return content if "inline" in attributes and "\n" not in content else ""


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


def _without_link_lists(raw: str) -> str:
    """The page without the list items of its sections of references, notes and links; paragraphs that
    stand there stay.
    """
    kept: list[str] = []
    level = 0  # of such a section, 0 outside
    for line in raw.split("\n"):
        heading = _HEADING.match(line)
        if heading:
            depth = len(heading[1])
            if not level or depth <= level:
                level = depth if _LAST_SECTIONS.match(heading[2].strip(" -{}")) else 0
        if kept and _RULE_LINE.match(line):
            kept[-1] += line
        elif line[:1] not in _LIST_MARKS:
            kept.append(line)
        elif not level:
            kept.append(line.lstrip(_LIST_MARKS))
    return "\n".join(kept)


class _Walker:
    """The words of parsed wikitext, in order."""

    def __init__(self, title: str, namespaces: dict[str, int]) -> None:
        self._title = title
        self._namespaces = namespaces

    def text(self, some_nodes: Iterable[Any]) -> Iterator[str]:
        for node in some_nodes:
            if isinstance(node, nodes.Text):
                yield node.value
            elif isinstance(node, nodes.Wikilink):
                yield from self._link(node)
            elif isinstance(node, nodes.ExternalLink):
                if node.title is not None and node.brackets:
                    yield from self.text(node.title.nodes)
            elif isinstance(node, nodes.HTMLEntity):
                yield unescape(str(node))
            elif isinstance(node, nodes.Tag):
                yield from self._tag(node)
            elif isinstance(node, nodes.Template):
                for shown in wikitext_templates.shown(node, self._title):
                    yield from [shown] if isinstance(shown, str) else self.text(shown.nodes)
            elif isinstance(node, nodes.Heading):
                yield "\n"

    def _link(self, node: nodes.Wikilink) -> Iterator[str]:
        if not wikitext_links.is_shown(str(node.title), self._namespaces):
            return
        if node.text is not None and node.text.nodes:
            yield from self.text(node.text.nodes)
            return
        title = "".join(self.text(node.title.nodes)).strip().removeprefix(":")
        yield title if node.text is None else wikitext_links.without_prefix(title)

    def _tag(self, node: nodes.Tag) -> Iterator[str]:
        name = str(node.tag).strip().lower()
        if name == "br":
            yield "\n"
        elif name in _DROPPED_TAGS or node.contents is None or _is_hidden(node):
            return
        elif not (name == "code" and "\n" in node.contents):
            if name == "sup":
                yield SUPERSCRIPT
            yield from self.text(node.contents.nodes)


def _is_hidden(node: nodes.Tag) -> bool:
    return any("display:none" in str(attribute).replace(" ", "") for attribute in node.attributes)
