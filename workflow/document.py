"""Writes docs/settings.md and workflow/settings.schema.json from `mobilebert.settings`: `make settings`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mobilebert.settings import Settings
from mobilebert.settings.refusals import section_of
from mobilebert.storage.atomic import canonical_json

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "settings.md"
SCHEMA = ROOT / "workflow" / "settings.schema.json"
HEAD = """# Settings

Generated from `mobilebert/settings/` by `make settings`; do not edit. The settings of a run stand in
`config.yaml`, a preset (`--configfile presets/base-f2.yaml`) goes over it, and `--config run=mine seed=3`
over both. Mappings are merged, lists are replaced. A stage reruns when one of its own settings changes, and
with it what follows; a comment or another order of the keys reruns nothing. Unknown keys, wrong types and
wrong combinations end the run before any job starts.
"""


def schema() -> str:
    """The JSON schema of the settings, for editors."""
    return canonical_json(Settings.model_json_schema(by_alias=True)).decode()


def document() -> str:
    """docs/settings.md: a table for each section, in the order of the pipeline."""
    tables = "".join(_sections(Settings, ""))
    return f"{HEAD}\n## The run\n\n{_table(Settings, '')}{tables}"


def _sections(model: type[BaseModel], prefix: str) -> list[str]:
    """Headed tables of the sections inside a section."""
    sections = []
    for name, field in model.model_fields.items():
        inner = section_of(field.annotation)
        if inner is None:
            continue
        path = f"{prefix}{field.alias or name}"
        rows = _table(inner, f"{path}.")
        if rows:
            sections.append(f"\n## {path}\n\n{(inner.__doc__ or '').strip()}\n\n{rows}")
        sections += _sections(inner, f"{path}.")
    return sections


def _table(model: type[BaseModel], prefix: str) -> str:
    rows = [
        _row(f"{prefix}{field.alias or name}", field)
        for name, field in model.model_fields.items()
        if section_of(field.annotation) is None
    ]
    return (
        "| setting | type | default | meaning | source |\n|---|---|---|---|---|\n" + "".join(rows)
        if rows
        else ""
    )


def _row(path: str, field: FieldInfo) -> str:
    extra = field.json_schema_extra
    unit, source = (extra.get("unit", ""), extra.get("source", "")) if isinstance(extra, dict) else ("", "")
    default = "(needed)" if field.is_required() else f"`{json.dumps(field.default, ensure_ascii=False)}`"
    meaning = f"{field.description} ({unit})" if unit else str(field.description)
    return f"| `{path}` | {_type(field.annotation)} | {default} | {meaning} | {source} |\n"


def _type(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(annotation))
    if get_origin(annotation) is Annotated:
        return _type(get_args(annotation)[0])
    if get_origin(annotation) is list:
        return f"list of {_type(get_args(annotation)[0])}"
    if get_origin(annotation) is dict:
        return "mapping of names to " + _type(get_args(annotation)[1])
    if members := get_args(annotation):
        return " or ".join(_type(member) for member in members)
    names = {str: "text", int: "whole number", float: "number", bool: "true or false", type(None): "null"}
    return names.get(annotation, str(annotation))


def main() -> None:
    """Write both files."""
    DOCUMENT.parent.mkdir(exist_ok=True)
    DOCUMENT.write_text(document(), encoding="utf-8")
    SCHEMA.write_text(schema(), encoding="utf-8")


if __name__ == "__main__":
    main()
