"""The text of a row by the names of its fields: `text`, `article.body`, or `title` and `body` together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

_NAMED = 12  # fields that a message names


def names(text_field: str | Sequence[str]) -> tuple[str, ...]:
    """The fields of the setting `text_field`, which is one or a list."""
    return (text_field,) if isinstance(text_field, str) else tuple(text_field)


def shown(text_field: str | Sequence[str]) -> str:
    """The fields for people: 'title' and 'body'."""
    return " and ".join(f"'{name}'" for name in names(text_field))


def text_of(row: Any, fields: Iterable[str]) -> str | None:
    """The texts of these fields, one a line, without those that are absent or empty; None if none is there.

    Args:
        row: what a row of a file holds: dicts, lists, strings and others.
        fields: `a.b` is the field `b` in `a`, if there is no field of that name; a list has its items' texts.
    """
    if not isinstance(row, dict):
        return None
    texts = [text for field in fields if (text := _text(row, field)) is not None]
    return "\n".join(filter(None, texts)) if texts else None


def keys(row: Any) -> str:
    """The fields that a row has, for a message."""
    if not isinstance(row, dict):
        return f"no fields, but {row!r:.60}" if isinstance(row, int | float | str) else "no fields"
    rest = len(row) - _NAMED
    return ", ".join(
        [*(f"{key}"[:60] for key in list(row)[:_NAMED]), *([f"{rest} more"] if rest > 0 else [])]
    )


def _text(value: Any, path: str) -> str | None:
    if isinstance(value, list):
        texts = [text for item in value if (text := _text(item, path)) is not None]
        return "\n".join(texts) if texts else None
    if not path:
        return value if isinstance(value, str) else None
    if not isinstance(value, dict):
        return None
    if path in value:
        return _text(value[path], "")
    head, _, rest = path.partition(".")
    return _text(value[head], rest) if rest and head in value else None
