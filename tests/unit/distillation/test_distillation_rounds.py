"""A batch that a device computes in rounds: gradients and parts of every objective are those of the batch at
once.

Two devices against one: `tests/unit/training/test_training_processes.py` with a toy, `make test-models` with
every objective.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from mobilebert import models
from mobilebert.distillation.pretraining import MaskedLmObjective
from mobilebert.distillation.transfer import JOINT, TransferObjective
from mobilebert.finetuning.objective import TaskObjective
from mobilebert.models import heads
from mobilebert.settings import Optimization, Transfer
from mobilebert.training.accelerators import Accelerator
from mobilebert.training.steps import Steps, rounds

TARGETS = {
    "label": [0, 1, 1, 0],
    "start": [1, 2, 3, 1],
    "end": [2, 2, 4, 3],
    "next_sentence_labels": [0, 1, 0, 0],
}


class Kept:
    """In place of an optimizer: keeps the gradients that it is given."""

    def __init__(self, objective: Any) -> None:
        self.variables = [variable for _, variable in sorted(objective.variables.items())]

    def apply(self, gradients: list[Any], rate: tf.Tensor, sound: tf.Tensor) -> tf.Tensor:
        self.found = [None if gradient is None else tf.convert_to_tensor(gradient) for gradient in gradients]
        return tf.linalg.global_norm([gradient for gradient in self.found if gradient is not None])


def step_of(
    objective: Any, batch: dict[str, np.ndarray], device_batch: int | None, *, traced: bool
) -> tuple[dict[str, float], list[Any]]:
    """The parts by name and the gradients of one step."""
    kept = Kept(objective)
    here = Accelerator(tf.distribute.get_strategy(), "the test's CPU", 1)
    optimization, options = Optimization(), {"device_batch": device_batch}
    steps = Steps(objective, kept, optimization, 1, here, **options)  # type: ignore[arg-type]

    def step() -> tuple[tf.Tensor, list[Any]]:
        values = steps.step(
            {name: tf.constant(value) for name, value in batch.items()}, tf.constant([1, 2]), tf.constant(0.1)
        )
        return values, kept.found

    values, gradients = tf.function(step, autograph=False)() if traced else step()
    return dict(zip(steps.names, values.numpy().tolist(), strict=False)), gradients


def objective_of(kind: str, student: Any, teacher: Any) -> Any:
    if kind in ("classification", "reading"):
        still = models.build(
            dataclasses.replace(student.config, attention_probs_dropout_prob=0.0, hidden_dropout_prob=0.0), 1
        )
        width = student.config.hidden_size
        head: Any = (
            heads.SpanHead(width, 1)
            if kind == "reading"
            else heads.ClassificationHead(width, 2, 1, dropout_rate=0.0)
        )
        return TaskObjective(still, head)
    if kind in ("pretraining", "next_sentence"):
        return MaskedLmObjective(student, teacher, 0.3, next_sentence=kind == "next_sentence")
    if kind == "auxiliary":
        added = TransferObjective(
            student, teacher, Transfer(earlier_layers=0.1, schedule="auxiliary", projection="linear"), JOINT
        )
        return MaskedLmObjective(student, teacher, 0.3, transfer=added)
    losses = "published" if kind == "published" else "corrected"
    return TransferObjective(
        student,
        teacher,
        Transfer(earlier_layers=0.1, losses=losses),
        JOINT if kind == "joint" else "layer02",
        "google",
    )


@pytest.mark.parametrize(
    "kind",
    ["pretraining", "next_sentence", "auxiliary", "layer", "joint", "published", "classification", "reading"],
)
def test_gradients_and_parts_are_those_of_the_undivided_batch(
    kind: str, student: Any, teacher: Any, batch: Any
) -> None:
    """Within 1e-5 of a part's value, and of a gradient's length: float32 sums in another order."""
    shown = {
        name: array
        for name, array in batch.items()
        if not (kind in ("classification", "reading") and name.startswith("masked"))
    }
    shown |= {name: np.array(values, np.int32) for name, values in TARGETS.items()}
    for name in {"classification": ("start", "end"), "reading": ("label",)}.get(
        kind, ("start", "end", "label")
    ):
        del shown[name]
    objective = objective_of(kind, student, teacher)
    whole, expected = step_of(objective, shown, None, traced=False)
    parts, found = step_of(objective, shown, 1, traced=kind == "layer")  # tracing takes most of the time
    assert list(parts) == list(whole)
    for name, value in whole.items():
        assert parts[name] == pytest.approx(value, rel=1e-5, abs=1e-7), name
    assert [gradient is None for gradient in found] == [gradient is None for gradient in expected]
    for gradient, other in zip(found, expected, strict=True):
        if gradient is not None:
            assert np.linalg.norm(gradient - other) <= 1e-5 * np.linalg.norm(other) + 1e-7


def test_a_device_takes_the_largest_equal_parts_that_fit() -> None:
    assert [rounds(384, limit) for limit in (None, 1000, 384, 383, 100, 48, 1)] == [1, 1, 1, 2, 4, 8, 384]
    assert rounds(7, 4) == 7
