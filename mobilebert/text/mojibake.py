"""Replacement characters that went through another wrong encoding, and what else shows that text was lost
there.

U+FFFD is EF BF BD in UTF-8. Two of them read as GBK are 锟斤拷, as Big5 嚙踝蕭, as CP949 占쏙옙; one read as
Latin-1 is ï¿½. They become U+FFFD again, as many as there were, so that the rules on documents see them.
"""

from __future__ import annotations

import re
from functools import cache

from mobilebert.text.whatwg import REPLACEMENT

# What a text with any of it has: rare characters, so that few texts are looked at.
SIGNS = "锟錕嚙啮쏙¿Ô┐â屯烫葺铪"
_TWO = (REPLACEMENT * 2).encode()
_OF_TWO = {"gbk": "錕斤拷", "cp950": "啮踝萧", "cp949": "占쏙옙"}  # and as OpenCC converts them
# One U+FFFD: read as Latin-1, that once more, as Mac Roman, as the code pages 437 and 850 of DOS; â€ and a
# character are curly quotes, dashes and dots read as CP1252, which are lost here and there but never belong
# to Chinese text.
_ONE = "ï¿½|Ã¯Â¿Â½|ÔøΩ|∩┐╜|´┐¢|â€[\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]?"
# Fresh and freed memory of Visual C++ (CC, CD, DD, FE EE) read as GBK. 烫烫烫 is also what people say of hot
# tea.
_MEMORY = "烫{4,}|屯{3,}|葺{3,}|铪{3,}"


def restore(text: str) -> str:
    """The text with U+FFFD for each character that was lost."""
    return _pattern().sub(_lost, text)


def _lost(match: re.Match[str]) -> str:
    if match["pairs"]:
        return REPLACEMENT * (2 * len(match["pairs"]) // 3 + bool(match["odd"]))
    return REPLACEMENT * (len(match[0]) if match["memory"] else 1)


@cache
def _pattern() -> re.Pattern[str]:
    pairs = [_TWO.decode(encoding) for encoding in _OF_TWO] + list(_OF_TWO.values())
    # After an odd number the last byte takes the next one with it: 锟斤拷锟叫.
    odd = [f"{_TWO.decode(encoding)[0]}[{_beginning_with(0xBD, encoding)}]" for encoding in _OF_TWO]
    runs = f"(?P<pairs>(?:{'|'.join(pairs)})+)(?P<odd>{'|'.join(odd)})?"
    return re.compile(f"{runs}|(?P<memory>{_MEMORY})|{_ONE}|锟斤(?!斤)")


def _beginning_with(first: int, encoding: str) -> str:
    return "".join(bytes((first, second)).decode(encoding, "ignore") for second in range(0xA1, 0xFF))
