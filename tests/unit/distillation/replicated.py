"""A program for tests: three steps of every objective on one device, and on two that take their share in
rounds; and measures.

    python replicated.py FILE [OBJECTIVE ...]

writes JSON: objective (those that are named, or all) -> [rows of one device, rows of two], a row being the
loss and the gradient's norm of a step; measures -> [those of one device, those of two] of an untrained model.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from mobilebert import models
from mobilebert.distillation import evaluation
from mobilebert.distillation.pretraining import MaskedLmObjective
from mobilebert.distillation.transfer import TransferObjective
from mobilebert.finetuning import predictions
from mobilebert.finetuning.features import Features
from mobilebert.finetuning.objective import TaskObjective
from mobilebert.models import heads
from mobilebert.models.configs import BertConfig, MobileBertConfig
from mobilebert.settings import Masking, Optimization, Transfer
from mobilebert.training import optimizers
from mobilebert.training.accelerators import Accelerator
from mobilebert.training.steps import Steps

VOCABULARY, BATCH, LENGTH, PREDICTIONS, STEPS, WIDTH = 40, 4, 12, 3, 3, 16


def made(precision: str) -> tuple[Any, Any]:
    """A student and a teacher of one layer, without dropout."""
    common: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": WIDTH,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "max_position_embeddings": 16,
        "initializer_range": 0.2,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }
    student = MobileBertConfig(
        **common,
        embedding_size=WIDTH,
        intermediate_size=24,
        intra_bottleneck_size=8,
        num_feedforward_networks=2,
        key_query_shared_bottleneck=True,
    )
    return models.build(student, 1, compute_dtype=precision), models.build(
        BertConfig(**common, intermediate_size=32), 2, compute_dtype=precision
    )


OBJECTIVES: dict[str, tuple[str, str, Callable[[Any, Any], Any]]] = {
    "pretraining, LAMB": (
        "lamb",
        "float32",
        lambda student, teacher: MaskedLmObjective(student, teacher, 0.3, next_sentence=True),
    ),
    "transfer": (
        "adamw",
        "float32",
        lambda student, teacher: TransferObjective(
            student, teacher, Transfer(earlier_layers=0.1), "layer01", "google"
        ),
    ),
    "joint, bfloat16": (
        "adamw",
        "bfloat16",
        lambda student, teacher: TransferObjective(student, teacher, Transfer(earlier_layers=0.1), "joint"),
    ),
    "classification": (
        "adamw",
        "float32",
        lambda student, _: TaskObjective(student, heads.ClassificationHead(WIDTH, 2, 1, dropout_rate=0.0)),
    ),
    "reading, bfloat16": (
        "adamw",
        "bfloat16",
        lambda student, _: TaskObjective(student, heads.SpanHead(WIDTH, 1)),
    ),
}


def batches(names: tuple[str, ...]) -> Callable[[int], tf.data.Dataset]:
    """Start step -> batches whose halves have unlike many tokens and predictions."""

    def batch(step: int) -> dict[str, np.ndarray]:
        numbers = np.random.default_rng(step)
        mask = (np.arange(LENGTH) < np.array([12, 10, 5, 4])[:, None]).astype(np.int32)
        weights = np.array([[1, 1, 1], [1, 1, 0], [1, 0, 0], [0, 0, 0]], np.float32)
        features = {
            "input_ids": numbers.integers(1, VOCABULARY, (BATCH, LENGTH)).astype(np.int32) * mask,
            "segment_ids": np.zeros((BATCH, LENGTH), np.int32),
            "input_mask": mask,
            "masked_positions": np.sort(numbers.integers(1, 4, (BATCH, PREDICTIONS)), axis=1).astype(
                np.int32
            ),
            "masked_ids": numbers.integers(1, VOCABULARY, (BATCH, PREDICTIONS)).astype(np.int32),
            "masked_weights": weights,
        }
        features |= {
            name: numbers.integers(0, 2, BATCH).astype(np.int32)
            for name in ("next_sentence_labels", "label", "start", "end")
        }
        return {name: features[name] for name in names}

    stacked = {name: np.stack([batch(step)[name] for step in range(STEPS)]) for name in names}
    return lambda start: tf.data.Dataset.from_tensor_slices(stacked)


def rows(name: str, accelerator: Accelerator, device_batch: int | None) -> list[list[float]]:
    optimizer_name, precision, objective_of = OBJECTIVES[name]
    targets = {"classification": ("label",), "reading, bfloat16": ("start", "end")}
    target_names = targets.get(
        name, ("masked_positions", "masked_ids", "masked_weights", "next_sentence_labels")
    )
    # A warm-up, since Adam's first steps have one length whatever the gradient is, so that rounding alone
    # would show.
    optimization = Optimization(
        steps=STEPS, learning_rate=1e-3, decay="constant", warmup_steps=STEPS, optimizer=optimizer_name
    )
    with accelerator.scope():
        objective = objective_of(*made(precision))
        optimizer = optimizers.make(
            objective.variables,
            objective.learning_rate_multipliers,
            optimization,
            getattr(objective, "counted", ()),
        )
    steps = Steps(objective, optimizer, optimization, 1, accelerator, device_batch=device_batch)
    steps.feed(batches(("input_ids", "segment_ids", "input_mask", *target_names)), 0)
    scalars = steps.run(0, STEPS)
    return scalars[:, [steps.names.index(scalar) for scalar in ("loss", "gradient_norm")]].tolist()


class HeldOut:
    """Seven held-out records, as `records.reader.RecordSet` gives them."""

    heldout_count, sequence_length, next_sentence, unigram_accuracy = 7, LENGTH, False, 0.05

    def predictions(self, masking: Masking) -> int:
        return PREDICTIONS

    def heldout_batch(self, masking: Masking, batch_size: int, seed: int, step: int) -> dict[str, np.ndarray]:
        numbers, index = np.random.default_rng(seed), np.arange(step * batch_size, (step + 1) * batch_size)
        rows = np.minimum(index, self.heldout_count - 1)
        weights = (np.arange(PREDICTIONS) < (rows % 4)[:, None]) & (index < self.heldout_count)[:, None]
        return {
            "input_ids": numbers.integers(1, VOCABULARY, (self.heldout_count, LENGTH)).astype(np.int32)[rows],
            "segment_ids": np.zeros((batch_size, LENGTH), np.int32),
            "input_mask": np.ones((batch_size, LENGTH), np.int32),
            "masked_positions": np.tile(np.arange(PREDICTIONS, dtype=np.int32), (batch_size, 1)),
            "masked_ids": numbers.integers(1, VOCABULARY, (self.heldout_count, PREDICTIONS)).astype(np.int32)[
                rows
            ],
            "masked_weights": weights.astype(np.float32),
        }


def measures(accelerator: Accelerator) -> dict[str, Any]:
    """What evaluation.json tells of a model, and a task's logits: of 7 examples, asked for in batches of
    3.
    """
    with accelerator.scope():
        model, head = made("float32")[0], heads.ClassificationHead(WIDTH, 2, 1, dropout_rate=0.0)
    ids = np.random.default_rng(1).integers(1, VOCABULARY, (7, LENGTH)).astype(np.int32)
    examples = Features(
        ids, np.full(7, 4, np.int32), np.arange(6, 13, dtype=np.int32), {"label": np.zeros(7, np.int32)}
    )
    logits = list(predictions.Forward(model, head, accelerator).logits(examples, 3))
    evaluated = evaluation.masked_lm(model, HeldOut(), Masking(), 3, 9, accelerator)
    return evaluated | {
        "logits": np.concatenate(logits).tolist(),
        "batches": [len(batch) for batch in logits],
    }


def main(file: Path, names: list[str]) -> None:
    device = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(device, [tf.config.LogicalDeviceConfiguration()] * 2)
    one = Accelerator(tf.distribute.get_strategy(), "one", 1)
    two = Accelerator(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]), "two", 2)
    results: dict[str, Any] = {
        name: [rows(name, one, None), rows(name, two, 1)]
        for name in OBJECTIVES
        if name in (names or OBJECTIVES)
    }
    file.write_text(json.dumps(results | {"measures": [measures(one), measures(two)]}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
