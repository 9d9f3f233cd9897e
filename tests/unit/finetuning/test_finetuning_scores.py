"""Scores, majority baselines and the table over seeds."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest

from mobilebert.errors import UserError
from mobilebert.finetuning import scores
from mobilebert.storage import artifacts


def labelled(*labels: int) -> list[dict[str, object]]:
    return [{"id": str(number), "text": "", "label": label} for number, label in enumerate(labels)]


def asked(*answers: list[str]) -> list[dict[str, object]]:
    return [
        {"id": str(n), "answers": [{"text": text, "start": -1} for text in texts]}
        for n, texts in enumerate(answers)
    ]


def test_majority_of_labels_is_the_share_of_the_most_frequent_training_label() -> None:
    assert scores.majority_of_labels(labelled(0, 1, 1), labelled(1, 0, 0, 0)) == {"accuracy": 0.25}
    assert scores.majority_of_labels(labelled(1, 0), labelled(1, 0, 0, 0)) == {"accuracy": 0.75}, (
        "a tie goes to the smallest"
    )


def test_majority_of_answers_always_says_the_most_frequent_training_answer() -> None:
    train = asked(["长江", "黄河"], ["长江"], ["黄河"])
    assert scores.majority_of_answers(train, asked(["长江"], ["山", "长江水"])) == {
        "em": 0.5,
        "f1": pytest.approx((1 + 0.8) / 2),
    }


def test_an_empty_training_file_is_refused() -> None:
    with pytest.raises(UserError, match=r"train\.jsonl"):
        scores.majority_of_labels([], labelled(1))


def test_predictions_are_listed_beside_the_truth() -> None:
    metrics, rows = scores.of_labels(labelled(1, 0), [1, 1])
    assert metrics == {"accuracy": 0.5}
    assert rows == [{"id": "0", "prediction": 1, "label": 1}, {"id": "1", "prediction": 1, "label": 0}]
    metrics, rows = scores.of_answers(asked(["长江"], ["山"]), ["长江水", "山"])
    assert metrics == {"em": 0.5, "f1": pytest.approx(0.9)}
    assert rows[0] == {"id": "0", "prediction": "长江水", "answers": ["长江"], "em": 0, "f1": 0.8}


@pytest.fixture
def scored(tmp_path: Path) -> Callable[..., Path]:
    """Write a scores artifact."""

    def write(model: str, task: str, seed: int, metrics: dict[str, float], examples: int = 4) -> Path:
        folder = tmp_path / model / task / str(seed)
        majority = dict.fromkeys(metrics, 0.5)
        body = {
            "model": model,
            "task": task,
            "seed": seed,
            "metrics": metrics,
            "majority": majority,
            "examples": examples,
        }
        with artifacts.writing(folder, "scores") as writer:
            writer.path("scores.json").write_text(json.dumps(body), encoding="utf-8")
        return folder

    return write


def test_table_has_mean_and_sample_deviation_sorted(scored: Callable[..., Path]) -> None:
    values = [0.6, 0.7, 0.65]
    folders = [scored("mini", "b", seed, {"accuracy": value}) for seed, value in enumerate(values)]
    folders += [scored("mini", "a", 0, {"f1": 0.25, "em": 0.125}), scored("base", "b", 0, {"accuracy": 1.0})]
    header, *rows = (line.split("\t") for line in scores.collect(folders).splitlines())
    assert header == ["model", "task", "metric", "seeds", "mean", "std", "majority", "examples"]
    assert [row[:4] for row in rows] == [
        ["base", "b", "accuracy", "1"],
        ["mini", "a", "em", "1"],
        ["mini", "a", "f1", "1"],
        ["mini", "b", "accuracy", "3"],
    ]
    assert rows[1][4:] == ["0.125000", "", "0.500000", "4"], "one seed has no deviation"
    assert float(rows[3][4]) == pytest.approx(0.65)
    assert float(rows[3][5]) == pytest.approx(statistics.stdev(values), abs=1e-6)
    assert scores.collect(reversed(folders)) == scores.collect(folders)


def test_a_seed_that_stands_there_twice_is_refused(scored: Callable[..., Path]) -> None:
    folder = scored("mini", "a", 0, {"em": 0.1})
    with pytest.raises(UserError, match="twice"):
        scores.collect([folder, folder])


def test_seeds_scored_on_different_data_are_refused(scored: Callable[..., Path]) -> None:
    folders = [scored("mini", "a", 0, {"em": 0.1}), scored("mini", "a", 1, {"em": 0.1}, examples=5)]
    with pytest.raises(UserError, match="different data"):
        scores.collect(folders)


def test_an_artifact_of_another_kind_is_refused(tmp_path: Path) -> None:
    with artifacts.writing(tmp_path / "task", "task"):
        pass
    with pytest.raises(UserError, match="kind 'scores'"):
        scores.collect([tmp_path / "task"])
