"""The recipes: whose arithmetic transfer and pretraining follow (`recipe`). No TensorFlow here.

What a recipe says stands here; settings that are not null go before it. docs/recipes.md compares the three.
"""

from __future__ import annotations

from dataclasses import dataclass

from mobilebert.settings import Optimization, Recipe, Schedule, Settings, Transfer


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
        phased: whether the rate rises and falls within each stage (`schedules.phase`), and embeddings are frozen there.
        unbroken: whether the stages are one run cut in pieces: moments go on, and layers not yet reached decay while they wait.
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
    # ymcui/Chinese-MobileBERT, pretrain/run.pretrain.sh with optimization.py (AdamW, to which the layers' multipliers are lost).
    "chinese": Rules("adamw", "per_replica", end_rate=1e-4, earlier_layers=1.0, unbroken=True),
    # google-research/mobilebert, README.md with lamb_optimizer.py and distill_util.py.
    "google": Rules("lamb", "per_replica", end_rate=1e-4, earlier_layers=0.1, boost=3.0, phased=True),
}


def filled(optimization: Optimization, recipe: Recipe) -> Optimization:
    """The settings of a training with what the recipe says in place of null."""
    rules = RULES[recipe]
    return optimization.model_copy(
        update={name: getattr(rules, name) for name in ("optimizer", "clip", "end_rate") if getattr(optimization, name) is None}
    )


def scheduled(settings: Settings) -> Settings:
    """The settings of a run with the recipe's schedule of the transfer in place of null."""
    if settings.transfer.schedule:
        return settings
    return settings.model_copy(update={"transfer": settings.transfer.model_copy(update={"schedule": RULES[settings.recipe].schedule})})


def earlier_layers(transfer: Transfer, recipe: Recipe) -> float:
    """The rate factor of the layers below the stage's."""
    return RULES[recipe].earlier_layers if transfer.earlier_layers is None else transfer.earlier_layers
