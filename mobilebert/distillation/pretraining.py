"""Masked language modelling, with a teacher's distribution mixed into the truth or without one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from mobilebert.distillation import losses
from mobilebert.errors import UserError
from mobilebert.models.model import initial
from mobilebert.models.parameters import Kind, Tensor
from mobilebert.training.objective import weighted_mean

WEIGHTS = "masked_weights"
PAIR_HEAD = "cls.seq_relationship"
HEAD_SEED, HEAD_DEVIATION = 0, 0.02


class MaskedLmObjective:
    """The objective of pretraining (`training.objective.Objective`): teacher, distilled student and baselines
    alike.

    Without a teacher, or with a ground truth ratio of 1, it is plain masked language modelling, and no
    teacher is computed. All variables of the student are trained, or those that are named (of a head alone,
    say, the body frozen); neither model drops anything out (as in the published distillation code).
    """

    def __init__(
        self,
        student: Any,
        teacher: Any = None,
        ground_truth_ratio: float = 1.0,
        names: Sequence[str] | None = None,
        *,
        transfer: Any = None,
        next_sentence: bool = False,
    ) -> None:
        """Take what is trained and what it learns.

        Args:
            student: a `models.Model`.
            teacher: another of the same vocabulary.
            ground_truth_ratio: weight of the truth against the teacher.
            names: of the variables that are trained; None: all.
            transfer: a `TransferObjective` of both and of all layers, whose parts are added (auxiliary
                knowledge transfer).
            next_sentence: add next sentence prediction, with a head on the raw first token (Google's student
                has no pooler).
        """
        self._student, self._ratio, self._transfer = student, ground_truth_ratio, transfer
        self._teacher = None if ground_truth_ratio == 1 and transfer is None else teacher
        self._pair_head = _pair_head(student) if next_sentence else {}
        everything = student.variables_by_name
        own = everything if names is None else {name: everything[name] for name in names}
        self.variables: Mapping[str, Any] = own | self._pair_head | (transfer.projections if transfer else {})
        self.learning_rate_multipliers: Mapping[str, float] = {}
        self.weighted_by = (WEIGHTS, *(transfer.weighted_by if transfer else ()))

    def loss(
        self, batch: Mapping[str, Any], seed: Any, totals: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """`loss` = ratio * `hard` + (1 - ratio) * `soft` (nats a prediction), and `masked_accuracy`; float32
        scalars.

        `soft` stands there only with a teacher. The parts are not weighted, so that they can be compared
        between trainings. Added to `loss`, and shown by name: `next_sentence` (nats a sequence), and the
        weighted parts of the transfer.

        Args:
            batch: `input_ids`, `segment_ids`, `input_mask` (B, S); `masked_positions`, `masked_ids`,
                `masked_weights` (B, P); `next_sentence_labels` (B,) where that is learnt.
            seed: not used.
            totals: as `training.objective.Objective.loss` says.

        Raises:
            UserError: next sentence prediction without its labels.
        """
        del seed
        labels, weights = tf.reshape(batch["masked_ids"], [-1]), tf.reshape(batch[WEIGHTS], [-1])  # (B*P,)
        total = totals[WEIGHTS] if totals else None
        student = _encoded(self._student, batch)
        logits = self._student.masked_lm_logits(student.sequence, batch["masked_positions"])
        hard = losses.masked_lm_loss(logits, labels, weights)
        # Of the global batch's predictions; 1 if these are all.
        share = tf.cast(weighted_mean(tf.ones_like(weights), weights, total), hard.dtype)
        hard *= share
        terms = {"loss": hard, "hard": hard}
        teacher: Any = None if self._teacher is None else _encoded(self._teacher, batch)
        if self._teacher is not None and self._ratio != 1:
            target = self._teacher.masked_lm_logits(teacher.sequence, batch["masked_positions"])
            soft = share * losses.teacher_masked_lm_loss(logits, target, weights)
            terms |= {"loss": self._ratio * hard + (1 - self._ratio) * soft, "soft": soft}
        added = (
            {}
            if self._transfer is None
            else self._transfer.terms(teacher, student, batch["input_mask"], totals)
        )
        if self._pair_head:
            added["next_sentence"] = self._next_sentence(student.sequence, batch)
        for name, value in added.items():
            terms |= {"loss": tf.cast(terms["loss"], tf.float32) + tf.cast(value, tf.float32), name: value}
        right = tf.cast(tf.equal(tf.argmax(logits, axis=-1, output_type=labels.dtype), labels), weights.dtype)
        terms["masked_accuracy"] = weighted_mean(right, weights, total)
        return {name: tf.cast(value, tf.float32) for name, value in terms.items()}

    def hand_over(self) -> None:
        """Let the student carry the head of next sentence prediction, where one was trained, into its
        files.
        """
        for name, variable in self._pair_head.items():
            self._student.carried[name] = np.ascontiguousarray(variable.numpy().T)

    def _next_sentence(self, sequence: Any, batch: Mapping[str, Any]) -> Any:
        if "next_sentence_labels" not in batch:
            raise UserError(
                "pretraining.next_sentence: these records hold no next_sentence_labels; write records with "
                "them (pairs of which some are "
                "drawn at random), or set it to false"
            )
        kernel, bias = self._pair_head.values()
        logits = tf.matmul(tf.cast(sequence[:, 0], kernel.dtype), kernel) + bias  # (B, 2)
        return losses.next_sentence_loss(logits, tf.reshape(batch["next_sentence_labels"], [-1]))


def _pair_head(student: Any) -> dict[str, tf.Variable]:
    """Kernel (H, 2) and bias (2,) of next sentence prediction, by transformers' names: those that the
    student carries, or fresh.
    """
    made = {}
    for suffix, shape, kind in (
        ("weight", (student.config.hidden_size, 2), Kind.KERNEL),
        ("bias", (2,), Kind.BIAS),
    ):
        name = f"{PAIR_HEAD}.{suffix}"
        carried = student.carried.get(name)  # as files have it, a kernel transposed
        made[name] = tf.Variable(
            initial(name, Tensor(shape, kind), HEAD_SEED, HEAD_DEVIATION) if carried is None else carried.T,
            name=name,
        )
    return made


def _encoded(model: Any, batch: Mapping[str, Any]) -> Any:
    return model.encode(batch["input_ids"], batch["segment_ids"], batch["input_mask"])


def masked_logits(model: Any, batch: Mapping[str, Any]) -> Any:
    """Logits (B*P, V), float32, at the masked positions only; `batch` as for `MaskedLmObjective.loss`."""
    return model.masked_lm_logits(_encoded(model, batch).sequence, batch["masked_positions"])
