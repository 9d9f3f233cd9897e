"""Rules on single lines: what a page says around its text is dropped, each line counted under its reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from mobilebert.text import characters

_MOST_AT_ONCE = 200_000  # characters of texts that are looked at together, whose measures take 30 bytes each
# Only short lines can be boilerplate: a long one that mentions copyright is text about copyright.
_MAX_CHARACTERS = 60

# Every alternative of _ANYWHERE begins with a literal, and none ignores case: the search jumps between candidates, 15 times as fast.
_ANYWHERE = re.compile(
    r"""版权所有(?![人者])|版權所有(?![人者])|保留所有权利|保留一切权利|增值电信业务经营许可证|网络文化经营许可证|转载请?注明|轉載時?請?注明
    |ICP\s?[备证]|公网安备|未经(?:授权|许可|允许).{0,12}(?:转载|复制)
    |点击(?:这里|此处|查看|下载|进入|阅读|关注)(?:更多|原文|全文|大图)?[^。！？]{0,12}$|點擊(?:這裡|查看|下載|關注)[^。！？]{0,12}$
    |扫(?:一扫|码|描)[^。！？]{0,16}二维码|长按.{0,8}二维码|关注.{0,12}(?:公众号|微信号)|荣誉推出
    |您的浏览器(?:不支持|版本)|你的浏览器(?:不支持|版本)|本网?站.{0,12}使用\s*[Cc]ookies?
    |a(?i:ll\s+rights\s+reserved)|A(?i:ll\s+rights\s+reserved)|c(?i:opyright\s*(?:©|\(c\)|\d{4}))|C(?i:opyright\s*(?:©|\(c\)|\d{4}))""",
    re.VERBOSE,
)
# What stands at the beginning of a line in small letters, and the characters that it can begin with.
_AT_START = re.compile(
    r"""(?:本文)?(?:转载|轉載)(?:请|自|來源|来源|：|:)
    |(?:责任编辑|責任編輯|编辑|校对|校对者|译者|選題|选题|题图|審核|审核|排版|文章来源|原文作者|原文链接|原文地址|本文链接|本文地址|永久链接|译文出自|本文由|法規網址|via)\s*[:：]
    |[【\[（(]?(?:责任编辑|责编)|(?:更多|相关)(?:内容|文章|新闻|阅读|推荐|资讯|信息)(?:请|：|:|$)
    |分享到|分享至|收藏本站|设为首页|加入收藏|返回顶部|返回首页|回到顶部|联系我们|关于我们|网站地图|免责声明|隐私政策|用户协议
    |(?:请)?(?:启用|开启)\s*javascript|(?:powered|designed|hosted)\s+by\b|©""",
    re.VERBOSE,
)
_STARTS = frozenset("本转轉责責编校译選选题審审排文原永法v【[（(更相分收设加返回联关网免隐用请启开pdhPDHV©")
_LINK = re.compile(r"^[^一-鿿]*(?:https?://|www\.)\S+[^一-鿿]*$")
_SEPARATOR = re.compile(r"\s*[|｜»›>→·•/]\s*|\s+")
_SEPARATOR_MARKS = "|｜»›>→·•/ "
# Sets to search for: Python's own would make a string of every character.
_SEPARATORS = re.compile(f"[{_SEPARATOR_MARKS}]")
_TRAIL = re.compile("[|｜»›>→]")
# Some of the menu words below: only what has one is split at its spaces.
_MENU = re.compile(
    "首页|首頁|上一|下一|末页|尾页|上页|下页|登录|登入|注册|註冊|登出|退出|搜索|搜尋|目录|返回|顶部|评论|留言|赞|收藏|分享|打印|关闭|菜单|导航|更多|展开|收起"
)
_WORDS_OF_NAVIGATION = re.compile(
    r"^(?:首页|首頁|上一[篇页頁章]|下一[篇页頁章]|末页|尾页|上页|下页|登录|登入|注册|註冊|登出|退出|搜索|搜尋|目录|返回|顶部|评论|留言|赞|收藏|分享|打印|关闭|菜单|导航|"
    r"更多|展开|收起|home|next|prev(?:ious)?|login|sign\s?(?:in|up)|menu|search|top|back)(?:[:：].*)?$",
    re.IGNORECASE,
)
_ENDS = frozenset("。！？；…，、：!?,.;:”’」』）》")
_SENTENCE_ENDS = tuple("。！？…；”’」』）》!?.;)\"'")
_MENU_STARTS = frozenset("首上下末尾登注註退搜目返顶评留赞收分打关菜导更展hnplsmtbHNPLSMTB")
_HAN = re.compile("[\u3400-\u9fff]")
_SYMBOLS_ONLY = re.compile(r"^[\W_]+$")
# Two characters that a line with an address or with what `_ANYWHERE` finds has.
_PAIRS = re.findall(
    "..",
    "htww版权版權保留增值网络转载轉載IC公网未经点击點擊扫一扫码扫描长按关注荣誉您的你的alaLAlALcocOCoCO",
)
# What `_kinds` tells of a character.
_NO_LETTER, _STARTS_BOILERPLATE, _STARTS_MENU, _ENDS_PROSE, _SEPARATES, _PAIR_FIRST = (1 << bit for bit in range(6))
_PAIR_SECOND = _PAIR_FIRST << 1
_LINE_END = 10


class Lines(NamedTuple):
    """A text of the lines that stay, and the dropped ones by reason: (lines, UTF-8 bytes)."""

    text: str
    dropped: dict[str, tuple[int, int]]


def clean(texts: Sequence[str], most_repeats: int) -> list[Lines]:
    """Apply all line rules to normalised texts; what becomes of a text depends on it alone.

    Args:
        texts: their lines are stripped and none is empty; best some 50,000 characters together.
        most_repeats: copies of a line that stay; the further ones are dropped as `repeated`.
    """
    joined = "\n".join([*texts, ""])
    if len(joined) > _MOST_AT_ONCE:
        return [_without(lines, list(map(judge, lines)), most_repeats) for lines in (text.split("\n") for text in texts)]
    codes = characters.codes(joined)
    kinds = _kinds().take(codes)
    ends = np.flatnonzero(codes == _LINE_END)
    starts = np.append(0, ends + 1)[:-1]
    after = np.searchsorted(ends, np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)) + 1))  # (D,) lines up to each text's last
    reasons: dict[int, str] = {}
    for rule, suspects in _suspects(kinds, starts, ends):
        for line, start, end in zip(suspects.tolist(), starts[suspects].tolist(), ends[suspects].tolist(), strict=True):
            if line not in reasons and (reason := rule(joined[start:end])):
                reasons[line] = reason
    owners = np.repeat(np.arange(len(texts)), np.diff(after, prepend=0))
    changed = {*owners[list(reasons)].tolist(), *repeating(codes, starts, ends, owners, most_repeats).tolist()}
    found = [Lines(text, {}) for text in texts]
    for place in changed:
        lines = texts[place].split("\n")
        found[place] = _without(lines, list(map(reasons.get, range(after[place] - len(lines), after[place]))), most_repeats)
    return found


def repeating(codes: np.ndarray, starts: np.ndarray, ends: np.ndarray, owners: np.ndarray, most: int) -> np.ndarray:
    """The texts that may have more than `most` copies of a line: all that have, and hardly any other.

    Args:
        codes: (N,) code points of all texts.
        starts: (L,) where their lines begin.
        ends: (L,) where they end, a place that `codes` has.
        owners: (L,) ascending, below 2**24: the text of each line.
        most: copies, at least one.
    """
    # Equal lines of a text have equal lengths, first, middle and last characters.
    keys = (ends - starts).astype(np.uint64)
    for at in (starts, (starts + ends) >> 1, ends - 1):
        keys = (keys + codes[at]) * np.uint64(0x9E3779B97F4A7C15)
        keys ^= keys >> np.uint64(29)
    keys = (keys >> np.uint64(24)) | (owners.astype(np.uint64) << np.uint64(40))
    keys.sort()
    return np.unique(keys[most:][keys[most:] == keys[:-most]] >> np.uint64(40)).astype(np.int64)


def _suspects(kinds: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> Iterator[tuple[Callable[[str], str | None], np.ndarray]]:
    """Each rule with the numbers of the lines that it may drop: the others have nothing that it begins with."""
    short = ends - starts <= _MAX_CHARACTERS
    first, last = kinds[starts], kinds[ends - 1]

    def having(characters: np.ndarray) -> np.ndarray:
        found = np.zeros(len(ends), bool)
        found[np.searchsorted(ends, np.flatnonzero(characters != 0))] = True
        return found

    paired = having((kinds[:-1] << 1) & kinds[1:] & _PAIR_SECOND)
    menu = (last & _ENDS_PROSE == 0) & ((first & _STARTS_MENU != 0) | having(kinds & _SEPARATES))
    yield symbols, np.flatnonzero(short & (first & _NO_LETTER != 0))
    yield link, np.flatnonzero(short & paired)
    yield navigation, np.flatnonzero(short & menu)
    yield boilerplate, np.flatnonzero(short & (paired | (first & _STARTS_BOILERPLATE != 0)))


@cache
def _kinds() -> np.ndarray:
    """(0x110000,) uint8: what a code point may be in a line that goes."""
    table = np.zeros(characters.CODE_POINTS, np.uint8)
    table[characters.letters() == 0] = _NO_LETTER
    heads, seconds = ("".join(pair[place] for pair in _PAIRS) for place in (0, 1))
    for those, kind in (
        (_STARTS, _STARTS_BOILERPLATE),
        (_MENU_STARTS, _STARTS_MENU),
        (_ENDS, _ENDS_PROSE),
        (_SEPARATOR_MARKS, _SEPARATES),
        (heads, _PAIR_FIRST),
        (seconds, _PAIR_SECOND),
    ):
        table[sorted({ord(character) for character in those})] |= kind
    return table


def _without(lines: list[str], reasons: list[str | None], most_repeats: int) -> Lines:
    """The lines without those that have a reason to go, or are copied too often."""
    kept: list[str] = []
    dropped: dict[str, tuple[int, int]] = {}
    copies: dict[str, int] = {}
    for line, reason in zip(lines, reasons, strict=True):
        if reason is None:
            copies[line] = number = copies.get(line, 0) + 1
            # Lines without Han are left for the Han share: without the repeats, JSON and XML would pass as prose.
            reason = "repeated" if number > most_repeats and _HAN.search(line) else None
        if reason is None:
            kept.append(line)
        else:
            count, size = dropped.get(reason, (0, 0))
            dropped[reason] = count + 1, size + len(line.encode())
    return Lines("\n".join(kept), dropped)


def judge(line: str) -> str | None:
    """The reason to drop a line for what it says (`symbols`, `link`, `navigation`, `boilerplate`), or None."""
    if len(line) > _MAX_CHARACTERS:
        return None
    return symbols(line) or link(line) or navigation(line) or boilerplate(line)


def symbols(line: str) -> str | None:
    """A line without any letter, digit or Han: rules of dashes, stars, bars."""
    return "symbols" if not line[:1].isalnum() and _SYMBOLS_ONLY.match(line) else None


def link(line: str) -> str | None:
    """A line that is an address, without a word of Chinese."""
    return "link" if ("http" in line or "www." in line) and _LINK.match(line) else None


def navigation(line: str) -> str | None:
    """A line of menu words, or a trail of at least three short items between separators that ends without punctuation.

    A trail needs separators that prose has not (| » › > →) or only menu words; spaces alone prove nothing.
    """
    if line[-1:] in _ENDS:
        return None
    if _is_menu_word(line):
        return "navigation"
    if not _SEPARATORS.search(line) or not (_TRAIL.search(line) or line.isascii() or _MENU.search(line)):
        return None
    items = [item for item in _SEPARATOR.split(line) if item]
    if len(items) < 3 or max(map(len, items)) > 12:
        return None
    menu = sum(map(_is_menu_word, items))
    trail = len(_TRAIL.findall(line)) >= len(items) - 1
    return "navigation" if trail or menu * 2 >= len(items) else None


def boilerplate(line: str) -> str | None:
    """A short line of what sites print around every page: copyright, licences, credits, sharing, reposting, cookies."""
    if _ANYWHERE.search(line) or (line[:1] in _STARTS and _AT_START.match(line.lower())):
        return "boilerplate"
    return None


def _is_menu_word(item: str) -> bool:
    return item[:1] in _MENU_STARTS and _WORDS_OF_NAVIGATION.match(item) is not None


def is_prose(line: str) -> bool:
    """Whether a line ends as a sentence does (。！？…； or a closing mark, or their ASCII forms), or has the end of a sentence inside."""
    return line.endswith(_SENTENCE_ENDS) or "。" in line or "！" in line or "？" in line
