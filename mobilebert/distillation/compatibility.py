"""Whether a teacher can teach a student: what does not fit is said before anything is spent."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from mobilebert.distillation import layer_matching
from mobilebert.errors import UserError
from mobilebert.settings import Transfer

# What layer by layer transfer compares: the same number of layers, of attention maps, and outputs of one
# width.
LAYERWISE = {
    "num_hidden_layers": "layers",
    "num_attention_heads": "attention heads",
    "hidden_size": "as hidden size",
}
OTHER_MATCHES = {
    "num_hidden_layers": ", or transfer.layer_map: uniform",
    "num_attention_heads": ", or transfer.attention_factor: 0",
    "hidden_size": ", or transfer.projection: linear",
}
ALWAYS = {"vocab_size": "entries in its vocabulary"}
POSITIONS = "max_position_embeddings"
LEAST_LAYERS = "least_layers"  # of the teacher, for matches that name its layers
# Keys of a configuration that change neither a weight's shape nor what pretraining computes.
FREE = {
    "initializer_range",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "classifier_dropout",
    "classifier_activation",
}


def needs(student: Any, *, layerwise: bool | Collection[str] = True) -> dict[str, int]:
    """What a student (`models.configs.ModelConfig`) asks of any teacher, its vocabulary apart: names of a
    configuration -> numbers.

    With `layerwise`, layer by layer, or such keys of that as are named (`layer_matching.shared`); else by its
    predictions and tables alone, where depth and width are free.
    """
    compared = (LAYERWISE if layerwise else ()) if isinstance(layerwise, bool) else layerwise
    keys = [*(key for key in LAYERWISE if key in compared), POSITIONS]
    return {key: getattr(student, key) for key in keys}


def unmet(teacher: Any, wanted: Mapping[str, int]) -> list[str]:
    """What a teacher's shape lacks of `needs`, a line each with what to change."""
    lines = []
    for key, wants in wanted.items():
        has = getattr(teacher, "num_hidden_layers" if key == LEAST_LAYERS else key)
        if key == LEAST_LAYERS:
            if has < wants:
                lines.append(
                    f"the teacher has {has} layers, transfer.matches or transfer.layer_map ask for "
                    f"{wants}; change them, or choose another"
                )
        elif key == POSITIONS:
            if has < wants:
                lines.append(
                    f"{key}: the teacher knows {has} positions, the student {wants}; choose one with at "
                    f"least as many"
                )
        elif has != wants:
            lines.append(
                f"{key}: the teacher has {has} {(LAYERWISE | ALWAYS)[key]}, the student {wants}; "
                f"{_advice(key, has)}"
            )
    return lines


def misfits(teacher: Any, student: Any, *, layerwise: bool | Collection[str] = True) -> list[str]:
    """What keeps a teacher from teaching a student (both `models.configs.ModelConfig`), vocabulary
    included (`needs`, `unmet`).
    """
    return unmet(
        teacher, needs(student, layerwise=layerwise) | {key: getattr(student, key) for key in ALWAYS}
    )


def check(teacher: Any, student: Any, name: str, *, layerwise: bool | Collection[str] = True) -> None:
    """Refuse a teacher whose shape does not fit the student called `name` (`misfits`).

    Raises:
        UserError: a line for each thing that does not fit.
    """
    lines = misfits(teacher, student, layerwise=layerwise)
    if lines:
        raise UserError("\n".join(f"teacher and student '{name}' do not fit: {line}" for line in lines))


def check_needs(teacher: Any, wanted: Sequence[Mapping[str, int]], where: str) -> None:
    """Refuse a teacher of another shape than its students ask for, before any training.

    Args:
        teacher: its shape.
        wanted: what the students need (`needs`), equal needs once.
        where: the teacher's folder, for the message.

    Raises:
        UserError: a line for each thing that does not fit.
    """
    lines = [line for one in wanted for line in unmet(teacher, one)]
    if lines:
        raise UserError(
            "\n".join(
                f"{where}: this teacher does not fit the students: {line}" for line in dict.fromkeys(lines)
            )
        )


def check_matches(settings: Transfer | None, teacher: Any, student: Any, name: str) -> None:
    """Refuse matches that name layers which are not there, or features that cannot be compared
    (`layer_matching.misfits`).

    Raises:
        UserError: a line for each.
    """
    lines = layer_matching.misfits(settings, teacher, student) if settings else []
    if lines:
        raise UserError("\n".join(f"teacher and student '{name}' do not fit: {line}" for line in lines))


def check_given(config: Any, expected: Any, name: str, where: str) -> None:
    """Refuse a given student whose shape is not the one that its name stands for.

    Args:
        config: the shape of the given directory.
        expected: the shape called `name`.
        name: of the student.
        where: the configuration that was read, for the message.

    Raises:
        UserError: naming the keys that differ, found and expected.
    """
    has, wants = (
        {key: value for key, value in config.to_config().items() if key not in FREE}
        for config in (config, expected)
    )
    keys = sorted(key for key in has.keys() | wants.keys() if has.get(key) != wants.get(key))
    if keys:
        differing = "; ".join(
            f"{key} {has.get(key, 'absent')}, expected {wants.get(key, 'absent')}" for key in keys
        )
        raise UserError(
            f"student.from: {where} is not the shape '{name}': {differing}; give another directory, or "
            f"name its shape in students"
        )


def check_tokenizers(digests: dict[str, str]) -> None:
    """Refuse to work with several vocabularies at once.

    Args:
        digests: what brings a tokenizer (a folder, in words) -> `Tokenizer.digest`; all must be equal to the
            first.

    Raises:
        UserError: a line for each that differs.
    """
    (first, expected), *others = digests.items()
    lines = [
        f"the tokenizer of {name} is not the one of {first} (digest {digest[:12]}, expected "
        f"{expected[:12]}); write the records again with this model's vocabulary (vocabulary.kind: "
        "teacher), or choose a model that was trained with this one"
        for name, digest in others
        if digest != expected
    ]
    if lines:
        raise UserError("\n".join(lines))


def _advice(key: str, has: int) -> str:
    if key == "vocab_size":
        return "use one tokenizer for both (vocabulary.kind: teacher)"
    return (
        f"choose another teacher (teacher.path, teacher.shape), or a student with {has} "
        f"(students){OTHER_MATCHES[key]}"
    )
