"""The recipes: whose arithmetic transfer and pretraining follow (`recipe`). No TensorFlow here.

What a recipe says stands here, and `resolve` puts it into settings once; what is not null goes before it.
docs/recipes.md compares the three.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from mobilebert.settings import Optimization, Recipe, Schedule, Settings, Transfer

AnySection = TypeVar("AnySection", Optimization, Transfer)


@dataclass(frozen=True)
class Rules:
    """One recipe.

    Attributes:
        optimizer: `adamw` or `lamb`.
        clip: `global` or `per_replica`.
        end_rate: where a linear decay ends, as a share of the peak.
        earlier_layers: rate factor of the layers below the stage's, 0: frozen.
        schedule: what jobs the transfer is.
        boost: factor on the rate of the stage's layers, and of those below, during progressive transfer.
        phased: whether the rate rises and falls within each stage (`schedules.phase`), and embeddings are
            frozen there.
        unbroken: whether the stages are one run cut in pieces: moments go on, and layers not yet reached
            decay while they wait.
    """

    optimizer: str
    clip: str
    end_rate: float
    earlier_layers: float
    schedule: Schedule = "progressive"
    boost: float = 1.0
    phased: bool = False
    unbroken: bool = False


RULES: dict[Recipe, Rules] = {
    # docs/quality.md compares schedules and factors.
    "ours": Rules("adamw", "global", end_rate=0.0, earlier_layers=0.1, schedule="joint"),
    # ymcui/Chinese-MobileBERT, pretrain/run.pretrain.sh with optimization.py (AdamW, to which the layers'
    # multipliers are lost).
    "chinese": Rules("adamw", "per_replica", end_rate=1e-4, earlier_layers=1.0, unbroken=True),
    # google-research/mobilebert, README.md with lamb_optimizer.py and distill_util.py.
    "google": Rules("lamb", "per_replica", end_rate=1e-4, earlier_layers=0.1, boost=3.0, phased=True),
}


def resolve(settings: Settings) -> Settings:
    """The settings with what the recipe says in place of every null that means "as the recipe has it".

    The teacher's own trainings follow `ours`, whatever the recipe. Resolved settings stay as they are.
    """
    rules, ours = RULES[settings.recipe], RULES["ours"]
    teacher, transfer, pretraining = settings.teacher, settings.transfer, settings.pretraining
    resolved = {
        "teacher": teacher.model_copy(
            update={
                "training": _filled(teacher.training, ours),
                "head_training": _filled(teacher.head_training, ours),
            }
        ),
        "transfer": _filled(transfer, rules).model_copy(
            update={"training": _filled(transfer.training, rules)}
        ),
        "pretraining": pretraining.model_copy(update={"training": _filled(pretraining.training, rules)}),
    }
    return settings.model_copy(update=resolved)


def _filled(section: AnySection, rules: Rules) -> AnySection:
    """The section with what the rules say in its fields that are null."""
    nulls = {name for name, value in section if value is None}
    return section.model_copy(update={name: value for name, value in vars(rules).items() if name in nulls})
