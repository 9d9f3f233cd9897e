"""Steps that are not finite: named and stopped at, or left out and counted."""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import toy_training as toy

from mobilebert.errors import UserError
from mobilebert.settings import Training
from mobilebert.training import accelerators, loop
from mobilebert.training.nonfinite import MOST_IN_A_ROW
from mobilebert.training.state import workspace

HERE = accelerators.Accelerator(tf.distribute.get_strategy(), "the test's CPU", 1)


def job_of(made: toy.Regression, *poisoned: int, skips: bool = True, steps: int = 23) -> loop.Job:
    return dataclasses.replace(
        toy.job(made, steps=steps),
        batches=toy.poisoned(*poisoned),
        skips=skips,
        records=lambda step: f"shard: {step}, {step + 1}",
    )


def run(folder: Path, job: loop.Job, *, kill_at: int = 0) -> loop.Trained:
    with workspace.open_state(folder / "state", "toy", toy.FINGERPRINT) as work:
        save = work.save

        def dying(step: int, *more: object) -> None:
            save(step, *more)  # type: ignore[arg-type]
            if step == kill_at:
                raise KeyboardInterrupt

        work.save = dying  # type: ignore[method-assign,assign]
        return loop.train(job, HERE, work, folder / "metrics.jsonl", 0.0, None)


def lines_of(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("device_batch", [None, 4])
def test_steps_left_out_leave_what_numpy_gives_without_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, device_batch: int | None
) -> None:
    made = toy.Regression()
    job = dataclasses.replace(
        job_of(made, 4, 5, 6, 7, 8, 9, 17), training=Training(steps_per_call=5, device_batch=device_batch)
    )
    with caplog.at_level(logging.WARNING):
        trained = run(tmp_path, job)
    weight, bias, losses = toy.numpy_training(23, without=(4, 5, 6, 7, 8, 9, 17))
    np.testing.assert_allclose(made.variables["dense.weight"].numpy(), weight, rtol=1e-4)
    np.testing.assert_allclose(made.variables["dense.bias"].numpy(), bias, rtol=1e-4)
    lines = lines_of(tmp_path)
    assert [(line.get("skipped"), line.get("skipped_in_a_row")) for line in lines] == [
        (1, 1),
        (5, 6),
        (None, None),
        (1, 0),
        (None, None),
    ]
    assert "loss" not in lines[1], "a call of which no step was taken has no mean"
    means = [np.mean(losses[a:b]) for a, b in ((0, 4), (4, 9), (9, 13), (13, 16))]
    assert [line["loss"] for line in lines if "loss" in line] == pytest.approx(means, rel=1e-4)
    assert trained.skipped == 7
    warned = [message for message in caplog.messages if "left out" in message]
    assert len(warned) == 7
    assert "at step 18 of the records shard: 17, 18: loss inf" in warned[-1] or "loss nan" in warned[-1]


def test_skipping_goes_on_after_a_kill_with_the_same_bits(tmp_path: Path) -> None:
    made, broken, again = (toy.Regression() for _ in range(3))
    run(tmp_path / "unbroken", job_of(made, 4, 5, 11))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "broken", job_of(broken, 4, 5, 11), kill_at=10)
    run(tmp_path / "broken", job_of(again, 4, 5, 11))
    np.testing.assert_array_equal(
        again.variables["dense.weight"].numpy(), made.variables["dense.weight"].numpy()
    )
    assert (tmp_path / "broken/metrics.jsonl").read_bytes() == (
        tmp_path / "unbroken/metrics.jsonl"
    ).read_bytes()


def test_stopping_names_the_records_and_no_later_step_of_the_call_is_taken(tmp_path: Path) -> None:
    made = toy.Regression()
    job = dataclasses.replace(job_of(made, 7, skips=False), span=loop.Span(0, 23, origin=0))
    with pytest.raises(UserError, match=r"step 8 of the records shard: 7, 8: loss .*on_nonfinite: skip"):
        run(tmp_path, job)
    weight, bias, _ = toy.numpy_training(23, stop=7)
    np.testing.assert_allclose(made.variables["dense.weight"].numpy(), weight, rtol=1e-4)
    np.testing.assert_allclose(made.variables["dense.bias"].numpy(), bias, rtol=1e-4)


def test_a_stopped_training_goes_on_from_its_checkpoint_once_it_may_skip(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(UserError):
        run(tmp_path / "changed", job_of(toy.Regression(), 7, skips=False))
    changed, always = toy.Regression(), toy.Regression()
    with caplog.at_level(logging.INFO):
        run(tmp_path / "changed", job_of(changed, 7))
    assert "resuming from step 5" in caplog.messages
    run(tmp_path / "always", job_of(always, 7))
    np.testing.assert_array_equal(
        changed.variables["dense.weight"].numpy(), always.variables["dense.weight"].numpy()
    )
    assert lines_of(tmp_path / "changed") == lines_of(tmp_path / "always")
    with pytest.raises(UserError, match="set on_nonfinite to skip again"):
        run(tmp_path / "changed", job_of(toy.Regression(), 7, skips=False))


def test_too_many_in_a_row_stop_even_across_calls_and_attempts(tmp_path: Path) -> None:
    bad = range(3, 3 + MOST_IN_A_ROW + 1)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, job_of(toy.Regression(), *bad), kill_at=10)
    with pytest.raises(
        UserError, match=f"at step {bad[-1] + 1} .*so were the {MOST_IN_A_ROW} steps before it"
    ):
        run(tmp_path, job_of(toy.Regression(), *bad))
    assert run(tmp_path / "fewer", job_of(toy.Regression(), *bad[:-1])).skipped == MOST_IN_A_ROW
