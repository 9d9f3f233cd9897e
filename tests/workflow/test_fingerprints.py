"""Every setting that a training receives is part of its fingerprint, and no other is: tried with each
field of each section.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel

from mobilebert.settings import Settings, without_paths
from mobilebert.training.state import workspace
from workflow.inputs import Inputs
from workflow.settings import section

WILDCARDS = SimpleNamespace(student="mini", model="mini", stage="layer02", task="chnsenticorp", repeat="0")
RECEIVED: dict[str, tuple[Callable[[Settings], str], set[str]]] = {
    "pretrain_teacher": (
        lambda told: Inputs(told).teacher.pretraining_settings(WILDCARDS),
        {"teacher.shape", "teacher.training"},
    ),
    "retrain_head": (
        lambda told: section(told, "teacher.head_training", "masking", "training", "seed")(None),
        {"teacher.head_training"},
    ),
    "transfer_layer": (
        lambda told: Inputs(told).students.transfer_settings(WILDCARDS),
        {"recipe", "transfer", "student"},
    ),
    "pretrain_student": (
        lambda told: Inputs(told).students.pretraining_settings(WILDCARDS),
        {"recipe", "pretraining", "student"},
    ),
    "finetune_task": (
        lambda told: Inputs(told).tasks.training_settings(WILDCARDS),
        {"task.chnsenticorp.training"},
    ),
}
ALL_TRAININGS = {"masking", "training", "seed"}
# Where the given student lies says nothing: its digest is among the job's arguments.
APART = {"student.from_"}


def fields(section: BaseModel, before: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Dotted name, value and annotation of every field that is no section itself."""
    for name, told in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from fields(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value, told.annotation


def another(value: Any, annotation: Any) -> Any:
    """A value that differs."""
    choices = [
        one
        for part in (annotation, *get_args(annotation))
        if get_origin(part) is Literal
        for one in get_args(part)
    ]
    choices += [True, False] if choices and bool in get_args(annotation) else []
    if choices and not isinstance(value, list):
        return next(one for one in choices if one != value)
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return f"{value}x"
    if isinstance(value, list):
        return value[:-1] or ["x"]
    return {"x": "y"} if isinstance(value, dict) else 0.125


def changed(section: BaseModel, name: str, value: Any) -> Any:
    first, _, rest = name.partition(".")
    return section.model_copy(
        update={first: changed(getattr(section, first), rest, value) if rest else value}
    )


def fingerprint(command: str, settings: Settings) -> str:
    told = without_paths(json.loads(RECEIVED[command][0](settings)))
    return workspace.fingerprint(command, told, {}, {"device": "CPU"})


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.parametrize("command", RECEIVED)
def test_what_a_training_receives_shapes_its_fingerprint_and_nothing_else_does(command: str) -> None:
    settings = Settings()
    own = RECEIVED[command][1] | (
        ALL_TRAININGS if command != "finetune_task" else ALL_TRAININGS - {"masking"}
    )
    before, differing, same = fingerprint(command, settings), set(), set()
    for name, value, annotation in fields(settings):
        if name in APART or name == "shapes":
            continue
        after = fingerprint(command, changed(settings, name, another(value, annotation)))
        (same if after == before else differing).add(name)
    expected = {
        name for name in differing | same if any(name == one or name.startswith(f"{one}.") for one in own)
    }
    assert differing == expected
    assert len(differing) > 8
