"""JSON that is no JSON lines: arrays, objects over several lines, and tables as pandas writes them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from mobilebert.corpus.plan import FileRange
from mobilebert.corpus.readers import text_fields, text_streams
from mobilebert.corpus.readers.document import NO_TEXT_FIELD, RawDocument
from mobilebert.corpus.readers.json_values import Broken, Values
from mobilebert.corpus.readers.plain import own_name

_SHOWN = 10_000  # characters


def json_rows(file_range: FileRange) -> Iterator[RawDocument]:
    """A document a row: an object with `text_field`, or a string of an array of strings.

    Rows are the elements of an array, the values of a file of several, and what `rows` finds in an object.
    """
    fields = text_fields.names(file_range.text_field)
    number = 0
    with text_streams.open_text(file_range.path) as text:
        for value, is_element in Values(text.stream):
            for row in [value] if is_element else rows(value, fields):
                yield _document(row, fields, f"#{number}")._replace(encoding=text.encoding)
                number += 1


def rows(value: Any, fields: tuple[str, ...]) -> list[Any]:
    """The rows of an object that is none itself.

    They are in an array among its members (`{"data": [...]}`), or are its members (`{"7": {...}}`, pandas'
    `orient="index"`), or stand apart from the names of their columns (`split`), or are columns (`columns`).
    An object in which none is found is a row without text.
    """
    if not isinstance(value, dict):
        return [value]
    columns = [value.get(field) for field in fields]
    if any(isinstance(column, dict) for column in columns) or (
        any(isinstance(column, list) for column in columns)
        and all(isinstance(column, list) for column in value.values())
    ):
        return _columns(value, fields)
    if text_fields.text_of(value, fields) is not None:
        return [value]
    names, data = value.get("columns"), value.get("data")
    if isinstance(names, list) and isinstance(data, list) and all(isinstance(row, list) for row in data):
        return [dict(zip(map(str, names), row, strict=False)) for row in data]
    for members in (*value.values(), list(value.values())):
        if isinstance(members, list) and any(text_fields.text_of(row, fields) is not None for row in members):
            return members
    return [value]


def _columns(value: dict[str, Any], fields: tuple[str, ...]) -> list[Any]:
    """The rows of a table of columns, each a list or an object of its values by row."""
    columns = {
        name: column if isinstance(column, dict) else dict(enumerate(column))
        for name, column in value.items()
        if isinstance(column, dict | list)
    }
    first = next(columns[field] for field in fields if field in columns)
    if any(isinstance(item, dict | list) for item in first.values()):
        return [value]
    return [{name: column.get(row) for name, column in columns.items()} for row in first]


def _document(row: Any, fields: tuple[str, ...], name: str) -> RawDocument:
    if isinstance(row, Broken):
        return RawDocument(name, str(row), "invalid_json")
    if isinstance(row, str):
        return RawDocument(name, row)
    text = text_fields.text_of(row, fields)
    if text is None:
        shown = json.dumps(row, ensure_ascii=False)
        return RawDocument(
            name,
            shown[:_SHOWN],
            NO_TEXT_FIELD,
            len(shown.encode("utf-8", "replace")),
            text_fields.keys(row),
        )
    return RawDocument(own_name(row.get("id"), name), text)
