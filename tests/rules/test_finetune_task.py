"""The command that finetunes: what it writes, that it resumes, what it refuses."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from mobilebert.errors import UserError
from mobilebert.storage import artifacts
from scripts import finetune_task
from tests.rules import tiny_tasks


def arguments(
    folder: Path, task: str, model: Path, data: Path, *, out: str = "out", repeat: int = 0, **changes: Any
) -> list[str]:
    told = {
        "--settings": tiny_tasks.settings(task, **changes),
        "--task": task,
        "--repeat": repeat,
        "--model": model,
        "--data": data,
    }
    told |= {
        "--state": folder / "state",
        "--checkpoint-seconds": 0,
        "--out": folder / out,
        "--log": folder / "logs" / f"{out}.log",
    }
    return [str(part) for pair in told.items() for part in pair] + ["--threads", "2"]


def finetune(*given: Any, **named: Any) -> None:
    finetune_task.main(finetune_task.parser().parse_args(arguments(*given, **named)))


def test_a_reading_model_is_written_in_transformers_form(tmp_path: Path, root: Path) -> None:
    model, data = tiny_tasks.model(tmp_path / "model"), tiny_tasks.reading(tmp_path / "task")
    command = [
        sys.executable,
        "-m",
        "scripts.finetune_task",
        *arguments(tmp_path, "cmrc2018", model, data, epochs=1.0),
    ]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out"
    manifest = artifacts.read(out, "model")
    assert manifest.inputs == {"model": artifacts.digest(model), "data": artifacts.digest(data)}
    assert json.loads((out / "config.json").read_text())["architectures"] == [
        "MobileBertForQuestionAnswering"
    ]
    before, after = load_file(model / "model.safetensors"), load_file(out / "model.safetensors")
    assert after["qa_outputs.weight"].shape == (2, 32)
    assert not [name for name in after if name.startswith("cls.")]
    name = "mobilebert.embeddings.word_embeddings.weight"
    assert (before[name] != after[name]).any()
    assert (out / "vocab.txt").read_bytes() == (model / "vocab.txt").read_bytes()
    *rows, dev = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] == manifest.counts["last_step"] == int(manifest.counts["examples"] / 16)
    assert {"loss", "accuracy", "learning_rate"} <= set(rows[-1])
    assert set(dev) == {"step", "heldout_em", "heldout_f1"}
    assert not list((tmp_path / "state").iterdir()), "the state is removed once the artifact is complete"
    assert "finetune_task-cmrc2018-0" in (tmp_path / "logs" / "out.log").read_text()


def test_an_interrupted_finetuning_goes_on_and_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from mobilebert.training.state.workspace import Workspace

    given = (
        tmp_path,
        "chnsenticorp",
        tiny_tasks.model(tmp_path / "model", kind="bert"),
        tiny_tasks.sentiment(tmp_path / "task"),
    )
    finetune(*given, out="unbroken", epochs=2.0)
    honest = Workspace.add_metrics

    def dying(self: Workspace, line: Any) -> None:
        if line["step"] > 10:
            raise KeyboardInterrupt
        honest(self, line)

    monkeypatch.setattr(Workspace, "add_metrics", dying)
    with pytest.raises(KeyboardInterrupt):
        finetune(*given, epochs=2.0)
    assert not artifacts.exists(tmp_path / "out")
    monkeypatch.setattr(Workspace, "add_metrics", honest)
    with caplog.at_level(logging.INFO):
        finetune(*given, epochs=2.0)
    assert "resuming from step 7" in caplog.text  # calls end where the dev file is measured
    assert artifacts.digest(tmp_path / "out") == artifacts.digest(tmp_path / "unbroken")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["architectures"], config["id2label"]) == (
        ["BertForSequenceClassification"],
        {"0": "0", "1": "1"},
    )


def test_unfinished_work_goes_on_only_with_the_same_inputs_arguments_and_settings(
    tmp_path: Path,
    starts: list[tuple[str, int]],
    another: Callable[[Path], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import tensorflow as tf

    model, data = tiny_tasks.model(tmp_path / "model"), tiny_tasks.sentiment(tmp_path / "task")

    def start(model: Path = model, data: Path = data, **named: Any) -> tuple[str, int]:
        with pytest.raises(KeyboardInterrupt):
            finetune(tmp_path, "chnsenticorp", model, data, **named)
        name, step = starts[-1]
        return name.rsplit("-", 1)[
            1
        ], step  # the fingerprint alone: the rest of the name tells task and repeat

    mark, step = start()
    assert (step, start()) == (0, (mark, 3))
    others = [
        start(model=another(model)),
        start(data=another(data)),
        start(repeat=1),
        start(sequence_length=20),
    ]
    monkeypatch.setattr(tf, "__version__", "0.0")
    others.append(start())
    assert [step for _, step in others] == [0] * len(others)
    assert len({mark, *(other for other, _ in others)}) == 1 + len(others)


def test_each_repeat_has_its_own_head_and_order(tmp_path: Path) -> None:
    given = (
        tmp_path,
        "chnsenticorp",
        tiny_tasks.model(tmp_path / "model"),
        tiny_tasks.sentiment(tmp_path / "task"),
    )
    for repeat in range(2):
        finetune(*given, out=f"seed-{repeat}", repeat=repeat, epochs=0.1, learning_rate=1e-9)
    first, second = (
        load_file(tmp_path / f"seed-{repeat}" / "model.safetensors")["classifier.weight"]
        for repeat in range(2)
    )
    assert abs(first - second).max() > 1e-3


def test_the_dev_set_is_measured_at_most_once_an_epoch() -> None:
    from mobilebert.finetuning.runs import interval

    assert [interval(examples, 32) for examples in (320, 321, 63, 33, 32, 31, 1)] == [10, 11, 2, 2, 1, 0, 0]


def test_a_model_without_tokenizer_is_refused_by_name(tmp_path: Path) -> None:
    model, data = (
        tiny_tasks.model(tmp_path / "model", tokenizer=False),
        tiny_tasks.sentiment(tmp_path / "task"),
    )
    with pytest.raises(UserError, match=r"vocabulary\.json: missing"):
        finetune(tmp_path, "chnsenticorp", model, data)


def test_other_artifacts_are_refused(tmp_path: Path) -> None:
    model, data = tiny_tasks.model(tmp_path / "model"), tiny_tasks.sentiment(tmp_path / "task")
    with pytest.raises(UserError, match="holds the task 'chnsenticorp', expected 'cmrc2018'"):
        finetune(tmp_path, "cmrc2018", model, data)
    with pytest.raises(UserError, match="kind 'task', found 'model'"):
        finetune(tmp_path, "chnsenticorp", model, model)
    with pytest.raises(UserError, match="kind 'model', found 'task'"):
        finetune(tmp_path, "chnsenticorp", data, data)


def test_more_tokens_than_positions_are_refused(tmp_path: Path) -> None:
    model, data = tiny_tasks.model(tmp_path / "model"), tiny_tasks.sentiment(tmp_path / "task")
    with pytest.raises(UserError, match=r"sequence_length: 64, but .* has only 32 positions"):
        finetune(tmp_path, "chnsenticorp", model, data, sequence_length=64)


def test_the_examples_of_a_steps_batch_are_named_by_their_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mobilebert import tokenization
    from mobilebert.finetuning import features
    from mobilebert.training import loop

    jobs: list[Any] = []

    def planned(job: Any, *_: Any) -> None:
        jobs.append(job)
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "train", planned)
    model, data = tiny_tasks.model(tmp_path / "model"), tiny_tasks.sentiment(tmp_path / "task")
    with pytest.raises(KeyboardInterrupt):
        finetune(tmp_path, "chnsenticorp", model, data)
    path, _, ids = jobs[0].records(3).partition(": ")
    lines = {
        str(line["id"]): line for line in map(json.loads, Path(path).read_text(encoding="utf-8").splitlines())
    }
    named = features.classification([lines[one] for one in ids.split(", ")], tokenization.load(model), 24)
    (batch,) = jobs[0].batches(3).take(1)
    assert sorted(batch["input_ids"].numpy().tolist()) == sorted(named.ids.tolist())
