"""Readable lines for settings that pydantic refuses: where, what was found, what was expected."""

from __future__ import annotations

import difflib
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from mobilebert.settings.fields import NAME

# What took the place of settings that are gone.
RENAMED = {
    "corpus.simplify": "write corpus.script: simplify in the place of true, and nothing in the place of false"
}
BRANCHES = {"bool", "int", "str", "float"}  # pydantic's own names for branches of a union
MOST_SHOWN = 80  # characters of a value that a line shows
EXPECTED = {
    "model_type": "settings in lines `name: value` below it are expected",
    "dict_type": "lines `name: value` below it are expected",
    "list_type": "a list is expected, such as [{}]",
    "string_type": "a text is expected",
    "bool_parsing": "true or false is expected",
    "bool_type": "true or false is expected",
}


def lines(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """A line for each wrong setting; what the branches of a union say of one goes into one line.

    Args:
        error: what pydantic says.
        model: the section that was checked, for the names that it knows.
    """
    said: dict[str, list[str]] = {}
    for problem in error.errors():
        where, _, message = _readable(problem, model).partition(": ")
        said.setdefault(where, []).append(message)
    return [f"{where}: {' or: '.join(messages)}" for where, messages in said.items()]


def all_settings(model: type[BaseModel], prefix: str = "") -> list[str]:
    """The dotted names of all settings below a section, in the order of the pipeline."""
    names = []
    for name, field in model.model_fields.items():
        path = prefix + (field.alias or name)
        inner = section_of(field.annotation)
        names += all_settings(inner, f"{path}.") if inner else [path]
    return names


def section_of(annotation: Any) -> Any:
    """The section class inside an annotation such as `Corpus` or `list[Source]`, or None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((nested for inner in get_args(annotation) if (nested := section_of(inner))), None)


def _readable(problem: Any, model: type[BaseModel]) -> str:
    """One line for one of pydantic's findings."""
    where = _dotted(problem["loc"])
    value, kind = problem["input"], problem["type"]
    if kind == "extra_forbidden":
        where = ".".join(name for name in (_dotted(problem["loc"][:-1]), str(problem["loc"][-1])) if name)
        if where in RENAMED:
            return f"{where}: no such setting any more; {RENAMED[where]}"
        return f"{where}: no such setting{_did_you_mean(problem['loc'], model)}"
    if value is None and kind in {"model_type", "list_type"}:
        return f"{where}: is empty; remove it or fill it"
    if kind == "missing":
        return f"{where}: missing"
    message = problem["msg"].removeprefix("Value error, ")
    shown = repr(value) if len(repr(value)) <= MOST_SHOWN else f"{repr(value)[:MOST_SHOWN]}…"
    if kind in EXPECTED:
        message = EXPECTED[kind].format(shown)
    if kind == "string_pattern_mismatch" and problem["ctx"]["pattern"] == NAME:
        message = "a name of a-z, A-Z, 0-9, _, - and . is expected, - and . not first"
    if kind == "literal_error":
        message = f"expected {problem['ctx']['expected']}{_closest(str(value), problem['ctx']['expected'])}"
    message = f"{message[0].lower()}{message[1:]}"
    return f"{where}: found {shown}: {message}{_mistyped(value, message)}"


def _mistyped(value: Any, message: str) -> str:
    """What YAML makes of signs that look like others."""
    if isinstance(value, bool) and "true/false" not in message:
        return " (YAML reads yes, no, on and off as true/false: quote them)"
    if isinstance(value, str) and "：" in value:
        return " (： is a full-width colon: YAML takes `:` and a space)"
    if isinstance(value, str) and not {*"“”‘’"}.isdisjoint(value) and "quotation" not in message:
        return " (“ and ” are text to YAML: quote with \" or ')"
    return ""


def _dotted(location: tuple[str | int, ...]) -> str:
    text = ""
    for segment in location:
        if (isinstance(segment, str) and not segment.isidentifier()) or segment in {
            "bool",
            "int",
            "str",
            "float",
        }:
            continue  # pydantic's own name for a branch of a union
        text += f"[{segment}]" if isinstance(segment, int) else f".{segment}" if text else str(segment)
    return text


def _did_you_mean(location: tuple[str | int, ...], model: type[BaseModel]) -> str:
    """The nearest known name: first beside the unknown one, then anywhere."""
    unknown = str(location[-1])
    beside = difflib.get_close_matches(unknown, _known(location[:-1], model), n=1, cutoff=0.6)
    if beside:
        return f"; did you mean {_dotted((*location[:-1], beside[0]))}?"
    everywhere = {path.rsplit(".", 1)[-1]: path for path in all_settings(model)}
    nearest = difflib.get_close_matches(unknown, everywhere, n=1, cutoff=0.75)
    return f"; did you mean {everywhere[nearest[0]]}?" if nearest else ""


def _closest(value: str, expected: str) -> str:
    choices = [choice.strip(" '") for choice in expected.replace(" or ", ",").split(",")]
    nearest = difflib.get_close_matches(value, choices, n=1, cutoff=0.6)
    return f"; did you mean {nearest[0]}?" if nearest else ""


def _known(location: tuple[str | int, ...], model: Any) -> list[str]:
    """The names that a section has, by where it stands below the model."""
    for segment in location:
        if isinstance(segment, str):
            names = {field.alias or name: field for name, field in model.model_fields.items()}
            model = section_of(names[segment].annotation)
    return [field.alias or name for name, field in model.model_fields.items()]
