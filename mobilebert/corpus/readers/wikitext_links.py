"""Links of a wiki: which are shown in the text, and what stands for one without words of its own."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

# Names and aliases of namespaces on Chinese wikis, from MediaWiki's MessagesZh_hans and MessagesZh_hant and
# Wikimedia's $wgNamespaceAliases of zhwiki; a dump names its own besides.
_NAMES = {
    -2: "media 媒体 媒體",
    -1: "special 特殊",
    2: "user 用户 用戶 使用者",
    4: "wikipedia project wp 维基百科 維基百科 wikisource 维基文库 維基文庫 wiktionary 维基词典 維基詞典",
    6: "file image 文件 档案 檔案 图像 圖像 图片 圖片 影像",
    8: "mediawiki",
    10: "template 模板 樣板 样板",
    12: "help 帮助 幫助 使用說明",
    14: "category cat 分类 分類",
    100: "portal 主题 主題",
    102: "wikiproject 专题 專題 维基专题 維基專題",
    118: "draft 草稿",
    710: "timedtext",
    828: "module 模块 模塊 模組",
    2300: "gadget",
}
NAMESPACES = {name: key for key, names in _NAMES.items() for name in names.split()}
_FILE, _CATEGORY = 6, 14
_TALK = re.compile(r"(?:[ _]?talk|讨论|討論|对话|對話)$")
# What the pipe trick ([[a:b (c)|]]) leaves out, as MediaWiki's Parser::pstPass2 does.
_PIPE_TRICK = re.compile(r"^:?(?:[ \w-]+:)?(.+?)(?: ?\([^()]*\)|（[^（）]*）|, .*|，.*)?$", re.DOTALL)


def is_shown(title: str, namespaces: dict[str, int]) -> bool:
    """Whether a link stands in the text: all do but files, and categories and languages without a colon in
    front. Other titles may have colons, too (Re:, CSI:, BBC:); a code of a language is in small letters.

    Args:
        title: the link's target.
        namespaces: number by name in small letters.
    """
    prefix, colon, _ = title.strip().partition(":")
    if colon and (not prefix or prefix.strip() in _languages()):
        return not prefix
    # A full-width colon is a slip of the hand after 分类, and stands in titles.
    name, colon, _ = prefix.partition("：") if not colon else (prefix, colon, "")
    return not colon or namespaces.get(_name(name)) not in {_FILE, _CATEGORY}


def without_prefix(title: str) -> str:
    """What the wiki writes for a link whose words after the bar are left empty."""
    match = _PIPE_TRICK.match(title.strip())
    return match[1] if match else ""


def namespace(title: str, namespaces: dict[str, int]) -> int:
    """The number of a page's namespace by its title, 1 for any talk page; 0 for an article, with or without a
    colon in its title.
    """
    prefix, colon, _ = title.partition(":")
    name = _name(prefix)
    if not colon:
        return 0
    if name in namespaces:
        return namespaces[name]
    base = _TALK.sub("", name)
    return 1 if base != name and (not base or base in namespaces) else 0


def _name(prefix: str) -> str:
    return prefix.strip().lower().replace("_", " ")


@cache
def _languages() -> frozenset[str]:
    source = resources.files(__package__).joinpath("wikitext_languages.txt").read_text(encoding="utf-8")
    return frozenset(
        code for line in source.splitlines() if not line.startswith("#") for code in line.split()
    )
