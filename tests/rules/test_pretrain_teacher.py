"""`scripts.pretrain_teacher`: a teacher that transformers opens, its curve, its measure; unfinished work
is gone.
"""

from __future__ import annotations

import json
import re
from unittest.mock import Mock

import numpy as np
import pytest
import tensorflow as tf

from mobilebert import models, tokenization
from mobilebert.distillation import stages
from mobilebert.distillation.pretraining import MaskedLmObjective
from mobilebert.distillation.runs import TrainingRun
from mobilebert.errors import UserError
from mobilebert.storage import artifacts
from scripts import pretrain_teacher


def test_it_writes_a_trained_teacher_even_if_stopped_at_the_end_and_cleans_up(
    chain, command, tmp_path, monkeypatch, caplog
):
    settings = chain.settings(
        "teacher.shape",
        "teacher.training",
        "masking",
        "training",
        "seed",
        teacher={"training": {"steps": 40, "batch_size": 8, "learning_rate": 1e-3}},
    )
    out, state = tmp_path / "teacher", tmp_path / "state"
    arguments = [
        "--settings",
        settings,
        *chain.data,
        "--state",
        state,
        "--out",
        out,
    ]
    with monkeypatch.context() as patched:
        patched.setattr(
            TrainingRun, "measure", Mock(side_effect=KeyboardInterrupt)
        )  # trained, but not written yet
        with pytest.raises(KeyboardInterrupt):
            command(pretrain_teacher, *arguments)
    assert not artifacts.exists(out)
    (unfinished,) = state.iterdir()
    assert unfinished.name.startswith("pretrain_teacher-mini-teacher-")
    caplog.set_level("INFO")
    command(pretrain_teacher, *arguments)
    assert "resuming from step 40" in caplog.text

    manifest = artifacts.read(out, "model")
    assert manifest.inputs == {
        "records": artifacts.digest(chain.records),
        "tokenizer": artifacts.digest(chain.tokenizer),
    }
    assert str(tmp_path) not in (out / "manifest.json").read_text()
    assert list(state.iterdir()) == []

    *lines, heldout = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(2, 41, 2))
    assert np.mean([line["hard"] for line in lines[-3:]]) < 0.8 * lines[0]["hard"]

    model = models.weights.load(out)
    assert model.config == models.configs.named("mini-teacher", tokenization.load(out).size)
    evaluation = json.loads((out / "evaluation.json").read_text())
    assert evaluation["parameters"] == model.parameters
    assert evaluation["heldout"]["masked_loss"] < lines[0]["hard"]
    assert evaluation["heldout"]["predictions"] > 0
    assert heldout["heldout_hard"] == pytest.approx(
        evaluation["heldout"]["masked_loss"], rel=0.05
    )  # of whole batches only
    assert evaluation["heldout"]["masked_accuracy"] > evaluation["heldout"]["unigram_accuracy"]


def arguments(chain, folder, on_nonfinite):
    names = ("teacher.shape", "teacher.training", "masking", "training", "seed")
    training = {
        "accelerator": "cpu",
        "steps_per_call": 3,
        "evaluate_every": 4,
        "evaluate_sequences": 64,
        "keep": "best",
    }
    steps = {"steps": 8, "batch_size": 64, "learning_rate": 1e-3}
    told = chain.settings(*names, teacher={"training": steps}, training=training)
    folders = [
        *chain.data,
        "--state",
        folder / "state",
        "--out",
        folder / "teacher",
    ]
    return ["--settings", told, *folders, "--checkpoint-seconds", 0, "--on-nonfinite", on_nonfinite]


@pytest.fixture
def poisoned(chain, monkeypatch):
    """The file and number of a training record whose loss is infinite from now on; read by TensorFlow's
    own reader, unlike all others.
    """
    stored = {}
    for path in sorted(chain.records.glob("train-*.tfrecord")):
        for number, example in enumerate(tf.data.TFRecordDataset(str(path), compression_type="GZIP")):
            feature = tf.train.Example.FromString(example.numpy()).features.feature["ids"].bytes_list.value[0]
            stored[path.name, number] = (np.frombuffer(feature, "<u2") & 0x7FFF).astype(np.int32)
    rows = np.stack(list(stored.values()))
    most_changed = 5  # masking.max_predictions
    unlike = [
        place
        for place, ids in stored.items()
        if np.sort((rows == ids).sum(axis=1))[-2] < len(ids) - 2 * most_changed
    ]
    chosen = stored[unlike[7]]

    class Poisoned(MaskedLmObjective):
        def loss(self, batch, seed, totals=None):
            parts = super().loss(batch, seed, totals)
            hit = (
                tf.reduce_sum(tf.cast(batch["input_ids"] == chosen, tf.int32), axis=1)
                >= len(chosen) - most_changed
            )
            return parts | {"loss": parts["loss"] + tf.where(tf.reduce_any(hit), np.inf, 0.0)}

    monkeypatch.setattr(stages, "MaskedLmObjective", Poisoned)
    return unlike[7]


def test_a_record_with_an_infinite_loss_is_named_or_skipped(chain, command, tmp_path, poisoned):
    broken, unbroken = tmp_path / "broken", tmp_path / "unbroken"
    with pytest.raises(UserError) as stopped:
        command(pretrain_teacher, *arguments(chain, broken, "stop"))
    told = re.search(r"of the records (.*): loss inf", str(stopped.value))
    files = dict(part.split(": ") for part in told[1].split("; "))
    named = {(name, int(number)) for name, numbers in files.items() for number in numbers.split(", ")}
    assert poisoned in named
    assert len(named) == 64
    assert not artifacts.exists(broken / "teacher")

    for folder in (broken, unbroken):  # from the checkpoint before that step, and from the start
        command(pretrain_teacher, *arguments(chain, folder, "skip"))
    assert artifacts.digest(broken / "teacher") == artifacts.digest(unbroken / "teacher")
    lines = [json.loads(line) for line in (broken / "teacher/metrics.jsonl").read_text().splitlines()]
    measured = {line["step"]: line["heldout_loss"] for line in lines if "heldout_loss" in line}
    counts = artifacts.read(broken / "teacher", "model").counts
    assert counts == {"last_step": 8, "kept_step": min(measured, key=measured.get), "skipped_steps": 1}
    assert sum(line.get("skipped", 0) for line in lines) == 1
