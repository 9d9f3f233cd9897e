"""Sensitive data: phone numbers, identity card numbers and e-mail addresses, each replaced by a fixed form
of its kind.

Letters and digits are half-width (`normalise`); the marks between them may be full-width, as Chinese input
methods type them.
"""

from __future__ import annotations

import re
from collections.abc import Callable

# What stands for each kind. The address is FineWeb's; zeros make no number that anyone has.
FORMS = {"email": "email@example.com", "id_card": "000000000000000000", "phone": "00000000000"}

_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9][A-Za-z0-9._%+－＿．-]{0,63}[@＠]"
    r"(?:[A-Za-z0-9-]{1,63}[.．])+[A-Za-z]{2,24}(?![A-Za-z0-9-])"
)
# Resident identity numbers: six digits of the place, the birthday, three digits, the check character (GB
# 11643-1999).
_ID_CARD = re.compile(
    r"(?<![0-9A-Za-z])[1-9]\d{5}(?:18|19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}"
    r"[0-9Xx](?![0-9A-Za-z])",
    re.ASCII,
)
_DASH = r"\-－‐‑–—―−"  # as keyboards, input methods and word processors make them
# Mobile numbers (11 digits from 13 to 19), landlines with their area code (010, 02x, 0xxx), numbers of 400
# and 800; +86, 0086 before, in brackets too.
_PHONE = re.compile(
    rf"""(?<![0-9A-Za-z.])(?<![0-9A-Za-z][{_DASH}])(?:[(（]?(?:[+＋]|00)?86[)）]?[{_DASH} ]?)?
    (?:1[3-9]\d(?:[{_DASH} ]?\d{{4}}){{2}}
    |[(（]?0(?:10|2\d|[3-9]\d{{2}})[)）]?[{_DASH} ]?[2-9]\d{{2,3}}[{_DASH} ]?\d{{4}}(?:[{_DASH}]\d{{1,5}})?
    |[48]00(?:[{_DASH}]\d{{3}}[{_DASH}]\d{{4}}|[{_DASH}]\d{{4}}[{_DASH}]\d{{3}}|\d{{7}}))(?![0-9A-Za-z])""",
    re.VERBOSE | re.ASCII,
)
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS = "10X98765432"
_ENOUGH_DIGITS = re.compile(rf"\d[\d()（） {_DASH}]{{8}}", re.ASCII)


def mask(text: str) -> tuple[str, dict[str, int]]:
    """The text with fixed forms in the place of sensitive data, and how many of each kind were replaced."""
    counts: dict[str, int] = {}
    if "@" in text or "＠" in text:
        text = _EMAIL.sub(_replacing("email", counts), text)
    if _ENOUGH_DIGITS.search(text):  # most texts have none: the look costs less than the patterns
        text = _ID_CARD.sub(_replacing("id_card", counts, checked), text)
        text = _PHONE.sub(_replacing("phone", counts), text)
    return text, counts


def checked(number: str) -> bool:
    """Whether the last character of an identity number is the one that the others ask for (ISO 7064, MOD
    11-2).
    """
    total = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, number[:17], strict=True))
    return _CHECKS[total % 11] == number[17].upper()


def _replacing(
    kind: str, counts: dict[str, int], counts_as: Callable[[str], bool] = lambda match: True
) -> Callable[[re.Match[str]], str]:
    def replaced(match: re.Match[str]) -> str:
        if match[0] == FORMS[kind] or not counts_as(match[0]):
            return match[0]
        counts[kind] = counts.get(kind, 0) + 1
        return FORMS[kind]

    return replaced
