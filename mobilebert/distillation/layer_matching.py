"""What learns from what: the list of matches between layers of a student and of its teacher. No TensorFlow
here.

MobileBERT's transfer is one such list; `transfer.matches` gives another (the idea is TextBrewer's, Yang et
al. 2020).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mobilebert.distillation.loss_variants import variant
from mobilebert.settings import Match, Transfer

ALL = "all"
WIDE = (
    "feature_map",
    "mse",
)  # losses that compare the outputs number by number, so that widths must be equal


def matches(settings: Transfer, student_layers: int, teacher_layers: int) -> list[Match]:
    """All matches of a student, in the order of its layers: those of the settings, or MobileBERT's four terms
    a layer.

    Args:
        settings: `transfer`.
        student_layers: the student's depth.
        teacher_layers: the teacher's depth.
    """
    if settings.matches:
        return sorted(settings.matches, key=lambda match: match.student_layer)
    return [
        match
        for layer in range(1, student_layers + 1)
        for match in _mobilebert(
            settings,
            layer,
            student_layers,
            teacher_layer_for(settings.layer_map, layer, student_layers, teacher_layers),
        )
    ]


def teacher_layer_for(layer_map: str, layer: int, student_layers: int, teacher_layers: int) -> int:
    """The teacher's layer for a student's layer (both from 1 on).

    `same`: the same number; `last`: the teacher's last ones; `uniform`: ceil(layer * teacher / student),
    which is TinyBERT's even spacing where the depths divide (Jiao et al. 2020).
    """
    if layer_map == "last":
        return layer + teacher_layers - student_layers
    return -(-layer * teacher_layers // student_layers) if layer_map == "uniform" else layer


def _mobilebert(settings: Transfer, layer: int, depth: int, teacher_layer: int) -> Iterator[Match]:
    """The terms of one layer as `transfer.losses` and the four factors have them; those of weight 0 are
    left out.
    """
    chosen = variant(settings.losses)
    divisor = chosen.divisor(layer, depth)

    def match(feature: str, loss: str, factor: float, **more: Any) -> Iterator[Match]:
        if factor:
            body = {
                "teacher_layer": teacher_layer,
                "student_layer": layer,
                "feature": feature,
                "loss": loss,
                "weight": factor / divisor,
            }
            yield Match.model_validate(body | more)

    yield from match("hidden", "feature_map", settings.feature_map_factor, projection=settings.projection)
    yield from match("attention", "cross_entropy", settings.attention_factor)
    # The TF1 code computes neither statistic if one of the two weights is 0.
    if chosen.all_outputs and not (settings.mean_factor and settings.variance_factor):
        return
    against = {"teacher_layer": ALL} if chosen.all_outputs else {}
    yield from match("hidden", "mean", settings.mean_factor, **against)
    yield from match("hidden", "variance", settings.variance_factor, **against)


def matched_layers(settings: Transfer, student_layers: int) -> list[int]:
    """The student's layers that learn something, in order: a progressive transfer has a stage for each."""
    if settings.matches:
        return sorted({match.student_layer for match in settings.matches})
    return list(range(1, student_layers + 1))


def shared(settings: Transfer) -> list[str]:
    """The keys of a configuration that student and teacher must share for these matches."""
    listed = settings.matches or matches(settings, 1, 1)
    keys = [] if settings.matches or settings.layer_map != "same" else ["num_hidden_layers"]
    if any(match.feature == "attention" for match in listed):
        keys.append("num_attention_heads")
    if any(match.loss in WIDE and match.projection == "none" for match in listed):
        keys.append("hidden_size")
    return keys


def least_layers(settings: Transfer, student_layers: int) -> int:
    """The depth that any teacher must have at least for these matches (`misfits` says more once its shape
    is known).
    """
    named = [match.teacher_layer for match in settings.matches if isinstance(match.teacher_layer, int)]
    return max(named, default=1) if settings.matches or settings.layer_map != "last" else student_layers


def misfits(settings: Transfer, teacher: Any, student: Any) -> list[str]:
    """What keeps the matches from fitting two shapes (`models.configs.ModelConfig`) besides `shared`, a line
    each.

    `teacher` may be None where it is not known yet: what depends on it is left out.
    """
    depth = student.num_hidden_layers
    lines = [
        f"transfer.matches[{index}].student_layer: {match.student_layer}, but the student has {depth} layers"
        for index, match in enumerate(settings.matches)
        if match.student_layer > depth
    ]
    if teacher is None:
        return lines
    teacher_depth = teacher.num_hidden_layers
    if not settings.matches and settings.layer_map == "last" and teacher_depth < depth:
        lines.append(
            f"transfer.layer_map: last needs a teacher with at least {depth} layers, this one has "
            f"{teacher_depth}; set it to uniform"
        )
    for index, match in enumerate(settings.matches):
        if match.teacher_layer != ALL and match.teacher_layer > teacher_depth:
            lines.append(
                f"transfer.matches[{index}].teacher_layer: {match.teacher_layer}, but the teacher has "
                f"{teacher_depth} layers"
            )
        if match.feature == "value_relation" and teacher.inner_size % student.num_attention_heads:
            lines.append(
                f"transfer.matches[{index}]: the teacher's values are {teacher.inner_size} wide, which the "
                f"student's {student.num_attention_heads} heads do not divide; leave value_relation out"
            )
    return lines


def top(listed: Sequence[Match]) -> int | None:
    """The last teacher layer that the matches look at; None: all of them."""
    layers = [match.teacher_layer for match in listed if isinstance(match.teacher_layer, int)]
    return max(layers) if len(layers) == len(listed) else None
