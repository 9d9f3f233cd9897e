"""From Snakemake's merged configuration to checked settings, and from settings to what a rule receives."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from snakemake.exceptions import WorkflowError

from mobilebert.distillation import recipes
from mobilebert.settings import Settings, to_json
from workflow import combinations


def load(config: Mapping[str, Any], files: Iterable[str | Path]) -> Settings:
    """The checked settings of this run.

    Args:
        config: what Snakemake merged from config.yaml, --configfile and --config.
        files: the configuration files, for keys that stand twice in one of them (YAML keeps the last
            silently).

    Raises:
        WorkflowError: one readable line for each thing that is wrong, before any job runs.
    """
    conflicts = [line for file in files for line in repeated_keys(file)]
    try:
        settings = recipes.resolve(Settings.model_validate(config))
    except ValidationError as error:
        conflicts += _lines(error)
    else:
        conflicts += combinations.conflicts(settings)
    if conflicts:
        raise WorkflowError(
            "\n".join(
                [
                    "The settings need mending (docs/settings.md lists them all):",
                    *(f"  {line}" for line in conflicts),
                ]
            )
        )
    return settings


def section(settings: Settings, *names: str) -> Callable[[Any], str]:
    """A function for `params`: Snakemake would read the braces of a plain JSON text as wildcards."""
    text = to_json(settings, *names)
    return lambda wildcards: text


def repeated_keys(file: str | Path) -> list[str]:
    """A line for every mapping key of a YAML file that stands twice in the same mapping."""
    file = Path(file)
    if file.suffix not in {".yaml", ".yml"} or not file.is_file():
        return []
    root = yaml.compose(file.read_text("utf-8"), yaml.SafeLoader)
    return [
        f"{file}:{line}: '{key}' stands twice; the first one would be lost, so remove one"
        for key, line in _repeated(root)
    ]


def _repeated(node: yaml.Node | None, above: tuple[yaml.Node, ...] = ()) -> Iterable[tuple[str, int]]:
    if any(node is one for one in above):  # an alias of what it stands in
        return
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                yield name, key.start_mark.line + 1
            seen.add(name)
            yield from _repeated(value, (*above, node))
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _repeated(item, (*above, node))


def _lines(error: ValidationError) -> list[str]:
    """A line for each wrong setting; what the branches of a union say of one goes into one line."""
    said: dict[str, list[str]] = {}
    for problem in error.errors():
        where, _, message = _readable(problem).partition(": ")
        said.setdefault(where, []).append(message)
    return [f"{where}: {' or: '.join(messages)}" for where, messages in said.items()]


def _readable(problem: Any) -> str:
    """One line for one of pydantic's findings: where, what was found, what was expected."""
    where = _dotted(problem["loc"])
    value = problem["input"]
    if problem["type"] == "extra_forbidden":
        return f"{where}: no such setting{_did_you_mean(problem['loc'])}"
    message = problem["msg"].removeprefix("Value error, ")
    if value is None and problem["type"] in {"model_type", "list_type"}:
        return f"{where}: is empty; remove it or fill it"
    if isinstance(value, bool) and "true/false" not in message:
        message += " (YAML reads yes, no, on and off as true/false: quote them)"
    if problem["type"] == "missing":
        return f"{where}: missing"
    if problem["type"] == "literal_error":
        message = f"expected {problem['ctx']['expected']}{_closest(str(value), problem['ctx']['expected'])}"
    return f"{where}: found {value!r}: {message[0].lower()}{message[1:]}"


def _dotted(location: tuple[str | int, ...]) -> str:
    text = ""
    for segment in location:
        if (isinstance(segment, str) and not segment.isidentifier()) or segment in {"int", "str", "float"}:
            continue  # pydantic's own name for a branch of a union
        text += f"[{segment}]" if isinstance(segment, int) else f".{segment}" if text else str(segment)
    return text


def _did_you_mean(location: tuple[str | int, ...]) -> str:
    """The nearest known name: first beside the unknown one, then anywhere."""
    unknown = str(location[-1])
    beside = difflib.get_close_matches(unknown, known_settings(location[:-1]), n=1, cutoff=0.6)
    if beside:
        return f"; did you mean {_dotted((*location[:-1], beside[0]))}?"
    everywhere = {path.rsplit(".", 1)[-1]: path for path in all_settings()}
    nearest = difflib.get_close_matches(unknown, everywhere, n=1, cutoff=0.75)
    return f"; did you mean {everywhere[nearest[0]]}?" if nearest else ""


def _closest(value: str, expected: str) -> str:
    choices = [choice.strip(" '") for choice in expected.replace(" or ", ",").split(",")]
    nearest = difflib.get_close_matches(value, choices, n=1, cutoff=0.6)
    return f"; did you mean {nearest[0]}?" if nearest else ""


def known_settings(location: tuple[str | int, ...]) -> list[str]:
    """The names that a section has, by the section's place in the settings."""
    model: Any = Settings
    for segment in location:
        if isinstance(segment, str):
            names = {field.alias or name: field for name, field in model.model_fields.items()}
            model = section_of(names[segment].annotation)
    return [field.alias or name for name, field in model.model_fields.items()]


def all_settings(model: type[BaseModel] = Settings, prefix: str = "") -> list[str]:
    """The dotted names of all settings, in the order of the pipeline."""
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
