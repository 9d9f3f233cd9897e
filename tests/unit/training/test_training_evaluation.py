"""Held-out measures: when, what they leave alone, the best weights, early stop, and resuming amid all
that.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import toy_training as toy

from mobilebert.settings import Training
from mobilebert.training import accelerators, loop
from mobilebert.training.evaluation import Curve, Measure
from mobilebert.training.state import workspace

HERE = accelerators.Accelerator(tf.distribute.get_strategy(), "the test's CPU", 1)


class Valley:
    """A training whose held-out figure falls and then rises: how far the bias is from 0.3 on its way to
    0.5.
    """

    def __init__(self, **settings: Any) -> None:
        self.made = toy.Regression()
        self.seen: list[tuple[float, bytes]] = []
        told = Training(steps_per_call=5, **settings)
        measure = Measure(self._figures, "distance")
        self.job = dataclasses.replace(
            toy.job(self.made, steps=40, warmup_steps=0, decay="constant"), training=told, measure=measure
        )

    def _figures(self) -> dict[str, float]:
        distance = abs(float(self.made.variables["dense.bias"].numpy()[0]) - 0.3)
        self.seen.append((distance, self.weights()))
        return {"distance": distance, "other": 1.0}

    def weights(self) -> bytes:
        return b"".join(variable.numpy().tobytes() for variable in self.made.variables.values())


def run(
    folder: Path,
    job: loop.Job,
    meddle: Callable[[workspace.Workspace], None] | None = None,
    log: Path | None = None,
) -> loop.Trained:
    with workspace.open_state(folder / "state", "toy", toy.FINGERPRINT) as work:
        if meddle:
            meddle(work)
        return loop.train(job, HERE, work, folder / "metrics.jsonl", 0.0, log)


def lines_of(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_measures_come_at_the_intervals_and_at_the_end_and_disturb_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain, measured = toy.Regression(), toy.Regression()
    run(tmp_path / "plain", toy.job(plain))
    job = dataclasses.replace(
        toy.job(measured),
        training=Training(steps_per_call=5, evaluate_every=10),
        measure=toy.heldout(measured, HERE),
    )
    with caplog.at_level(logging.INFO):
        run(tmp_path / "measured", job, log=tmp_path / "toy.log")
    for name, variable in plain.variables.items():
        np.testing.assert_array_equal(measured.variables[name].numpy(), variable.numpy())
    lines = lines_of(tmp_path / "measured")
    assert [line for line in lines if "loss" in line] == lines_of(tmp_path / "plain")
    assert [line["step"] for line in lines if "heldout_loss" in line] == [10, 20, 23]
    assert [line["step"] for line in lines] == sorted(line["step"] for line in lines)
    told = [message for message in caplog.messages if "held out" in message]
    assert "(held out at step 20: loss " in told[0], "the line of the last step tells of the measure before"
    assert told[1].startswith(f"toy: held out after 23 steps: loss {lines[-1]['heldout_loss']:.4g}")
    (events,) = (tmp_path / "toy.tensorboard").iterdir()
    assert events.read_bytes().count(b"heldout_loss") == 3


def test_calls_are_cut_where_a_measure_is_due_and_the_weights_stay_the_same(tmp_path: Path) -> None:
    plain, measured = toy.Regression(), toy.Regression()
    run(tmp_path / "plain", toy.job(plain))
    job = dataclasses.replace(
        toy.job(measured),
        training=Training(steps_per_call=5, evaluate_every=7),
        measure=toy.heldout(measured, HERE),
    )
    run(tmp_path / "measured", job)
    np.testing.assert_array_equal(
        measured.variables["dense.weight"].numpy(), plain.variables["dense.weight"].numpy()
    )
    lines = lines_of(tmp_path / "measured")
    assert [line["step"] for line in lines if "loss" in line] == [5, 7, 12, 14, 19, 21, 23]
    assert [line["step"] for line in lines if "heldout_loss" in line] == [7, 14, 21, 23]


def test_the_best_weights_are_kept_and_told(tmp_path: Path) -> None:
    valley = Valley(evaluate_every=4, keep="best")
    trained = run(tmp_path, valley.job)
    best = min(range(len(valley.seen)), key=lambda place: valley.seen[place][0])
    assert 0 < best < len(valley.seen) - 1, "the valley must lie within the training"
    assert valley.weights() == valley.seen[best][1]
    assert (trained.step, trained.kept) == (40, 4 * (best + 1))
    last = Valley(evaluate_every=4)
    assert run(tmp_path / "last", last.job).kept == 40
    assert last.weights() == last.seen[-1][1] == valley.seen[-1][1]


def test_a_training_stops_after_measures_without_improvement(tmp_path: Path) -> None:
    valley = Valley(evaluate_every=4, early_stop=2)
    trained = run(tmp_path, valley.job)
    distances = [distance for distance, _ in valley.seen]
    assert distances.index(min(distances)) == len(distances) - 3
    assert trained.step == trained.kept == 4 * len(distances) < 40
    lines = lines_of(tmp_path)
    again = Valley(evaluate_every=4, early_stop=2)
    assert dataclasses.replace(run(tmp_path, again.job), tensors={}) == dataclasses.replace(
        trained, tensors={}
    )
    assert again.weights() == valley.weights()
    assert lines_of(tmp_path) == lines


KILLS = [
    "before a step's line",
    "before a checkpoint",
    "after a checkpoint",
    "in a measure",
    "after a measure's line",
    "SIGTERM in a measure",
]


SETTINGS: dict[str, Any] = {"evaluate_every": 4, "keep": "best", "early_stop": 3}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[loop.Trained, bytes, bytes]:
    """How the training that the next test kills ends, its weights and its metrics."""
    valley, folder = Valley(**SETTINGS), tmp_path_factory.mktemp("unbroken")
    return run(folder, valley.job), valley.weights(), (folder / "metrics.jsonl").read_bytes()


@pytest.mark.parametrize("kill", KILLS)
def test_killed_anywhere_and_gone_on_it_ends_as_if_it_had_not_been(
    tmp_path: Path, kill: str, unbroken: tuple[loop.Trained, bytes, bytes]
) -> None:
    expected, weights, metrics = unbroken
    broken, best = Valley(**SETTINGS), expected.kept

    def dying(work: workspace.Workspace) -> None:
        add, save, figures = work.add_metrics, work.save, broken._figures

        def line(body: dict[str, Any]) -> None:
            if kill == "before a step's line" and "loss" in body and body["step"] == best + 4:
                raise KeyboardInterrupt
            add(body)
            if kill == "after a measure's line" and "heldout_other" in body and body["step"] == best:
                raise KeyboardInterrupt

        def checkpoint(step: int, *more: Any) -> None:
            if kill == "before a checkpoint" and step == best + 4:
                raise KeyboardInterrupt
            save(step, *more)
            if kill == "after a checkpoint" and step == best:
                raise KeyboardInterrupt

        def measure() -> dict[str, float]:
            if len(broken.seen) == best // 4:
                if kill == "in a measure":
                    raise KeyboardInterrupt
                if kill == "SIGTERM in a measure":
                    os.kill(os.getpid(), signal.SIGTERM)
            return figures()

        work.add_metrics, work.save = line, checkpoint  # type: ignore[method-assign,assign]
        object.__setattr__(broken.job.measure, "figures", measure)

    with pytest.raises((KeyboardInterrupt, SystemExit)):
        run(tmp_path, broken.job, dying)
    assert len(broken.seen) <= best // 4 + 1, "nothing is trained after the kill"
    again = Valley(**SETTINGS)
    found = run(tmp_path, again.job)
    assert (found.step, found.kept) == (expected.step, best)
    assert again.weights() == weights
    assert (tmp_path / "metrics.jsonl").read_bytes() == metrics


def test_a_figure_that_is_not_finite_is_warned_of_and_no_best_one(caplog: pytest.LogCaptureFixture) -> None:
    values = iter([3.0, float("nan"), 2.0, float("inf")])
    curve = Curve(
        Measure(lambda: {"loss": next(values), "other": 1.0}), Training(evaluate_every=5, early_stop=2), 0, 20
    )
    with caplog.at_level(logging.WARNING):
        lines = [curve.measure(step) for step in (5, 10, 15, 20)]
    assert lines[1] == {"step": 10, "heldout_other": 1.0}
    assert curve.best_step == 15
    assert not curve.ended
    assert [message for message in caplog.messages if "step 10: loss not finite" in message]


def test_without_a_finite_measure_the_last_weights_are_kept_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = toy.Regression()
    told = Training(steps_per_call=5, evaluate_every=10, keep="best")
    assert (
        run(
            tmp_path,
            dataclasses.replace(
                toy.job(made), training=told, measure=Measure(lambda: {"loss": float("nan")})
            ),
        ).kept
        == 23
    )
    assert caplog.messages[-1] == "toy: no measure on held-out data was finite, so the last weights are kept"


def test_a_task_is_measured_after_every_epoch_at_the_latest_and_larger_may_be_better() -> None:
    values = iter([0.5, 0.7, 0.7])
    curve = Curve(
        Measure(lambda: {"f1": next(values)}, "f1", larger=True, every=6),
        Training(evaluate_every=1000),
        0,
        15,
    )
    assert [step for step in range(1, 16) if curve.due(step)] == [6, 12, 15]
    assert [curve.until(step) for step in (0, 6, 12)] == [6, 12, 15]
    for step in (6, 12, 15):
        curve.measure(step)
    assert curve.best_step == 12
    only_at_the_end = Curve(Measure(dict, every=6), Training(), 0, 15)
    assert [step for step in range(1, 16) if only_at_the_end.due(step)] == [15]
