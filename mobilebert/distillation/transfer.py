"""Knowledge transfer: a student's layers learn to give what the teacher's layers give.

A stage trains one layer (`layer01`, `layer02`, ...) or all of them (`joint`), and computes no layer above
those that it needs. What is compared is a list of matches (`distillation.layer_matching`), for MobileBERT's
recipes as for any other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import tensorflow as tf

from mobilebert.distillation import layer_matching, losses, recipes
from mobilebert.errors import UserError
from mobilebert.models.model import TracedOnce, initial
from mobilebert.models.parameters import Kind, Tensor
from mobilebert.settings import Match, Recipe, Transfer
from mobilebert.training.objective import weighted_mean

JOINT = "joint"
MASK = "input_mask"
PARTS = ("feature_map", "attention", "mean", "variance")  # reported always, 0 where nothing is compared
PROJECTION_DEVIATION = 0.02  # as everything else


def stage_layers(stage: str, depth: int, matched: Sequence[int] | None = None) -> tuple[int, ...]:
    """The layers (1-based) that a stage trains: its own, and those below it that no earlier stage trained.

    Args:
        stage: its name.
        depth: layers of the student.
        matched: the layers that have a stage; None: all.

    Raises:
        UserError: if there is no such stage.
    """
    if stage == JOINT:
        return tuple(range(1, depth + 1))
    bounds = [0, *(matched or range(1, depth + 1))]
    match = re.fullmatch(r"layer(\d\d+)", stage)
    if match is None or int(match[1]) not in bounds[1:]:
        there = (
            f"layer01 to layer{depth:02d}"
            if matched is None
            else ", ".join(f"layer{layer:02d}" for layer in matched)
        )
        raise UserError(
            f"--stage: '{stage}' is no stage of a student with {depth} layers; give {there}, or {JOINT}"
        )
    layer = int(match[1])
    return tuple(range(bounds[bounds.index(layer) - 1] + 1, layer + 1))


class TransferObjective:
    """The objective of one stage (`training.objective.Objective`).

    `variables` are the stage's layers, with the embeddings if layer 1 is among them, and its projections.
    Everything below is frozen when `transfer.earlier_layers` is 0, and learns at that share of the rate
    otherwise. The MLM head gets no gradient here. In Google's recipe the rates are three times as high, and
    the embeddings are frozen but count in the gradient's norm.
    """

    def __init__(
        self,
        student: Any,
        teacher: Any,
        settings: Transfer,
        stage: str,
        recipe: Recipe = "ours",
        seed: int = 0,
    ) -> None:
        """Take a student and a teacher (`models.Model`) that the matches fit, resolved settings
        (`recipes.resolve`), and the seed of the projections' first values.

        Raises:
            UserError: if the student has no such stage.
            ValueError: if the settings are not resolved.
        """
        self._student, self.teacher = student, teacher
        self._form = losses.variant(settings.losses)
        self.depth = depth = student.config.num_hidden_layers
        matched = layer_matching.matched_layers(settings, depth)
        self.layers = stage_layers(stage, depth, matched if settings.matches else None)
        listed = layer_matching.matches(settings, depth, teacher.config.num_hidden_layers)
        self.matches = [match for match in listed if stage == JOINT or match.student_layer == self.layers[-1]]
        self.computed = max(match.student_layer for match in self.matches), layer_matching.top(self.matches)
        self.projections = _projections(
            self.matches, student.config.hidden_size, teacher.config.hidden_size, seed
        )
        rules, earlier = recipes.RULES[recipe], settings.earlier_layers
        if earlier is None:
            raise ValueError("transfer.earlier_layers is null: pass settings that recipes.resolve has seen")
        phased = rules.phased and stage != JOINT
        own, below = _own_and_below(student, self.layers)
        boost = rules.boost if phased else 1.0
        factors = dict.fromkeys(own, boost) | dict.fromkeys(below, boost * earlier)
        self.counted = student.embedding_names if phased else []
        factors |= dict.fromkeys(self.counted, 0.0)
        names = [name for name in (*below, *own) if factors[name] or name in self.counted]
        self.variables = {name: student.variables_by_name[name] for name in names} | self.projections
        self.learning_rate_multipliers = {name: factors[name] for name in names if factors[name] != 1.0}
        self.weighted_by = (MASK,) if self._form.ignores_padding else ()
        # Traced once and not once a layer.
        self._attention = TracedOnce(
            partial(losses.attention_transfer, finite=True), inlined=student.inlines_layers
        )
        self._feature_map = TracedOnce(
            partial(losses.feature_map_transfer, factor=1.0, epsilon=self._form.epsilon),
            inlined=student.inlines_layers,
        )

    def loss(
        self, batch: Mapping[str, Any], seed: Any, totals: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The weighted parts (`feature_map`, `attention`, `mean`, `variance`, ...) and their sum `loss`,
        float32 scalars.

        Args:
            batch: `input_ids`, `segment_ids`, `input_mask`, each (B, S).
            seed: not used, neither model drops anything out (as in the published code).
            totals: as `training.objective.Objective.loss` says.
        """
        del seed
        inputs = batch["input_ids"], batch["segment_ids"], batch[MASK]
        student_layers, teacher_layers = self.computed
        student = self._student.encode(*inputs, layers=student_layers)
        teacher = self.teacher.encode(*inputs, layers=teacher_layers)
        terms = self.terms(teacher, student, batch[MASK], totals)
        return {"loss": tf.add_n(list(terms.values())), **terms}

    def terms(
        self, teacher: Any, student: Any, input_mask: Any, totals: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The weighted parts by name, from what both models computed (`models.Encoded`).

        Args:
            teacher, student: that.
            input_mask: (B, S).
            totals: as `loss` has.
        """
        mask = input_mask if self._form.ignores_padding else None
        # The share of the global batch's tokens: 1 if these are all, and where padding counts.
        share = (
            1.0 if mask is None else weighted_mean(tf.ones_like(mask), mask, totals[MASK] if totals else None)
        )
        terms = dict.fromkeys(PARTS, tf.constant(0.0))
        for match in self.matches:
            name = match.feature if match.loss == "cross_entropy" else match.loss
            value = share * tf.cast(self._compare(match, teacher, student, mask), tf.float32)
            terms[name] = terms[name] + value if name in terms else value
        return terms

    def _compare(self, match: Match, teacher: Any, student: Any, mask: Any) -> Any:
        """The loss of one match, its weight applied."""
        here: int = match.student_layer
        there: Any = match.teacher_layer
        weight: dict[str, Any] = {"mask": mask, "factor": match.weight}
        if match.feature == "attention":
            return match.weight * self._attention(teacher.scores[there - 1], student.scores[here - 1], mask)
        if match.feature == "value_relation":
            values = self._student.values(here, student.hidden[here - 1])  # (B, A, S, D)
            target = _with_heads(self.teacher.values(there, teacher.hidden[there - 1]), values.shape[1])
            return losses.value_relation_transfer(target, values, **weight)
        target = (
            tf.stack(teacher.hidden) if there == layer_matching.ALL else teacher.hidden[there]
        )  # (L+1, B, S, H) or (B, S, H)
        output = student.hidden[here]
        if match.projection == "linear":
            kernel, bias = (
                tf.cast(self.projections[f"{_projection(match)}.{suffix}"], output.dtype)
                for suffix in ("weight", "bias")
            )
            output = tf.matmul(output, kernel) + bias
        if match.loss == "feature_map":
            return match.weight * self._feature_map(target, output, mask)
        chosen: dict[str, Callable[..., Any]] = {
            "mean": losses.mean_transfer,
            "variance": losses.variance_transfer,
            "mse": losses.hidden_transfer,
        }
        return chosen[match.loss](target, output, **weight)


def _own_and_below(student: Any, layers: tuple[int, ...]) -> tuple[list[str], list[str]]:
    """The names of the stage's variables, the embeddings' among them in the first stage, and of those
    below.
    """
    own = [name for layer in layers for name in student.layer_variables(layer)]
    below = [name for layer in range(1, layers[0]) for name in student.layer_variables(layer)]
    if layers[0] == 1:
        return [*student.embedding_names, *own], below
    return own, [*student.embedding_names, *below]


def _projection(match: Match) -> str:
    return f"projection.{match.student_layer}.{match.teacher_layer}"


def _projections(listed: Sequence[Match], narrow: int, wide: int, seed: int) -> dict[str, tf.Variable]:
    """The variables [Hs, Ht] and [Ht] of the learned projections by name; one for each pair of layers."""
    made: dict[str, tf.Variable] = {}
    for name in sorted({_projection(match) for match in listed if match.projection == "linear"}):
        for suffix, tensor in (
            ("weight", Tensor((narrow, wide), Kind.KERNEL)),
            ("bias", Tensor((wide,), Kind.BIAS)),
        ):
            full = f"{name}.{suffix}"
            made[full] = tf.Variable(initial(full, tensor, seed, PROJECTION_DEVIATION), name=full)
    return made


def _with_heads(values: Any, heads: int) -> Any:
    """Values (B, A, S, D) cut into another number of heads of the same whole width (MiniLMv2's relation
    heads).
    """
    batch, own, length, width = values.shape
    if own == heads:
        return values
    joined = tf.reshape(tf.transpose(values, [0, 2, 1, 3]), [batch, length, heads, own * width // heads])
    return tf.transpose(joined, [0, 2, 1, 3])
