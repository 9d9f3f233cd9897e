"""Texts that the files of a task share: what a model was finetuned on says little when it is scored on it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from mobilebert.tasks.examples import Classification, Reading

Examples = Sequence[Classification] | Sequence[Reading]


def count(train: Examples, dev: Examples) -> dict[str, int]:
    """How many examples of `dev` have the text of one of `train`, white space aside, whatever their labels.

    Returns:
        `examples`: with the same text, the same pair, or the same context and question; for reading also
        `contexts`: different contexts of `dev` that `train` has, under any question.
    """
    known = set(map(_texts, train))
    shared = {"examples": sum(_texts(example) in known for example in dev)}
    contexts, known_contexts = _contexts(dev), _contexts(train)
    return shared | ({"contexts": len(contexts & known_contexts)} if contexts else {})


def warn(task: str, shared: dict[str, int], examples: int) -> None:
    """Log what dev shares with train, if it shares anything."""
    if not any(shared.values()):
        return
    contexts = f", and {shared['contexts']} of its contexts" if "contexts" in shared else ""
    logging.warning(
        "%s: %d of %d examples of dev%s stand in train too, so scores on dev are too good; take them out of "
        "one of the two files",
        task,
        shared["examples"],
        examples,
        contexts,
    )


def _texts(example: Classification | Reading) -> tuple[str, ...]:
    if isinstance(example, Reading):
        return _plain(example.context), _plain(example.question)
    return _plain(example.text), _plain(example.text_pair or "")


def _contexts(examples: Examples) -> set[str]:
    return {_plain(example.context) for example in examples if isinstance(example, Reading)}


def _plain(text: str) -> str:
    return " ".join(text.split())
