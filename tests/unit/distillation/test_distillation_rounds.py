"""A batch that a device computes in rounds: gradients and parts of every objective are those of the batch at once."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
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

TARGETS = {"label": [0, 1, 1, 0], "start": [1, 2, 3, 1], "end": [2, 2, 4, 3], "next_sentence_labels": [0, 1, 0, 0]}


class Kept:
    """In place of an optimizer: keeps the gradients that it is given."""

    def __init__(self, objective: Any) -> None:
        self.variables = [variable for _, variable in sorted(objective.variables.items())]

    def apply(self, gradients: list[Any], rate: tf.Tensor, sound: tf.Tensor) -> tf.Tensor:
        self.found = [None if gradient is None else tf.convert_to_tensor(gradient) for gradient in gradients]
        return tf.linalg.global_norm([gradient for gradient in self.found if gradient is not None])


def step_of(objective: Any, batch: dict[str, np.ndarray], device_batch: int | None, *, traced: bool) -> tuple[dict[str, float], list[Any]]:
    """The parts by name and the gradients of one step."""
    kept = Kept(objective)
    here = Accelerator(tf.distribute.get_strategy(), "the test's CPU", 1)
    steps = Steps(objective, kept, Optimization(), 1, here, device_batch=device_batch)  # type: ignore[arg-type]

    def step() -> tuple[tf.Tensor, list[Any]]:
        values = steps.step({name: tf.constant(value) for name, value in batch.items()}, tf.constant([1, 2]), tf.constant(0.1))
        return values, kept.found

    values, gradients = tf.function(step, autograph=False)() if traced else step()
    return dict(zip(steps.names, values.numpy().tolist(), strict=False)), gradients


def objective_of(kind: str, student: Any, teacher: Any) -> Any:
    if kind in ("classification", "reading"):
        still = models.build(dataclasses.replace(student.shape, attention_probs_dropout_prob=0.0, hidden_dropout_prob=0.0), 1)
        width = student.shape.hidden_size
        head: Any = heads.SpanHead(width, 1) if kind == "reading" else heads.ClassificationHead(width, 2, 1, dropout_rate=0.0)
        return TaskObjective(still, head)
    if kind in ("pretraining", "next_sentence"):
        return MaskedLmObjective(student, teacher, 0.3, next_sentence=kind == "next_sentence")
    if kind == "auxiliary":
        added = TransferObjective(student, teacher, Transfer(schedule="auxiliary", projection="linear"), JOINT)
        return MaskedLmObjective(student, teacher, 0.3, transfer=added)
    losses = "published" if kind == "published" else "corrected"
    return TransferObjective(student, teacher, Transfer(losses=losses), JOINT if kind == "joint" else "layer02", "google")


@pytest.mark.parametrize("kind", ["pretraining", "next_sentence", "auxiliary", "layer", "joint", "published", "classification", "reading"])
def test_gradients_and_parts_are_those_of_the_undivided_batch(kind: str, student: Any, teacher: Any, batch: Any) -> None:
    """Within 1e-5 of a part's value, and of a gradient's length: float32 sums in another order."""
    shown = {name: array for name, array in batch.items() if not (kind in ("classification", "reading") and name.startswith("masked"))}
    shown |= {name: np.array(values, np.int32) for name, values in TARGETS.items()}
    for name in {"classification": ("start", "end"), "reading": ("label",)}.get(kind, ("start", "end", "label")):
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


@pytest.fixture(scope="module")
def replicated(root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one and two devices came to, for pretraining and for measures."""
    program, file = Path(__file__).with_name("replicated.py"), tmp_path_factory.mktemp("replicated") / "found.json"
    environment = os.environ | {"PYTHONPATH": str(root), "TF_CPP_MIN_LOG_LEVEL": "2"}
    command = [sys.executable, str(program), str(file), "pretraining, LAMB", "measures"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(file.read_text()))


def test_two_devices_in_rounds_give_the_losses_of_one_at_once(replicated: dict[str, Any]) -> None:
    """Pretraining with a teacher and next sentences, three steps of LAMB; `make test-models` does it with every objective.

    Relative tolerance 1e-4: float32 sums in another order.
    """
    one, two = replicated["pretraining, LAMB"]
    assert np.shape(one) == (3, 2)
    np.testing.assert_allclose(two, one, rtol=1e-4)


def test_two_devices_measure_and_predict_as_one_does(replicated: dict[str, Any]) -> None:
    """Seven held-out records and seven examples in batches of three, which two devices take as four: 1e-6 relative."""
    one, two = replicated["measures"]
    assert (one["batches"], two["batches"]) == ([3, 3, 1], [4, 3])
    assert one["predictions"] == two["predictions"] == sum(row % 4 for row in range(7))
    assert one["masked_accuracy"] == two["masked_accuracy"]
    assert two["masked_loss"] == pytest.approx(one["masked_loss"], rel=1e-6)
    np.testing.assert_allclose(two["logits"], one["logits"], rtol=1e-6, atol=1e-7)
    assert np.ptp(one["logits"], axis=0).min() > 1e-3, "the examples differ"
