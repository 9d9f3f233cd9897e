"""Knowledge transfer: a student's layers learn to give what the teacher's layers give.

A stage trains one layer (`layer01`, `layer02`, ...) or all of them (`joint`), and computes no layer above those that it needs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from mobilebert.distillation import losses
from mobilebert.errors import UserError
from mobilebert.settings import Transfer
from mobilebert.training.objective import weighted_mean

JOINT = "joint"
PARTS = ("feature_map", "attention", "mean", "variance")


def stage_layers(stage: str, depth: int) -> tuple[int, ...]:
    """The layers (1-based) that a stage trains, of a model with `depth` layers.

    Raises:
        UserError: if there is no such stage.
    """
    if stage == JOINT:
        return tuple(range(1, depth + 1))
    found = re.fullmatch(r"layer(\d\d+)", stage)
    if found is None or not 1 <= int(found[1]) <= depth:
        raise UserError(f"--stage: '{stage}' is no stage of a student with {depth} layers; give layer01 to layer{depth:02d}, or {JOINT}")
    return (int(found[1]),)


class TransferObjective:
    """The objective of one stage (`training.objective.Objective`).

    `variables` are the stage's layers, with the embeddings if layer 1 is among them. Everything below is frozen when
    `transfer.earlier_layers` is 0, and learns at that share of the rate otherwise. The MLM head gets no gradient here.
    """

    def __init__(self, student: Any, teacher: Any, settings: Transfer, stage: str) -> None:
        """Take a student and a teacher (`models.Model`) of equal depth, heads and hidden size.

        Raises:
            UserError: if the student has no such stage.
        """
        self._student, self._teacher, self._settings = student, teacher, settings
        self._form = losses.form(settings.losses)
        self._depth = student.shape.num_hidden_layers
        self.layers = stage_layers(stage, self._depth)
        self.variables, self.rate_factors = _trained(student, self.layers, settings.earlier_layers)

    def loss(self, batch: Mapping[str, Any], seed: Any) -> dict[str, Any]:
        """The weighted parts (`feature_map`, `attention`, `mean`, `variance`) and their sum `loss`, float32 scalars.

        Args:
            batch: `input_ids`, `segment_ids`, `input_mask`, each (B, S).
            seed: not used, neither model drops anything out (as in the published code).
        """
        del seed
        inputs = batch["input_ids"], batch["segment_ids"], batch["input_mask"]
        student = self._student.encode(*inputs, layers=self.layers[-1])
        teacher = self._teacher.encode(*inputs, layers=None if self._form.all_outputs else self.layers[-1])
        mask = batch["input_mask"] if self._form.ignores_padding else None
        # A replica's share of the global batch's tokens: 1 on one device, and where padding counts.
        share = 1.0 if mask is None else weighted_mean(tf.ones_like(mask), mask)
        parts = dict.fromkeys(PARTS, tf.constant(0.0))
        for layer in self.layers:
            for name, value in self._layer_parts(layer, teacher, student, mask).items():
                parts[name] += share * tf.cast(value, tf.float32)
        return {"loss": tf.add_n(list(parts.values())), **parts}

    def _layer_parts(self, layer: int, teacher: Any, student: Any, mask: Any) -> dict[str, Any]:
        """The parts of one layer; a part whose weight is 0 is not computed."""
        chosen, form = self._settings, self._form
        divisor = form.divisor(layer, self._depth)
        target, found = teacher.hidden[layer], student.hidden[layer]  # (B, S, H)
        parts = {}
        if chosen.feature_map_factor:
            parts["feature_map"] = losses.feature_map_transfer(
                target, found, mask, divisor, chosen.feature_map_factor, epsilon=form.epsilon
            )
        if chosen.attention_factor:
            scores = teacher.scores[layer - 1], student.scores[layer - 1]  # (B, A, S, S)
            parts["attention"] = losses.attention_transfer(*scores, mask, divisor, chosen.attention_factor)
        # The TF1 code computes neither statistic if one of the two weights is 0.
        if form.all_outputs and not (chosen.mean_factor and chosen.variance_factor):
            return parts
        if form.all_outputs:
            target = tf.stack(teacher.hidden)  # (L+1, B, S, H)
        if chosen.mean_factor:
            parts["mean"] = losses.mean_transfer(target, found, mask, divisor, chosen.mean_factor)
        if chosen.variance_factor:
            parts["variance"] = losses.variance_transfer(target, found, mask, divisor, chosen.variance_factor)
        return parts


def _trained(student: Any, layers: tuple[int, ...], earlier: float) -> tuple[dict[str, Any], dict[str, float]]:
    """The trained variables by transformers key, and the share of the rate of those that learn slower."""
    own = [name for layer in layers for name in student.layer_variables(layer)]
    below = [name for layer in range(1, layers[0]) for name in student.layer_variables(layer)]
    if layers[0] == 1:
        own = [*student.embedding_names, *own]
    else:
        below = [*student.embedding_names, *below]
    names = [*below, *own] if earlier else own
    return {name: student.variables_by_name[name] for name in names}, {name: earlier for name in below if earlier}
