"""Scores of one finetuned model, the majority baseline beside them, and the table over all models and
seeds.
"""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mobilebert.errors import UserError
from mobilebert.finetuning import metrics
from mobilebert.storage import artifacts

COLUMNS = ("model", "task", "metric", "seeds", "mean", "std", "majority", "examples")


def of_labels(
    lines: Sequence[Mapping[str, Any]], predictions: Sequence[int]
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Accuracy, and a line a prediction: {"id", "prediction", "label"}."""
    rows = [
        {"id": line["id"], "prediction": int(label), "label": line["label"]}
        for line, label in zip(lines, predictions, strict=True)
    ]
    return {
        "accuracy": metrics.accuracy([row["prediction"] for row in rows], [row["label"] for row in rows])
    }, rows


def of_answers(
    lines: Sequence[Mapping[str, Any]], predictions: Sequence[str]
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """EM and F1, and a line a prediction: {"id", "prediction", "answers", "em", "f1"}."""
    rows = []
    for line, prediction in zip(lines, predictions, strict=True):
        texts = _texts(line)
        em, f1 = metrics.cmrc_em_f1(prediction, texts)
        rows.append(
            {"id": line["id"], "prediction": prediction, "answers": texts, "em": em, "f1": round(f1, 6)}
        )
    return metrics.mean_em_f1(predictions, [_texts(line) for line in lines]), rows


def majority_of_labels(
    train: Iterable[Mapping[str, Any]], dev: Sequence[Mapping[str, Any]]
) -> dict[str, float]:
    """What always saying the most frequent training label scores on dev (of equally frequent ones the
    smallest).
    """
    label = _most_frequent(line["label"] for line in train)
    return of_labels(dev, [label] * len(dev))[0]


def majority_of_answers(
    train: Iterable[Mapping[str, Any]], dev: Sequence[Mapping[str, Any]]
) -> dict[str, float]:
    """What always answering the most frequent training answer scores on dev.

    Each training question counts its first answer; of equally frequent ones the first in code point order is
    taken.
    """
    answer = _most_frequent(text for line in train for text in _texts(line)[:1])
    return of_answers(dev, [answer] * len(dev))[0]


def collect(folders: Iterable[Path]) -> str:
    """The table of all score artifacts as TSV: a line a model, task and metric, sorted.

    Values lie in 0..1; `std` is the sample standard deviation over seeds, empty for one seed.

    Raises:
        UserError: an artifact is damaged, stands there twice, or seeds of one model were scored on different
            data.
    """
    groups: dict[tuple[str, str], dict[int, dict[str, Any]]] = {}
    for folder in folders:
        body = read(folder)
        seeds = groups.setdefault((body["model"], body["task"]), {})
        if body["seed"] in seeds:
            raise UserError(
                f"{folder}: model {body['model']}, task {body['task']}, seed {body['seed']} stands there "
                f"twice"
            )
        seeds[body["seed"]] = body
    lines = ["\t".join(COLUMNS)]
    for (model, task), seeds in sorted(groups.items()):
        bodies = [seeds[seed] for seed in sorted(seeds)]
        for key in ("majority", "examples"):
            if any(body[key] != bodies[0][key] for body in bodies):
                raise UserError(
                    f"{model} on {task}: its seeds were scored on different data ('{key}' differs); "
                    f"score "
                    f"all of them again"
                )
        for metric in sorted(bodies[0]["metrics"]):
            values = [body["metrics"][metric] for body in bodies]
            std = f"{statistics.stdev(values):.6f}" if len(values) > 1 else ""
            row = (
                model,
                task,
                metric,
                len(values),
                f"{statistics.fmean(values):.6f}",
                std,
                f"{bodies[0]['majority'][metric]:.6f}",
            )
            lines.append("\t".join(str(cell) for cell in (*row, bodies[0]["examples"])))
    return "\n".join(lines) + "\n"


def read(folder: Path) -> dict[str, Any]:
    """The checked content of a scores artifact's scores.json.

    Raises:
        UserError: it is no whole artifact of scores.
    """
    artifacts.read(folder, "scores")
    body: dict[str, Any] = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    return body


def _texts(line: Mapping[str, Any]) -> list[str]:
    return [answer["text"] for answer in line["answers"]]


def _most_frequent(values: Iterable[Any]) -> Any:
    counts = Counter(values)
    if not counts:
        raise UserError("the training file of this task holds no example; look at train.jsonl of the task")
    return min(counts, key=lambda value: (-counts[value], value))
