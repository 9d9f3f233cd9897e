"""Rules on single lines: what a page says around its text is dropped, each line counted under its reason."""

from __future__ import annotations

import re
from typing import NamedTuple

# Only short lines can be boilerplate: a long one that mentions copyright is text about copyright.
_MAX_CHARACTERS = 60

# Three expressions instead of one, which took 15 times as long: `search` runs through a line quickly only where every branch begins with
# a literal without case. So what stands at the start is matched there, and what begins otherwise is looked for where a hint of it occurs.
_AT_START = re.compile(
    r"""
    © | (?:本文)?(?:转载|轉載)(?:请|自|來源|来源|：|:) |
    (?:责任编辑|責任編輯|编辑|校对|審核|审核|排版|文章来源|原文链接|原文地址|本文链接|本文地址|永久链接|译文出自|本文由)\s*[:：] |
    [【\[（(]?(?:责任编辑|责编) | (?:更多|相关)(?:内容|文章|新闻|阅读|推荐|资讯|信息)(?:请|：|:|$) |
    (?:分享到|分享至|收藏本站|设为首页|加入收藏|返回顶部|返回首页|回到顶部|联系我们|关于我们|网站地图|免责声明|隐私政策|用户协议) |
    (?:powered|designed|hosted)\s+by\b
    """,
    re.VERBOSE | re.IGNORECASE,
)
_ANYWHERE = re.compile(
    r"""
      版权所有(?![人者]) | 版權所有(?![人者]) | 保留所有权利 | 保留一切权利
    | 增值电信业务经营许可证 | 网络文化经营许可证 | 转载(?:请|時?請)?注明 | 轉載(?:请|時?請)?注明
    | 未经(?:授权|许可|允许).{0,12}(?:转载|复制)
    | 点击(?:这里|此处|這裡|查看|下载|进入|阅读|關注|关注)(?:更多|原文|全文|大图)?[^。！？]{0,12}$
    | 點擊(?:这里|此处|這裡|查看|下载|进入|阅读|關注|关注)(?:更多|原文|全文|大图)?[^。！？]{0,12}$
    | 扫(?:一扫|码|描)[^。！？]{0,16}二维码 | 长按.{0,8}二维码 | 关注.{0,12}(?:公众号|微信号)
    | 您的浏览器(?:不支持|版本) | 你的浏览器(?:不支持|版本) | 启用\s*javascript | 开启\s*javascript | 本网?站.{0,12}使用\s*cookies?
    """,
    re.VERBOSE | re.IGNORECASE,
)
_HINTED = re.compile(
    r"""
      all\s+rights\s+reserved | copyright\s*(?:©|\(c\)|\d{4})
    | [京沪津渝粤浙苏鲁闽川鄂湘皖赣豫冀晋辽吉黑陕甘青琼滇黔桂蒙宁新藏]\s?(?:ICP\s?[备证]|公网安备)
    """,
    re.VERBOSE | re.IGNORECASE,
)
_LINK = re.compile(r"^[^一-鿿]*(?:https?://|www\.)\S+[^一-鿿]*$")
_LONG_ITEM = re.compile(r"[^|｜»›>→·•/\s]{13}")
_ITEM = re.compile(r"[^|｜»›>→·•/\s]+")
_TRAIL = re.compile(r"[|｜»›>→]")
_WORDS_OF_NAVIGATION = re.compile(
    r"^(?:首页|首頁|上一[篇页頁章]|下一[篇页頁章]|末页|尾页|上页|下页|登录|登入|注册|註冊|登出|退出|搜索|搜尋|目录|返回|顶部|评论|留言|赞|收藏|分享|打印|关闭|菜单|导航|"
    r"更多|展开|收起|home|next|prev(?:ious)?|login|sign\s?(?:in|up)|menu|search|top|back)(?:[:：].*)?$",
    re.IGNORECASE,
)
_ENDS = frozenset("。！？；…，、：!?,.;:”’」』）》")
_SENTENCE_ENDS = tuple("。！？…；”’」』）》!?.;)\"'")
_SYMBOLS_ONLY = re.compile(r"^[\W_]+$")


class Lines(NamedTuple):
    """The lines that stay, and the dropped ones by reason: (lines, UTF-8 bytes)."""

    kept: list[str]
    dropped: dict[str, tuple[int, int]]


def clean(text: str) -> Lines:
    """Apply all line rules to a normalised text."""
    kept: list[str] = []
    dropped: dict[str, tuple[int, int]] = {}
    for line in text.split("\n"):
        reason = judge(line) if len(line) <= _MAX_CHARACTERS else None
        if reason is None:
            kept.append(line)
        else:
            count, size = dropped.get(reason, (0, 0))
            dropped[reason] = count + 1, size + len(line.encode())
    return Lines(kept, dropped)


def judge(line: str) -> str | None:
    """The reason to drop a line (`symbols`, `link`, `navigation`, `boilerplate`), or None."""
    if len(line) > _MAX_CHARACTERS:
        return None
    for rule in (symbols, link, navigation, boilerplate):
        reason = rule(line)
        if reason is not None:
            return reason
    return None


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
    if _WORDS_OF_NAVIGATION.match(line):
        return "navigation"
    items = [] if _LONG_ITEM.search(line) else _ITEM.findall(line)
    if len(items) < 3:
        return None
    if len(_TRAIL.findall(line)) >= len(items) - 1:
        return "navigation"
    menu = sum(_WORDS_OF_NAVIGATION.match(item) is not None for item in items)
    return "navigation" if menu * 2 >= len(items) else None


def boilerplate(line: str) -> str | None:
    """A short line of what sites print around every page: copyright, licences, sharing, reposting, cookies."""
    if _AT_START.match(line) or _ANYWHERE.search(line):
        return "boilerplate"
    small = line.lower()
    hinted = "rights" in small or "copyright" in small or "icp" in small or "公网安备" in small
    return "boilerplate" if hinted and _HINTED.search(line) else None


def is_prose(line: str) -> bool:
    """Whether a line ends as a sentence does (。！？…； or a closing mark, or their ASCII forms), or has the end of a sentence inside."""
    return line.endswith(_SENTENCE_ENDS) or "。" in line or "！" in line or "？" in line
