"""Pages of a wiki that are no articles, known by their source: redirects and disambiguation pages."""

from __future__ import annotations

import re

_REDIRECT = re.compile(r"^\s*#\s*(?:redirect|重定向|重新導向)", re.IGNORECASE)
# Templates of whole pages. One that asks for a link to be disambiguated ({{需要消歧义}}, {{disambiguation
# needed}}) stands in articles. The Chinese names are those of MediaWiki's own message `disambiguationspage`,
# with the kind of the name in front (人名, 地名, ...).
_DISAMBIGUATION = re.compile(
    r"""\{\{\s*(?:template:|模板:)?(?:
      (?!(?:needs?|requires?)\b)[\w()\ -]{0,40}disamb(?:ig(?:uation)?)?(?:[ _-](?:page|cleanup))?
      |disambig-chinese-char-title|dab|mathdab|(?:hn|geo|place|school|road|hospital|number|mil-unit-)dis(?:-cleanup)?
      |[^{}|需请請求待无無勿链鏈連]{0,8}(?:消歧[义義]|消除歧[义義]|消含糊|消除含糊)(?:页面?|頁面?)?
      |同名[条條]目
    )\s*(?:\||\}\})|__DISAMBIG__""",
    re.IGNORECASE | re.VERBOSE,
)
_DISAMBIGUATION_TITLE = re.compile(r"[(（]\s*(?:消歧[义義](?:页|頁)?|disambiguation)\s*[)）]\s*$")
_UNSEEN = re.compile(r"<!--.*?(?:-->|\Z)|<nowiki>.*?</nowiki>", re.DOTALL | re.IGNORECASE)


def is_redirect(raw: str) -> bool:
    """Whether the page only points to another one."""
    return _REDIRECT.match(raw) is not None


def is_disambiguation(title: str, raw: str) -> bool:
    """Whether the page only lists what a name may mean: by its title or by a template."""
    if _DISAMBIGUATION_TITLE.search(title):
        return True
    return (
        _DISAMBIGUATION.search(raw) is not None and _DISAMBIGUATION.search(_UNSEEN.sub("", raw)) is not None
    )
