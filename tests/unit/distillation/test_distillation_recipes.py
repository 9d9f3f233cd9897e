"""Recipes are resolved once, to the numbers that the published programs have."""

from __future__ import annotations

from typing import Any

import pytest

from mobilebert.distillation import recipes
from mobilebert.distillation.recipes import resolve
from mobilebert.settings import Optimization, Settings, Transfer

OURS = {"optimizer": "adamw", "clip": "global", "end_rate": 0.0}
CHINESE = {"optimizer": "adamw", "clip": "per_replica", "end_rate": 1e-4}
GOOGLE = {"optimizer": "lamb", "clip": "per_replica", "end_rate": 1e-4}


def rates(optimization: Optimization) -> dict[str, Any]:
    return {name: getattr(optimization, name) for name in OURS}


@pytest.mark.parametrize(
    ("recipe", "expected", "earlier_layers", "schedule"),
    [
        ("ours", OURS, 0.1, "joint"),
        ("chinese", CHINESE, 1.0, "progressive"),
        ("google", GOOGLE, 0.1, "progressive"),
    ],
)
def test_nulls_become_what_the_recipe_says(
    recipe: str, expected: dict[str, Any], earlier_layers: float, schedule: str
) -> None:
    resolved = resolve(Settings.model_validate({"recipe": recipe}))
    assert rates(resolved.transfer.training) == rates(resolved.pretraining.training) == expected
    assert (resolved.transfer.earlier_layers, resolved.transfer.schedule) == (earlier_layers, schedule)


@pytest.mark.parametrize("recipe", recipes.RULES)
def test_the_teachers_trainings_follow_ours(recipe: str) -> None:
    teacher = resolve(Settings.model_validate({"recipe": recipe})).teacher
    assert rates(teacher.training) == rates(teacher.head_training) == OURS


@pytest.mark.parametrize("recipe", recipes.RULES)
def test_what_is_not_null_stays(recipe: str) -> None:
    training = {"optimizer": "lamb", "clip": "global", "end_rate": 0.5}
    transfer = {"schedule": "auxiliary", "earlier_layers": 0.0, "training": training}
    settings = Settings.model_validate(
        {"recipe": recipe, "transfer": transfer, "pretraining": {"training": training}}
    )
    resolved = resolve(settings)
    assert (resolved.transfer, resolved.pretraining) == (settings.transfer, settings.pretraining)


@pytest.mark.parametrize("recipe", recipes.RULES)
def test_resolving_twice_changes_nothing(recipe: str) -> None:
    resolved = resolve(Settings.model_validate({"recipe": recipe}))
    assert resolve(resolved) == resolved


@pytest.mark.parametrize("recipe", recipes.RULES)
def test_no_null_of_a_recipe_is_left(recipe: str) -> None:
    resolved = resolve(Settings.model_validate({"recipe": recipe}))
    trainings = (
        resolved.teacher.training,
        resolved.teacher.head_training,
        resolved.transfer.training,
        resolved.pretraining.training,
    )
    assert [
        name for section in (resolved.transfer, *trainings) for name, value in section if value is None
    ] == []


def test_other_settings_stay_as_they_are() -> None:
    settings = Settings()
    changed = {"teacher", "transfer", "pretraining"}
    resolved = resolve(settings)
    assert {name for name, value in settings if getattr(resolved, name) != value} == changed
    assert resolved.transfer.training.steps == Transfer().training.steps
