"""Masked language modelling, with a teacher's distribution mixed into the truth or without one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from mobilebert.distillation import losses
from mobilebert.training.objective import weighted_mean


class MaskedLmObjective:
    """The objective of pretraining (`training.objective.Objective`): teacher, distilled student and baselines alike.

    Without a teacher, or with a ground truth ratio of 1, it is plain masked language modelling, and no teacher is computed.
    All variables of the student are trained, or those that are named (of a head alone, say, the body frozen); neither model
    drops anything out (as in the published distillation code).
    """

    def __init__(self, student: Any, teacher: Any = None, ground_truth_ratio: float = 1.0, names: Sequence[str] | None = None) -> None:
        """Take a student and a teacher (`models.Model`) of one vocabulary, the weight of the truth against the teacher, and names."""
        self._student, self._ratio = student, ground_truth_ratio
        self._teacher = None if ground_truth_ratio == 1 else teacher
        everything = student.variables_by_name
        self.variables: Mapping[str, Any] = everything if names is None else {name: everything[name] for name in names}
        self.rate_factors: Mapping[str, float] = {}

    def loss(self, batch: Mapping[str, Any], seed: Any) -> dict[str, Any]:
        """`loss` = ratio * `hard` + (1 - ratio) * `soft` (nats a prediction), and `masked_accuracy`; float32 scalars.

        `soft` stands there only with a teacher. The parts are not weighted, so that they can be compared between trainings.

        Args:
            batch: `input_ids`, `segment_ids`, `input_mask` (B, S); `masked_positions`, `masked_ids`, `masked_weights` (B, P).
            seed: not used.
        """
        del seed
        labels, weights = tf.reshape(batch["masked_ids"], [-1]), tf.reshape(batch["masked_weights"], [-1])  # (B*P,)
        logits = masked_logits(self._student, batch)
        share = weighted_mean(tf.ones_like(weights), weights)  # of the global batch's predictions; 1 on one device
        hard = share * losses.masked_lm_loss(logits, labels, weights)
        parts = {"loss": hard, "hard": hard}
        if self._teacher is not None:
            soft = share * losses.teacher_masked_lm_loss(logits, masked_logits(self._teacher, batch), weights)
            parts |= {"loss": self._ratio * hard + (1 - self._ratio) * soft, "soft": soft}
        right = tf.cast(tf.equal(tf.argmax(logits, axis=-1, output_type=labels.dtype), labels), weights.dtype)
        parts["masked_accuracy"] = weighted_mean(right, weights)
        return {name: tf.cast(value, tf.float32) for name, value in parts.items()}


def masked_logits(model: Any, batch: Mapping[str, Any]) -> Any:
    """Logits (B*P, V), float32, at the masked positions only; `batch` as for `MaskedLmObjective.loss`."""
    encoded = model.encode(batch["input_ids"], batch["segment_ids"], batch["input_mask"])
    return model.masked_lm_logits(encoded.sequence, batch["masked_positions"])
