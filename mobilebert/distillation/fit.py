"""Whether a teacher can teach a student: what does not fit is said before anything is spent."""

from __future__ import annotations

from typing import Any

from mobilebert.errors import UserError

# What layer by layer transfer compares: the same number of layers, of attention maps, and outputs of one width.
COMPARED = {
    "num_hidden_layers": "layers",
    "num_attention_heads": "attention heads",
    "hidden_size": "as hidden size",
    "vocab_size": "entries in its vocabulary",
}


def misfits(teacher: Any, student: Any) -> list[str]:
    """What keeps a teacher's shape from teaching a student's shape (`models.shapes.Shape`), a line each with what to change."""
    lines = []
    for key, meaning in COMPARED.items():
        has, wants = getattr(teacher, key), getattr(student, key)
        if has != wants:
            lines.append(f"{key}: the teacher has {has} {meaning}, the student {wants}; {_advice(key, has)}")
    if teacher.max_position_embeddings < student.max_position_embeddings:
        has, wants = teacher.max_position_embeddings, student.max_position_embeddings
        lines.append(f"max_position_embeddings: the teacher knows {has} positions, the student {wants}; choose one with at least as many")
    return lines


def check(teacher: Any, student: Any, name: str) -> None:
    """Refuse a teacher whose shape does not fit the student called `name`.

    Raises:
        UserError: a line for each thing that does not fit.
    """
    lines = misfits(teacher, student)
    if lines:
        raise UserError("\n".join(f"teacher and student '{name}' do not fit: {line}" for line in lines))


def check_tokenizers(digests: dict[str, str]) -> None:
    """Refuse to work with several vocabularies at once.

    Args:
        digests: what brings a tokenizer (a folder, in words) -> `Tokenizer.digest`; all must be equal to the first.

    Raises:
        UserError: a line for each that differs.
    """
    (first, expected), *others = digests.items()
    lines = [
        f"the tokenizer of {name} is not the one of {first} (digest {found[:12]}, expected {expected[:12]}); "
        "write the records again with this model's vocabulary (vocabulary.kind: teacher), or choose a model that was trained with this one"
        for name, found in others
        if found != expected
    ]
    if lines:
        raise UserError("\n".join(lines))


def _advice(key: str, has: int) -> str:
    if key == "vocab_size":
        return "use one tokenizer for both (vocabulary.kind: teacher)"
    return f"choose another teacher (teacher.path, teacher.shape), or a student with {has} (students)"
