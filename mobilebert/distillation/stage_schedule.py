"""What makes a job per layer follow one published run: the steps of each stage, waiting decay, moments that
go on.

The published programs train all layers in one run of L * S steps, and gates on the step choose the layer.
Here a stage is a job; docs/recipes.md says where the two differ.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from mobilebert.distillation import layer_matching, recipes
from mobilebert.distillation.transfer import JOINT, stage_layers
from mobilebert.errors import UserError
from mobilebert.settings import Optimization, Recipe, Transfer
from mobilebert.training import optimizers, schedules
from mobilebert.training.loop import Span

FILE = "optimizer.safetensors"
FORMAT = 1
FACTS = "facts"


def span(recipe: Recipe, optimization: Optimization, index: int, stages: int) -> tuple[Optimization, Span]:
    """The schedule and the steps of one stage of a progressive transfer; S stands for `optimization.steps`.

    ours: steps 0 to S - 1 of a schedule of its own. chinese: steps index * S + 1 to (index + 1) * S of one
    schedule over all stages (run_pretraining.py's gate is index * S < step <= (index + 1) * S; step 0 belongs
    to no stage). google: steps 1 to S - 1 of the stage, since at its step 0 the rate is nothing and all
    moments are set to nothing (lamb_optimizer.py). Batches go on through the stages in every recipe.

    Args:
        recipe: its name.
        optimization: of one stage.
        index: of the stage, from 0 on.
        stages: how many there are.
    """
    steps, rules = optimization.steps, recipes.RULES[recipe]
    if rules.unbroken:
        return optimization.model_copy(update={"steps": stages * steps}), Span(
            index * steps + 1, (index + 1) * steps + 1
        )
    if rules.phased:
        return optimization, Span(
            1,
            steps,
            index * steps,
            lambda step: schedules.learning_rate(step, optimization) * schedules.phase(step, steps),
        )
    return optimization, Span(0, steps, index * steps)


def wait(
    variables: Mapping[str, tf.Variable],
    waiting: Collection[str],
    optimization: Optimization,
    first: int,
    last: int,
) -> None:
    """Do to the weights what AdamW does in steps `first` to `last` where all gradients and moments are 0:
    decay.

    w * product over the steps of (1 - rate * weight_decay); biases and norms stay.

    Args:
        variables: by name.
        waiting: the names of those that wait.
        optimization: the schedule.
        first: a step of it.
        last: another, that one included.
    """
    rates = schedules.learning_rate(tf.range(first, last + 1), optimization).numpy().astype(np.float64)
    logarithm = np.log1p(-np.broadcast_to(rates, last + 1 - first) * optimization.weight_decay).sum()
    for name in waiting:
        if optimizers.decays(name):
            variables[name].assign(variables[name] * tf.cast(np.exp(logarithm), variables[name].dtype))


def save(path: Path, tensors: Mapping[str, np.ndarray], span: Span, batch_size: int) -> None:
    """Write what the next stage may go on with: moments, learned projections, and how far steps and records
    are.

    Args:
        path: of the file.
        tensors: what `loop.train` returned.
        span: the steps that were taken.
        batch_size: sequences a step.
    """
    kept = {
        name: np.ascontiguousarray(array)
        for name, array in sorted(tensors.items())
        if not name.startswith("variables/") or name.startswith("variables/projection.")
    }
    facts = {"format": FORMAT, "step": span.stop, "records": (span.origin + span.stop) * batch_size}
    # One key: safetensors writes several in an order that changes from run to run.
    save_file(kept, path, metadata={FACTS: json.dumps(facts, sort_keys=True)})


def read(folder: Path, step: int) -> dict[str, np.ndarray]:
    """The moments that the stage in `folder` ended with, by name.

    Args:
        folder: the artifact of the stage before.
        step: the step that it must have come to.

    Raises:
        UserError: no such file, damaged, or of another step.
    """
    path = folder / FILE
    try:
        with safe_open(path, framework="np") as stored:
            facts = json.loads((stored.metadata() or {}).get(FACTS, "{}"))
            moments = {
                name: stored.get_tensor(name)
                for name in stored.keys()  # noqa: SIM118
                if not name.startswith("variables/")
            }
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(
            f"{path}: the moments of the stage before are needed and cannot be read ({error}); run that "
            f"stage again"
        ) from None
    if facts.get("format") != FORMAT or facts.get("step") != step:
        raise UserError(
            f"{path}: holds {json.dumps(facts)}, expected format {FORMAT} and step {step}; run that stage "
            "again"
        )
    return moments


class Stage:
    """One stage within the whole transfer.

    Attributes:
        optimization: its schedule.
    """

    def __init__(self, name: str, recipe: Recipe, settings: Transfer, depth: int) -> None:
        """Find the stage `name` of a student with `depth` layers; the settings are resolved
        (`recipes.resolve`).

        Raises:
            UserError: if there is no such stage.
        """
        matched = layer_matching.matched_layers(settings, depth)
        self._layers = stage_layers(name, depth, matched if settings.matches else None)
        self.optimization, self._span = settings.training, None
        self._unbroken = recipes.RULES[recipe].unbroken and name != JOINT
        self._index = 0
        if name != JOINT:
            self._index = matched.index(self._layers[-1])
            self.optimization, self._span = span(recipe, self.optimization, self._index, len(matched))

    def wait(self, student: Any, objective: Any) -> None:
        """Let the weights decay that this stage does not train yet, and at the very start all, since no stage
        has step 0.

        The MLM head stays: the published loss has no path to it, and where there is no gradient there is no
        decay.
        """
        if not self._unbroken or self._span is None:
            return
        above = range(self._layers[-1] + 1, student.config.num_hidden_layers + 1)
        waiting = [name for layer in above for name in student.layer_variables(layer)]
        variables = student.variables_by_name
        if not self._index:
            wait(
                variables,
                [*waiting, *(name for name in objective.variables if name in variables)],
                self.optimization,
                0,
                0,
            )
        wait(variables, waiting, self.optimization, self._span.start, self._span.stop - 1)

    def continued(self, objective: Any, previous: Path | None) -> Span:
        """The steps that the stage takes, with the moments that the stage in `previous` ended with where the
        recipe goes on from them.

        Raises:
            UserError: they are needed, and cannot be read there.
        """
        if self._span is None:
            return Span(0, self.optimization.steps)
        moments = read(previous, self._span.start) if self._unbroken and self._index and previous else {}
        trained = {name for name in objective.variables if objective.learning_rate_multipliers.get(name, 1.0)}
        kept = {name: array for name, array in moments.items() if name.partition("/")[2] in trained}
        return dataclasses.replace(self._span, moments=kept, counted=objective.counted)
