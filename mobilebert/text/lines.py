"""Rules on single lines: what a page says around its text is dropped, each line counted under its reason.

Every phrase stands once: in one of the two expressions, or in the list of menu words.
"""

from __future__ import annotations

import re
from typing import NamedTuple

# Only short lines can be boilerplate: a long one that mentions copyright is text about copyright.
_MAX_CHARACTERS = 60

# Every alternative begins with a literal, and none ignores case: so the search jumps between candidates, 15
# times as fast.
_ANYWHERE = re.compile(
    r"""版权所有(?![人者])|版權所有(?![人者])|保留所有权利|保留一切权利
    |增值电信业务经营许可证|网络文化经营许可证|ICP\s?[备证]|公网安备
    |转载请?注明|轉載時?請?注明|未经(?:授权|许可|允许).{0,12}(?:转载|复制)
    |点击(?:这里|此处|查看|下载|进入|阅读|关注)(?:更多|原文|全文|大图)?[^。！？]{0,12}$
    |點擊(?:這裡|查看|下載|關注)[^。！？]{0,12}$
    |扫(?:一扫|码|描)[^。！？]{0,16}二维码|长按.{0,8}二维码|关注.{0,12}(?:公众号|微信号)|荣誉推出
    |您的浏览器(?:不支持|版本)|你的浏览器(?:不支持|版本)|本网?站.{0,12}使用\s*[Cc]ookies?
    |a(?i:ll\s+rights\s+reserved)|A(?i:ll\s+rights\s+reserved)
    |c(?i:opyright\s*(?:©|\(c\)|\d{4}))|C(?i:opyright\s*(?:©|\(c\)|\d{4}))""",
    re.VERBOSE,
)
# What stands at the beginning of a line, in small letters.
_AT_START = re.compile(
    r"""(?:本文)?(?:转载|轉載)(?:请|自|來源|来源|：|:)
    |(?:责任编辑|責任編輯|编辑|校对|校对者|译者|選題|选题|题图|審核|审核|排版|文章来源|原文作者|原文链接
        |原文地址|本文链接|本文地址|永久链接|译文出自|本文由|法規網址|via)\s*[:：]
    |[【\[（(]?(?:责任编辑|责编)|(?:更多|相关)(?:内容|文章|新闻|阅读|推荐|资讯|信息)(?:请|：|:|$)
    |分享到|分享至|收藏本站|设为首页|加入收藏|返回顶部|返回首页|回到顶部
    |联系我们|关于我们|网站地图|免责声明|隐私政策|用户协议
    |(?:请)?(?:启用|开启)\s*javascript|(?:powered|designed|hosted)\s+by\b|©""",
    re.VERBOSE,
)
_LINK = re.compile(r"^[^一-鿿]*(?:https?://|www\.)\S+[^一-鿿]*$")
_SEPARATOR = re.compile(r"\s*[|｜»›>→·•/]\s*|\s+")
_TRAIL = re.compile("[|｜»›>→]")
_MENU_WORDS = (
    r"首页|首頁|上一[篇页頁章]|下一[篇页頁章]|末页|尾页|上页|下页|登录|登入|注册|註冊|登出|退出|搜索|搜尋|目录|返回"
    r"|顶部|评论|留言|赞|收藏|分享|打印|关闭|菜单|导航|更多|展开|收起"
    r"|home|next|prev|previous|login|sign\s?in|sign\s?up|menu|search|top|back"
)
_MENU_ITEM = re.compile(rf"(?:{_MENU_WORDS})(?:[:：].*)?$", re.IGNORECASE)
# The literal beginnings of the Chinese ones: only what has one of them is split at its spaces.
_MENU = re.compile("|".join(word.partition("[")[0] for word in _MENU_WORDS.split("|") if not word.isascii()))
_ENDS = tuple("。！？；…，、：!?,.;:”’」』）》")
_SENTENCE_ENDS = tuple("。！？…；”’」』）》!?.;)\"'")
_HAN = re.compile("[\u3400-\u9fff]")
_SYMBOLS_ONLY = re.compile(r"^[\W_]+$")


class Lines(NamedTuple):
    """A text of the lines that stay, and the dropped ones by reason: (lines, UTF-8 bytes)."""

    text: str
    dropped: dict[str, tuple[int, int]]


def clean(text: str, most_repeats: int) -> Lines:
    """Apply all line rules to a normalised text.

    Args:
        text: its lines are stripped and none is empty.
        most_repeats: copies of a line that stay; the further ones are dropped as `repeated`.
    """
    kept: list[str] = []
    dropped: dict[str, tuple[int, int]] = {}
    copies: dict[str, int] = {}
    for line in text.split("\n"):
        reason = judge(line)
        if reason is None:
            copies[line] = number = copies.get(line, 0) + 1
            # Lines without Han are left for the Han share: without the repeats, JSON and XML would pass as
            # prose.
            reason = "repeated" if number > most_repeats and _HAN.search(line) else None
        if reason is None:
            kept.append(line)
        else:
            count, size = dropped.get(reason, (0, 0))
            dropped[reason] = count + 1, size + len(line.encode())
    return Lines("\n".join(kept) if dropped else text, dropped)


def judge(line: str) -> str | None:
    """The reason to drop a line for what it says (`symbols`, `link`, `navigation`, `boilerplate`), or
    None.
    """
    if len(line) > _MAX_CHARACTERS:
        return None
    if is_symbols(line):
        return "symbols"
    if is_link(line):
        return "link"
    if is_navigation(line):
        return "navigation"
    return "boilerplate" if is_boilerplate(line) else None


def is_symbols(line: str) -> bool:
    """Whether a line has no letter, digit or Han: rules of dashes, stars, bars."""
    return not line[:1].isalnum() and _SYMBOLS_ONLY.match(line) is not None


def is_link(line: str) -> bool:
    """Whether a line is an address, without a word of Chinese."""
    return ("http" in line or "www." in line) and _LINK.match(line) is not None


def is_navigation(line: str) -> bool:
    """Whether a line is a menu word, or a trail of at least three short items between separators that ends
    without punctuation.

    A trail needs separators that prose has not (| » › > →) or only menu words; spaces alone prove nothing.
    """
    if line.endswith(_ENDS):
        return False
    if _MENU_ITEM.match(line):
        return True
    if not _SEPARATOR.search(line) or not (_TRAIL.search(line) or line.isascii() or _MENU.search(line)):
        return False
    items = [item for item in _SEPARATOR.split(line) if item]
    if len(items) < 3 or max(map(len, items)) > 12:
        return False
    menu = sum(_MENU_ITEM.match(item) is not None for item in items)
    return len(_TRAIL.findall(line)) >= len(items) - 1 or menu * 2 >= len(items)


def is_boilerplate(line: str) -> bool:
    """Whether a short line is what sites print around every page: copyright, licences, credits, sharing,
    reposting, cookies.
    """
    return _ANYWHERE.search(line) is not None or _AT_START.match(line.lower()) is not None


def is_prose(line: str) -> bool:
    """Whether a line ends as a sentence does (。！？…； or a closing mark, or their ASCII forms), or has the
    end of a sentence inside.
    """
    return line.endswith(_SENTENCE_ENDS) or "。" in line or "！" in line or "？" in line
