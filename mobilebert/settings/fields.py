"""The types of settings, and the block that refuses unknown keys."""

from __future__ import annotations

import os
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from mobilebert.settings.buckets import check_bucket

SMALL_WORLD = "small_world"
NAME = "^[A-Za-z0-9_][A-Za-z0-9_.-]*$"


def _not_boolean(value: Any) -> Any:
    # bool is an int in Python, and YAML reads no/yes/on/off as booleans.
    if isinstance(value, bool):
        raise ValueError("a number is expected, found true/false (YAML reads yes, no, on and off so)")
    return value


def _whole(value: Any) -> Any:
    # PyYAML reads 1e4 as text, and pydantic takes no such text for a whole number.
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise ValueError("a whole number is expected") from None
    return _not_boolean(value)


def _path(value: str) -> str:
    if value.startswith("~"):
        raise ValueError("~ is the shell's; write the path out")
    if os.sep == "/" and re.match(r"[A-Za-z]:[\\/]|\\\\", value):
        raise ValueError("a path of Windows; write it as this machine has it, such as /mnt/d/text")
    if re.match("[“”‘’]", value) and re.search("[“”‘’]$", value):
        raise ValueError("quotation marks of Chinese texts belong to the path; write \" or ' or none")
    return check_bucket(value)


def absent(value: Any) -> Any:
    """Nothing, where the text of a setting says so."""
    # Nested values of --config arrive as text.
    return None if value in ("", "null", "~", "None") else value


Number = Annotated[float, BeforeValidator(_not_boolean), Field(allow_inf_nan=False)]
Count = Annotated[int, BeforeValidator(_whole)]
PathOrUrl = Annotated[str, Field(min_length=1), AfterValidator(_path)]
FolderOrUrl = Annotated[PathOrUrl, AfterValidator(lambda folder: folder.rstrip("/") or "/")]
Name = Annotated[str, Field(pattern=NAME)]
MaybePathOrUrl = Annotated[PathOrUrl | None, BeforeValidator(absent)]
MaybeText = Annotated[str | None, BeforeValidator(absent)]


def setting(meaning: str, default: Any = ..., *, unit: str = "", source: str = "", **limits: Any) -> Any:
    """A setting: what it means, its default, its unit, where the default comes from, and pydantic's
    limits.
    """
    return Field(default, description=meaning, json_schema_extra={"unit": unit, "source": source}, **limits)


class Section(BaseModel):
    """A block of settings: unknown keys are refused, numbers written as text (`1e-4`) are accepted."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, frozen=True)
