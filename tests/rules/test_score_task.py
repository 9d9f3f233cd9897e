"""The command that scores: finetuned tiny models beat the majority, and the files say so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mobilebert.errors import UserError
from mobilebert.finetuning import metrics
from mobilebert.storage import artifacts
from scripts import finetune_task, score_task
from tests.rules import tiny_tasks


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., None]:
    """Call a command in this process."""

    def call(script: Any, task: str, out: str, **changes: Any) -> None:
        told = {
            "--settings": tiny_tasks.settings(task, **changes),
            "--task": task,
            "--repeat": 3,
            "--out": tmp_path / out,
        }
        told |= {
            "--data": tmp_path / "task",
            "--model": tmp_path / ("model" if script is finetune_task else "finetuned"),
        }
        told |= {"--state": tmp_path / "state"} if script is finetune_task else {"--name": "mini"}
        script.main(
            script.parser().parse_args(
                [str(part) for pair in told.items() for part in pair] + ["--threads", "2"]
            )
        )

    return call


def body(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    artifacts.read(folder, "scores")
    rows = [
        json.loads(line) for line in (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    return json.loads((folder / "scores.json").read_text(encoding="utf-8")), rows


def test_a_classifier_is_scored_beside_the_majority(tmp_path: Path, run: Callable[..., None]) -> None:
    tiny_tasks.model(tmp_path / "model", kind="bert")
    tiny_tasks.sentiment(tmp_path / "task")
    run(finetune_task, "chnsenticorp", "finetuned", epochs=6.0)
    run(score_task, "chnsenticorp", "scores")
    scores, rows = body(tmp_path / "scores")
    assert (scores["model"], scores["task"], scores["seed"], scores["examples"]) == (
        "mini",
        "chnsenticorp",
        3,
        50,
    )
    assert scores["majority"] == {"accuracy": 0.6}
    assert scores["metrics"]["accuracy"] > 0.9
    assert scores["metrics"]["accuracy"] == sum(row["prediction"] == row["label"] for row in rows) / 50


def test_a_reader_is_scored_by_em_and_f1(tmp_path: Path, run: Callable[..., None]) -> None:
    tiny_tasks.model(tmp_path / "model")
    data = tiny_tasks.reading(tmp_path / "task")
    run(finetune_task, "cmrc2018", "finetuned", epochs=8.0)
    run(score_task, "cmrc2018", "scores")
    scores, rows = body(tmp_path / "scores")
    lines = [json.loads(line) for line in (data / "dev.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["id"] for row in rows] == [line["id"] for line in lines]
    assert all(row["prediction"] in line["context"] for row, line in zip(rows, lines, strict=True))
    assert scores["metrics"] == metrics.mean_em_f1(
        [row["prediction"] for row in rows], [row["answers"] for row in rows]
    )
    assert scores["metrics"]["em"] > 0.8 > scores["majority"]["em"]
    assert scores["metrics"]["f1"] >= scores["metrics"]["em"]


def test_a_model_without_the_tasks_head_is_refused(tmp_path: Path, run: Callable[..., None]) -> None:
    tiny_tasks.model(tmp_path / "model")
    tiny_tasks.sentiment(tmp_path / "task")
    run(finetune_task, "chnsenticorp", "finetuned", epochs=0.1)
    tiny_tasks.reading(tmp_path / "task")
    with pytest.raises(UserError, match="head is of another task than 'cmrc2018'"):
        run(score_task, "cmrc2018", "scores")
    tiny_tasks.model(tmp_path / "finetuned")
    with pytest.raises(UserError, match="holds no head"):
        run(score_task, "cmrc2018", "scores")
