"""Durations as people read and type them."""

from __future__ import annotations

import pytest

from mobilebert.errors import UserError
from mobilebert.training.durations import format_duration, parse_duration


def test_durations_read_well() -> None:
    shown = [format_duration(seconds) for seconds in (45, 720, 12_600, 172_800)]

    assert shown == ["45 s", "12 min", "3.5 h", "2.0 d"]


def test_durations_are_typed_with_a_unit() -> None:
    assert [parse_duration(text) for text in ("90m", "1.5h", "7d")] == [5400, 5400, 604_800]


@pytest.mark.parametrize("text", ["", "7", "d", "-1d", "7 d", "7w"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="expected for example 90m, 12h or 7d"):
        parse_duration(text)
