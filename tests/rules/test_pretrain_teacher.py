"""`scripts.pretrain_teacher`: a teacher that transformers opens, its curve, its measure; unfinished work is gone."""

from __future__ import annotations

import json
from unittest.mock import Mock

import numpy as np
import pytest

from mobilebert import artifacts, models, tokenization
from mobilebert.distillation.work import Work
from scripts import pretrain_teacher


def test_it_writes_a_trained_teacher_even_if_stopped_at_the_end_and_cleans_up(chain, command, tmp_path, monkeypatch, caplog):
    settings = chain.settings(
        "teacher.shape",
        "teacher.training",
        "masking",
        "training",
        "seed",
        teacher={"training": {"steps": 40, "batch_size": 8, "learning_rate": 1e-3}},
    )
    out, state = tmp_path / "teacher", tmp_path / "state"
    arguments = ["--settings", settings, "--records", chain.records, "--tokenizer", chain.tokenizer, "--state", state, "--out", out]
    with monkeypatch.context() as patched:
        patched.setattr(Work, "measure", Mock(side_effect=KeyboardInterrupt))  # trained, but not written yet
        with pytest.raises(KeyboardInterrupt):
            command(pretrain_teacher, *arguments)
    assert not artifacts.exists(out)
    (unfinished,) = state.iterdir()
    assert unfinished.name.startswith("pretrain_teacher-mini-teacher-")
    caplog.set_level("INFO")
    command(pretrain_teacher, *arguments)
    assert "resuming from step 40" in caplog.text

    manifest = artifacts.read(out, "model")
    assert manifest.inputs == {"records": artifacts.digest(chain.records), "tokenizer": artifacts.digest(chain.tokenizer)}
    assert str(tmp_path) not in (out / "manifest.json").read_text()
    assert list(state.iterdir()) == []

    *lines, heldout = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(2, 41, 2))
    assert np.mean([line["hard"] for line in lines[-3:]]) < 0.8 * lines[0]["hard"]

    model = models.weights.load(out)
    assert model.shape == models.shapes.named("mini-teacher", tokenization.load(out).size)
    evaluation = json.loads((out / "evaluation.json").read_text())
    assert evaluation["parameters"] == model.parameters
    assert evaluation["heldout"]["masked_loss"] < lines[0]["hard"]
    assert evaluation["heldout"]["predictions"] > 0
    assert heldout["heldout_hard"] == pytest.approx(evaluation["heldout"]["masked_loss"], rel=0.05)  # of whole batches only
    assert evaluation["heldout"]["masked_accuracy"] > evaluation["heldout"]["unigram_accuracy"]
