"""`scripts.retrain_head`: a head learns, the body stays bit for bit as it was."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mobilebert import models
from mobilebert.distillation import compatibility
from mobilebert.errors import UserError
from mobilebert.models import configs
from mobilebert.storage import artifacts
from scripts import export_teacher, retrain_head

SECTIONS = ("teacher.head_training", "masking", "training", "seed")


def arguments(chain, out, needs="[]", **training):
    told = {"steps": 60, "batch_size": 8, "learning_rate": 1e-2, "warmup_steps": 5} | training
    folders = [
        *chain.data,
        "--source",
        chain.teacher,
        "--state",
        out.parent / "state",
    ]
    return [
        "--settings",
        chain.settings(*SECTIONS, teacher={"head_training": told}),
        "--needs",
        needs,
        *folders,
        "--out",
        out,
    ]


def test_the_head_learns_with_the_body_frozen_and_then_passes(chain, command, tmp_path):
    out = tmp_path / "retrained"
    command(retrain_head, *arguments(chain, out))
    before, after = (models.weights.load(folder).variables_by_name for folder in (chain.teacher, out))
    changed = {name for name in before if not np.array_equal(before[name].numpy(), after[name].numpy())}
    assert changed == set(models.weights.load(out).head_names)
    assert artifacts.read(out, "model").inputs["source"] == artifacts.digest(chain.teacher)
    *lines, heldout = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["loss"] < 0.95 * lines[0]["loss"]
    assert heldout["heldout_hard"] == pytest.approx(lines[-1]["loss"], rel=0.2)
    assert list((tmp_path / "state").iterdir()) == []

    settings = chain.settings(
        "teacher.min_head_lift", "masking", "training", "seed", teacher={"min_head_lift": -1}
    )
    folders = [
        *chain.data,
        "--source",
        out,
        "--original",
        chain.teacher,
    ]
    command(export_teacher, "--settings", settings, *folders, "--out", tmp_path / "teacher")
    parity = json.loads((tmp_path / "teacher" / "evaluation.json").read_text())["parity"]
    assert parity["hidden"] < 1e-9
    assert "logits" not in parity


def test_a_teacher_that_does_not_fit_is_refused_before_its_head_is_trained(chain, command, tmp_path, starts):
    needs = json.dumps([compatibility.needs(configs.named("base-f2", 1))])
    with pytest.raises(UserError, match="the teacher has 4 layers, the student 12"):
        command(retrain_head, *arguments(chain, tmp_path / "retrained", needs))
    assert starts == []


def test_an_interrupted_training_goes_on(chain, command, tmp_path, starts):
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            command(retrain_head, *arguments(chain, tmp_path / "retrained"))
    with pytest.raises(KeyboardInterrupt):
        command(retrain_head, *arguments(chain, tmp_path / "retrained", learning_rate=1e-3))
    assert [step for _, step in starts] == [0, 3, 0]
