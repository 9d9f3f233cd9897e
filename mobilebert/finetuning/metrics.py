"""Metrics of the tasks: accuracy, and exact match (EM) and F1 as the official scorer of CMRC 2018 counts
them.

All values lie in 0..1 (the official script prints percent).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mobilebert.finetuning.segmentation import mixed_segmentation, remove_punctuation


def accuracy(predictions: Sequence[int], labels: Sequence[int]) -> float:
    """Share of predictions that equal their label; 0 for no examples."""
    return sum(prediction == label for prediction, label in zip(predictions, labels, strict=True)) / max(
        1, len(labels)
    )


def cmrc_em_f1(prediction: Any, answers: Sequence[str]) -> tuple[int, float]:
    """EM (0 or 1) and F1 of one prediction, each the best over the answers.

    F1 compares by the longest *contiguous* common run of units ("LCS" in the official script is a substring),
    so the same words in another order count little. Predictions that are no text are taken as `str()` of
    them, as there.
    """
    exact = any(remove_punctuation(answer) == remove_punctuation(prediction) for answer in answers)
    units = mixed_segmentation(prediction)
    return int(exact), max((_f1(mixed_segmentation(answer), units) for answer in answers), default=0.0)


def mean_em_f1(predictions: Sequence[Any], answers: Sequence[Sequence[str]]) -> dict[str, float]:
    """Mean EM and F1 over questions: {"em", "f1"}; zeros for no questions."""
    scored = [cmrc_em_f1(prediction, texts) for prediction, texts in zip(predictions, answers, strict=True)]
    count = max(1, len(scored))
    return {"em": sum(em for em, _ in scored) / count, "f1": sum(f1 for _, f1 in scored) / count}


def longest_common_run(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest contiguous run of units that both sequences hold."""
    best = 0
    ending = [0] * (
        len(second) + 1
    )  # ending[j]: the common run that ends at the current unit of `first` and at second[j - 1]
    for unit in first:
        ending = [0] + [ending[j] + 1 if unit == other else 0 for j, other in enumerate(second)]
        best = max(best, *ending)
    return best


def _f1(answer: Sequence[str], prediction: Sequence[str]) -> float:
    common = longest_common_run(answer, prediction)
    return 2 * common / (len(answer) + len(prediction)) if common else 0.0
