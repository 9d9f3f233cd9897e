"""The peers of `make bench-training` do the same work as we do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from benchmarks.training import __main__ as training
from benchmarks.training import bounds, report
from benchmarks.training import models as training_models
from benchmarks.training import ours as training_ours
from benchmarks.training import workload as work
from mobilebert import models
from mobilebert.models.configs import BertConfig, MobileBertConfig

torch = pytest.importorskip("torch")
LAYERS = 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both models and a batch, small."""
    made = tmp_path_factory.mktemp("models")
    same = {
        "vocab_size": 60,
        "hidden_size": 16,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 2,
        "max_position_embeddings": 16,
    }
    student = MobileBertConfig(
        **same,
        embedding_size=16,
        intermediate_size=24,
        intra_bottleneck_size=8,
        num_feedforward_networks=2,
        key_query_shared_bottleneck=True,
    )
    for name, config, seed in (
        (work.STUDENT, student, 1),
        (work.TEACHER, BertConfig(**same, intermediate_size=32), 2),
    ):
        model = models.build(config, seed)
        for number, variable in enumerate(
            model.variables_by_name.values()
        ):  # so that every term has something to say
            variable.assign_add(
                np.random.default_rng(number).normal(0, 0.1, variable.shape).astype(np.float32)
            )
        training_models.write_model(made / name, model)
    np.savez(made / work.ARRAYS, **work.batch(60, 4, 16, 3))
    return made


@pytest.fixture
def layers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "LAYERS", LAYERS)


def ours(folder: Path, kind: str) -> tuple[float, dict[str, np.ndarray]]:
    """Loss and gradients by name."""
    from mobilebert.models.checkpoints import weights

    student, teacher = (weights.load(folder / name) for name in (work.STUDENT, work.TEACHER))
    objective = training_ours.objective(student, teacher, kind)
    with tf.GradientTape() as tape:
        loss = objective.loss(
            {name: tf.constant(array) for name, array in work.read_batch(folder).items()}, None
        )["loss"]
    gradients = tape.gradient(loss, dict(objective.variables))
    return float(loss), {
        name: tf.convert_to_tensor(value).numpy() for name, value in gradients.items() if value is not None
    }


def theirs(folder: Path, kind: str) -> tuple[float, dict[str, np.ndarray]]:
    from benchmarks.training import torch_peer

    student, teacher = torch_peer.load(folder)
    batch = {name: torch.from_numpy(values).long() for name, values in work.read_batch(folder).items()}
    gate = torch.zeros(LAYERS)
    gate[-1] = 1
    untrimmed = kind == "untrimmed"
    loss = (
        torch_peer.untrimmed_loss(student, teacher, batch, gate)
        if untrimmed
        else torch_peer.joint_loss(student, teacher, batch, set(kind.split("-")))
    )
    loss.backward()
    return loss.item(), {
        name: value.grad.numpy() for name, value in student.named_parameters() if value.grad is not None
    }


@pytest.mark.usefixtures("layers")
@pytest.mark.parametrize(
    ("kind", "peer"),
    [("joint", "joint"), ("joint", "joint-gathered"), ("untrimmed", "untrimmed"), ("layer02", "untrimmed")],
)
def test_peers_have_our_loss_and_our_gradients(folder: Path, kind: str, peer: str) -> None:
    (loss, gradients), (other, others) = ours(folder, kind), theirs(folder, peer)
    assert loss == pytest.approx(other, rel=1e-5)
    compared = [name for name in gradients if name in others]
    assert len(compared) > 0.9 * len(gradients)
    for name in compared:
        expected = (
            others[name].T
            if gradients[name].shape != others[name].shape or _is_kernel(name)
            else others[name]
        )
        assert np.abs(gradients[name] - expected).max() <= 1e-4 * max(1.0, np.abs(expected).max()), name


def _is_kernel(name: str) -> bool:
    table = "embeddings." in name and not name.endswith("embedding_transformation.weight")
    return name.endswith(".weight") and not table and "LayerNorm" not in name


@pytest.mark.usefixtures("layers")
def test_peers_take_our_steps(folder: Path) -> None:
    from benchmarks.training import torch_peer
    from mobilebert.models.checkpoints import weights
    from mobilebert.training import accelerators

    student, teacher = (weights.load(folder / name) for name in (work.STUDENT, work.TEACHER))
    before = {name: variable.numpy() for name, variable in student.variables_by_name.items()}
    here = accelerators.Accelerator(tf.distribute.get_strategy(), "the test's CPU", 1)
    training_ours.make_steps(student, teacher, "joint", here, work.read_batch(folder)).run(0, 3)
    other, target = torch_peer.load(folder)
    batch = {name: torch.from_numpy(values).long() for name, values in work.read_batch(folder).items()}
    step = torch_peer.step_of(other, target, batch, torch_peer.make_optimizer(other), {"joint"}, "float32")
    for _ in range(3):
        step()
    moved = {name: value.detach().numpy() for name, value in other.named_parameters()}
    compared = [
        name for name in before if name in moved and not name.endswith("key.bias")
    ]  # which shifts all scores of a query alike
    assert len(compared) > 0.9 * len(before)
    for name in compared:
        ours, start = student.variables_by_name[name].numpy(), before[name]
        theirs = moved[name].T if _is_kernel(name) else moved[name]
        assert np.abs(ours - start).max() > 1e-6, name
        # Where a gradient is nearly 0 the direction of Adam's step is rounding: all but a few numbers moved
        # alike.
        assert np.mean(np.abs(ours - theirs) <= 0.02 * np.abs(ours - start).max()) > 0.98, name


def test_products_by_arithmetic() -> None:
    own, teacher = bounds._parts("base-f4")[1], bounds._parts("bert-base")[1]
    assert bounds.products("layer12") == bounds.products("untrimmed")
    assert bounds.products("layer07") - bounds.products("layer06") == pytest.approx(3 * own + teacher)
    assert bounds.products("frozen07") - bounds.products("frozen06") == pytest.approx(own + teacher)
    unread = (
        2 * 8 * 128 * 3 * 768 * 144 / 1e9
    )  # the layer's input, taken by both bottlenecks and the values, gets no gradient
    assert bounds.products("frozen01") == bounds.products("layer01")
    assert bounds.products("frozen06") == pytest.approx(
        bounds._parts("base-f4")[0] + 8 * own + 6 * teacher - unread
    )
    weighed = 4 * 768**2 + 2 * 768 * 3072  # of a layer of BERT-base
    assert teacher == pytest.approx(2 * 8 * 128 * (weighed + 2 * 128 * 768) / 1e9)


@pytest.mark.usefixtures("layers")
def test_another_weight_of_a_term_would_be_seen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loss, _ = ours(folder, "joint")
    monkeypatch.setattr(work, "ATTENTION", 1.1)
    other, _ = theirs(folder, "joint")
    assert loss != pytest.approx(other, rel=1e-4)


def test_arms_that_begin_with_other_losses_are_not_compared() -> None:
    training.check_same_work({"ours": {"loss": 10.0}, "peer": {"loss": 10.009}}, 1e-3)
    for wrong in (10.02, float("nan")):
        with pytest.raises(ValueError, match="peer starts with a loss of"):
            training.check_same_work({"ours": {"loss": 10.0}, "peer": {"loss": wrong}}, 1e-3)


@pytest.mark.usefixtures("layers")
def test_textbrewer_waits_for_its_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.training import torch_peer

    said: list[dict[str, Any]] = []
    monkeypatch.setattr(work, "say", said.append)
    monkeypatch.setattr("sys.stdin", ["2\n", "3\n", "0\n"])
    rows = iter(torch_peer._waiting({"input_ids": 1}, [7.0]))
    for _ in range(1 + 2 + 3):  # the first step is none of a turn's
        next(rows)
    with pytest.raises(torch_peer._Done):
        next(rows)
    assert said[0]["loss"] == 7.0
    assert [(len(turn["seconds"]), len(turn["host"])) for turn in said[1:]] == [(2, 2), (3, 3)]


def arm(seconds: float) -> dict[str, Any]:
    return {
        "seconds": seconds,
        "least": seconds,
        "first_seconds": 5.0,
        "peak_mb": 1000.0,
        "loss": 1.0,
        "host_share": 0.01,
    }


def test_targets_are_told_met_or_missed_by_the_figures() -> None:
    speeds = {"layer": 0.07, "frozen": 0.04}
    stages = {
        stage: {name: arm(speed * stage) for name, speed in speeds.items()} for stage in training.STAGES
    }
    beside = {stage: {"untrimmed": 1.0, "peer": 0.5} for stage in training.STAGES}
    progressive = {"untrimmed": arm(1.0), "peer": arm(0.5), "stages": stages, "fastest": "torch.compile"}
    progressive |= training.over_stages(stages, beside)
    found = {
        "float32": {
            "ours": arm(1.0),
            "PyTorch eager": arm(1.2) | {"of_ours": 1.2},
            "TextBrewer": arm(1.3) | {"of_ours": 1.3},
        },
        "bfloat16": {"ours": arm(1.0), "PyTorch eager": arm(1.06) | {"of_ours": 1.06}},
        "progressive": progressive | {"precision": "float32"},
        "pipeline": {"batches_per_second": 1000.0},
    }
    assert progressive["means"]["layer"] == pytest.approx(
        0.07 * 6.5
    )  # linear in the layer, so the interpolation is exact
    told = {name: met for name, _, _, met in report.targets(found)}
    assert [name for name, met in told.items() if not met] == [
        "joint step, float32, speed against PyTorch eager"
    ]
    page = report.document(found, dict.fromkeys(report.HEAD_KEYS, "x"))
    assert page.count("**missed**") == 1


def test_steps_are_compared_turn_by_turn() -> None:
    ours, theirs = (
        [1.0, 1.0, 2.0, 2.0, 1.0],
        [1.5, 1.5, 3.0, 3.0, 9.0],
    )  # slow turns, and one in which the machine did something else
    assert training.paired(theirs, ours) == 1.5


def test_parts_that_are_not_measured_stay_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit, match="run without --only first"):
        report.read(tmp_path)
    stored = {
        "about": {},
        "float32": {"ours": arm(1.0)},
        "progressive": {"stages": {3: {}}, "beside": {3: {}}},
    }
    (tmp_path / "training.json").write_text(json.dumps(stored))
    before = report.read(tmp_path)
    assert before["progressive"] == {"stages": {3: {}}, "beside": {3: {}}}
    monkeypatch.setattr(training, "workers", None)
    assert training.measure(tmp_path, [0], 1, set(), set(), before) == before


def test_a_stage_is_compared_with_what_ran_in_its_turns() -> None:
    stages = {stage: {"layer": arm(0.5), "frozen": arm(0.25)} for stage in training.STAGES}
    beside = {stage: {"untrimmed": 1.0, "peer": 2.0} for stage in training.STAGES}
    slow = max(training.STAGES)  # the machine takes twice as long for everything
    stages[slow] = {"layer": arm(1.0), "frozen": arm(0.5)}
    beside[slow] = {"untrimmed": 2.0, "peer": 4.0}
    shares = training.over_stages(stages, beside)["shares"]
    assert shares == {"layer": {"untrimmed": 0.5, "peer": 0.25}, "frozen": {"untrimmed": 0.25, "peer": 0.125}}
