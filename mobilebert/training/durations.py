"""Durations as people read them ("45 s", "12 min", "3.5 h", "2.0 d") and type them ("90m", "12h", "7d")."""

from __future__ import annotations

import re

from mobilebert.errors import UserError

_SECONDS = {"m": 60.0, "h": 3600.0, "d": 86_400.0}


def format_duration(seconds: float) -> str:
    """The duration in the unit that fits it."""
    for unit, length, most in (("s", 1, 90), ("min", 60, 5400), ("h", 3600, 129_600)):
        if seconds < most:
            return f"{seconds / length:.{int(unit == 'h')}f} {unit}"
    return f"{seconds / 86_400:.1f} d"


def parse_duration(text: str) -> float:
    """Seconds of a number with m, h or d (minutes, hours, days).

    Raises:
        UserError: it is written otherwise.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([mhd])", text)
    if not match:
        raise UserError(f"'{text}' is no duration; expected for example 90m, 12h or 7d")
    return float(match[1]) * _SECONDS[match[2]]
