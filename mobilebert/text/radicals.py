"""The ordinary characters that radicals stand for: fonts of PDF files show both with one glyph, so copied
text has radicals in the place of 人, 文, 见.
"""

from __future__ import annotations

import unicodedata
from functools import cache

# EquivalentUnifiedIdeograph.txt of the Unicode Character Database 14.0 for U+2E81 to U+2EF3, which have no
# compatibility decomposition but for two: the radicals, and below each its character.
_SUPPLEMENT = (
    "⺁⺂⺃⺄⺅⺆⺇⺈⺉⺊⺋⺌⺍⺎⺏⺐⺑⺒⺓⺔⺕⺖⺗⺘⺙⺛⺜⺝⺞⺟⺠⺡⺢⺣⺤⺥⺦⺧⺨⺩⺪⺫⺬⺭⺮⺯⺰⺱⺲⺳⺴⺵⺶⺷⺸⺹⺺"
    "⺻⺼⺽⺾⺿⻀⻁⻂⻃⻄⻅⻆⻇⻈⻉⻊⻋⻌⻍⻎⻏⻐⻑⻒⻓⻔⻕⻖⻗⻘⻙⻚⻛⻜⻝⻞⻟⻠⻡⻢⻣⻤⻥⻦⻧⻨⻩⻪⻫⻬⻭⻮⻯⻰⻱⻲⻳"
)
_UNIFIED = (
    "厂乛乚乙亻冂𠘨刀刂卜㔾小小兀尣尢𡯂巳幺彑彐忄心扌攵旡日月歺母民氵氺灬爫爫丬牛犭王𤴔目示礻𥫗糹纟罓罒㓁冗𦉫羊𦍌𦍋耂肀"
    "聿肉𦥑艹艹艹虎衤覀西见角𧢲讠贝𧾷车辶辶辶邑钅長镸长门𨸏阝雨青韦页风飞食𩙿飠饣𩠐马骨鬼鱼鸟卤麦黄黾斉齐歯齿竜龙龜亀龟"
)


@cache
def unified() -> dict[str, str]:
    """The character of each radical: Kangxi radicals (U+2F00 to U+2FD5) by NFKC, CJK radicals by Unicode's
    table."""
    kangxi = map(chr, range(0x2F00, 0x2FD6))
    return {radical: unicodedata.normalize("NFKC", radical) for radical in kangxi} | dict(
        zip(_SUPPLEMENT, _UNIFIED, strict=True)
    )
