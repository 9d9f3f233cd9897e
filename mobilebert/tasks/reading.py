"""Reading comprehension files: the SQuAD-like layout of CMRC 2018, and the list layout in which it first came
out.

    {"version", "data": [{"paragraphs": [{"context", "qas": [{"id", "question", "answers": [{"text",
    "answer_start"}]}]}]}]} [{"context_id", "context_text", "qas": [{"query_id", "query_text", "answers":
    [text, ...]}]}]

The official files hold offsets of -1 and some that point elsewhere; such an answer is looked for in the
context.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mobilebert.errors import UserError
from mobilebert.tasks.examples import Answer, Reading, Split, read_text

UNKNOWN = -1  # the official files' mark for "not found", and ours


def read(path: Path, split: str, *, training: bool) -> Split:
    """All questions of the file, in order.

    Counts: `examples`, `contexts`, `answers`; `relocated` (the offset was wrong, the text stands elsewhere in
    the context); `dropped` (training only: the answer does not stand in the context); `dropped_examples` (no
    answer was left); `not_in_context` (dev: kept as text, with offset -1).

    Raises:
        UserError: where the file is not JSON (line and column), not one of the layouts, or an id stands there
            twice.
    """
    text = read_text(path)
    try:
        body = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path}, line {error.lineno}, column {error.colno}: not JSON ({error.msg})"
        ) from None
    counts: Counter[str] = Counter(examples=0, relocated=0)
    examples: dict[str, Reading] = {}
    for context, identifier, question, answers in _questions(path, body, counts):
        if identifier in examples:
            raise UserError(
                f"{path}: the question id '{identifier}' stands there twice; ids must differ, since "
                f"predictions go by them"
            )
        located = [_locate(context, text, start, counts) for text, start in answers]
        if training:
            counts["dropped"] += sum(answer.start == UNKNOWN for answer in located)
            located = [answer for answer in located if answer.start != UNKNOWN]
        else:
            counts["not_in_context"] += sum(answer.start == UNKNOWN for answer in located)
        if located:
            examples[identifier] = Reading(identifier, context, question, tuple(located))
        else:
            counts["dropped_examples"] += 1
    if not examples:
        raise UserError(f"{path}: no question with an answer in its context")
    counts["examples"] = len(examples)
    return Split(list(examples.values()), counts)


def _locate(context: str, text: str, start: int | None, counts: Counter[str]) -> Answer:
    """The answer with an honest offset; of several places in the context the nearest to the given one,
    else the first.
    """
    counts["answers"] += 1
    if start is not None and start >= 0 and context.startswith(text, start):
        return Answer(text, start)
    positions = list(_places(context, text))
    if not positions:
        return Answer(text, UNKNOWN)
    if start is not None:
        counts["relocated"] += 1
    near = start if start is not None and start >= 0 else 0
    return Answer(text, min(positions, key=lambda position: abs(position - near)))


def _places(context: str, text: str) -> Iterator[int]:
    at = context.find(text)
    while at >= 0:
        yield at
        at = context.find(text, at + 1)


# context, question id, question, answers as (text, given offset or None)
Found = tuple[str, str, str, list[tuple[str, int | None]]]


def _questions(path: Path, body: Any, counts: Counter[str]) -> Iterator[Found]:
    if isinstance(body, list):
        yield from _list_layout(path, body, counts)
    elif isinstance(body, dict) and "data" in body:
        yield from _squad_layout(path, body, counts)
    else:
        keys = ", ".join(list(body)[:5]) if isinstance(body, dict) else type(body).__name__
        raise UserError(f'{path}: neither {{"data": [...]}} nor a list of contexts, found: {keys}')


def _squad_layout(path: Path, body: dict[str, Any], counts: Counter[str]) -> Iterator[Found]:
    for number, article in enumerate(_get(path, body, "data", list, "top level")):
        for at, paragraph in enumerate(_get(path, article, "paragraphs", list, f"data[{number}]")):
            where = f"data[{number}].paragraphs[{at}]"
            context = _get(path, paragraph, "context", str, where)
            counts["contexts"] += 1
            for index, item in enumerate(_get(path, paragraph, "qas", list, where)):
                here = f"{where}.qas[{index}]"
                answers = [
                    (
                        _filled(path, answer, f"{here}.answers[{n}]"),
                        _get(path, answer, "answer_start", int, f"{here}.answers[{n}]"),
                    )
                    for n, answer in enumerate(_get(path, item, "answers", list, here))
                ]
                yield (
                    context,
                    str(_get(path, item, "id", (str, int), here)),
                    _get(path, item, "question", str, here),
                    answers,
                )


def _list_layout(path: Path, body: list[Any], counts: Counter[str]) -> Iterator[Found]:
    for number, item in enumerate(body):
        where = f"[{number}]"
        context = _get(path, item, "context_text", str, where)
        counts["contexts"] += 1
        for index, query in enumerate(_get(path, item, "qas", list, where)):
            here = f"{where}.qas[{index}]"
            answers = _get(path, query, "answers", list, here)
            texts: list[tuple[str, int | None]] = [
                (_filled(path, {"text": text}, f"{here}.answers[{n}]"), None)
                for n, text in enumerate(answers)
            ]
            yield (
                context,
                str(_get(path, query, "query_id", (str, int), here)),
                _get(path, query, "query_text", str, here),
                texts,
            )


def _filled(path: Path, answer: Any, where: str) -> str:
    # The official list layout holds some numbers where a spreadsheet changed the answer (20.0 for 20岁): text
    # that is not in the context.
    text = str(_get(path, answer, "text", (str, int, float), where))
    if not text:
        raise UserError(f"{path}, {where}: the answer is empty")
    return text


def _get(path: Path, item: Any, key: str, kind: type | tuple[type, ...], where: str) -> Any:
    if not isinstance(item, dict):
        raise UserError(f"{path}, {where}: an object is expected, found {type(item).__name__}")
    if key not in item:
        raise UserError(
            f"{path}, {where}: no '{key}' (found: {', '.join(map(str, list(item)[:6])) or 'nothing'})"
        )
    if not isinstance(item[key], kind) or isinstance(item[key], bool):
        raise UserError(
            f"{path}, {where}.{key}: of type {type(item[key]).__name__}, which is not what the layout "
            f"has "
            f"there"
        )
    return item[key]
