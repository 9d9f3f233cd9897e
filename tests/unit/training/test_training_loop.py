"""The loop: what it computes, what it says, how it stops."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import re
import resource
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import toy_training as toy

from mobilebert.errors import UserError
from mobilebert.settings import Optimization, Phase, Training
from mobilebert.training import accelerators, banner, loop, schedules
from mobilebert.training.optimizers import AdamW
from mobilebert.training.state import workspace
from mobilebert.training.state.train_state import TrainState
from mobilebert.training.steps import Steps

HERE = accelerators.Accelerator(tf.distribute.get_strategy(), "the test's CPU", 1)


def run(
    folder: Path, job: loop.Job, checkpoint_seconds: float = 600.0, meddle: Any = None
) -> list[dict[str, float]]:
    with workspace.open_state(folder / "state", "toy", toy.FINGERPRINT) as work:
        if meddle:
            meddle(work)
        loop.train(job, HERE, work, folder / "metrics.jsonl", checkpoint_seconds, folder / "logs" / "toy.log")
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_training_equals_the_same_training_written_in_numpy(tmp_path: Path) -> None:
    made = toy.Regression()
    lines = run(tmp_path, toy.job(made))
    weight, bias, losses = toy.numpy_training(23)
    np.testing.assert_allclose(made.variables["dense.weight"].numpy(), weight, rtol=1e-4)
    np.testing.assert_allclose(made.variables["dense.bias"].numpy(), bias, rtol=1e-4)
    assert [line["step"] for line in lines] == [5, 10, 15, 20, 23]
    assert [line["loss"] for line in lines] == pytest.approx(
        [np.mean(losses[a : a + 5]) for a in range(0, 23, 5)], rel=1e-4
    )
    assert [line["learning_rate"] for line in lines] == pytest.approx(
        [0.05 * (1 - s / 23) for s in (4, 9, 14, 19, 22)], rel=1e-5
    )
    assert list(lines[0]) == ["step", "loss", "noise", "gradient_norm", "learning_rate"]


def test_single_steps_equal_those_of_a_loop_on_the_device() -> None:
    found = []
    for device in (HERE, dataclasses.replace(HERE, kind="a device that loops")):
        made = toy.Regression()
        optimization = Optimization(steps=7)
        steps = Steps(made, AdamW(made.variables, {}, optimization), optimization, 1, device)
        assert steps.feed(toy.batches, 0) == toy.SIZE
        rows = [steps.run(0, 5), steps.run(5, 2)]
        assert [part.shape for part in rows] == [(5, len(steps.names)), (2, len(steps.names))]
        assert steps._call.experimental_get_tracing_count() == 1
        found.append(
            np.concatenate(
                [
                    *(part.ravel() for part in rows),
                    *(value.numpy().ravel() for value in made.variables.values()),
                ]
            )
        )
    np.testing.assert_array_equal(*found)


def test_single_steps_end_at_a_nonfinite_one_unless_skipped() -> None:
    for skips, taken in ((False, 4), (True, 9)):
        made = toy.Regression()
        steps = Steps(made, AdamW(made.variables, {}, Optimization()), Optimization(), 1, HERE, skips=skips)
        steps.feed(toy.poisoned(3), 0)
        sound = np.isfinite(steps.run(0, 9)).all(axis=1)
        assert sound.tolist() == [step != 3 for step in range(taken)]


def test_every_step_has_its_own_random_numbers_and_the_same_ones_when_run_again(tmp_path: Path) -> None:
    noise = [
        [line["noise"] for line in run(tmp_path / name, toy.job(toy.Regression(), steps=6, per_call=1))]
        for name in ("a", "b")
    ]
    assert len(set(noise[0])) == 6
    assert noise[0] == noise[1]


@pytest.mark.parametrize("optimizer", ["adamw", "lamb"])
def test_sigterm_saves_and_leaves_with_143_and_the_rest_follows_bit_for_bit(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, optimizer: str
) -> None:
    unbroken, broken = toy.Regression(), toy.Regression()
    run(tmp_path / "unbroken", toy.job(unbroken, optimizer=optimizer))

    def terminate_at_10(work: workspace.Workspace) -> None:
        append = work.add_metrics
        work.add_metrics = lambda line: (
            append(line),
            line["step"] == 10 and os.kill(os.getpid(), signal.SIGTERM),
        )  # type: ignore[method-assign,assign]

    before = signal.getsignal(signal.SIGTERM)
    with caplog.at_level(logging.INFO):
        with pytest.raises(SystemExit) as stopped:
            run(tmp_path / "broken", toy.job(broken, optimizer=optimizer), meddle=terminate_at_10)
        assert stopped.value.code == 143
        assert signal.getsignal(signal.SIGTERM) == before
        assert "checkpoint at step 10" in caplog.messages
        again = toy.Regression()
        run(tmp_path / "broken", toy.job(again, optimizer=optimizer))
    assert "resuming from step 10" in caplog.messages
    for name, variable in unbroken.variables.items():
        np.testing.assert_array_equal(again.variables[name].numpy(), variable.numpy())
    assert (tmp_path / "broken/metrics.jsonl").read_bytes() == (
        tmp_path / "unbroken/metrics.jsonl"
    ).read_bytes()


def test_a_training_that_stops_before_batches_change_their_shape_goes_on_bit_for_bit(tmp_path: Path) -> None:
    """The shape changes after step 12, in the middle of a call; the batches of the first phase end there."""
    opened: list[int] = []

    def batches(start: int) -> tf.data.Dataset:
        opened.append(start)
        width = 3 if start < 12 else 5
        made = tf.data.Dataset.range(start, 12 if start < 12 else 2**31)
        return made.map(lambda step: toy.batch_at(step) | {"ids": tf.zeros((toy.SIZE, width), tf.int32)})

    def phased(objective: toy.Regression, stop: int) -> loop.Job:
        return dataclasses.replace(
            toy.job(objective), batches=batches, lengths={0: 3, 12: 5}, span=loop.Span(0, stop)
        )

    plain, unbroken, broken = toy.Regression(), toy.Regression(), toy.Regression()
    run(tmp_path / "plain", toy.job(plain))
    lines = run(tmp_path / "unbroken", phased(unbroken, 23))
    assert opened == [0, 12]
    run(tmp_path / "broken", phased(broken, 10))
    again = toy.Regression()
    assert run(tmp_path / "broken", phased(again, 23)) == lines
    assert opened == [0, 12, 0, 10, 12]
    for name, variable in plain.variables.items():
        np.testing.assert_array_equal(unbroken.variables[name].numpy(), variable.numpy())
        np.testing.assert_array_equal(again.variables[name].numpy(), variable.numpy())


def test_a_span_takes_its_steps_of_a_longer_schedule_from_its_place_in_the_batches(tmp_path: Path) -> None:
    """Two jobs that cut one training in two give what the one gives, moments handed on."""
    whole, parts = toy.Regression(), toy.Regression()
    run(tmp_path / "whole", toy.job(whole))
    moments: dict[str, np.ndarray] = {}
    for number, (start, stop) in enumerate([(0, 9), (9, 23)]):
        job = toy.job(parts)
        spanned = loop.Job(
            "toy",
            parts,
            toy.batches,
            job.optimization,
            job.training,
            7,
            loop.Span(start, stop, moments=moments),
        )
        with workspace.open_state(tmp_path / f"state{number}", "toy", toy.FINGERPRINT) as work:
            found = loop.train(spanned, HERE, work, tmp_path / "metrics.jsonl", 600.0, None).tensors
        moments = {name: array for name, array in found.items() if not name.startswith("variables/")}
    for name, variable in whole.variables.items():
        np.testing.assert_allclose(parts.variables[name].numpy(), variable.numpy(), rtol=1e-6)
    assert [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == [
        14,
        19,
        23,
    ]


def test_an_origin_shifts_the_batches_and_not_the_schedule(tmp_path: Path) -> None:
    made = toy.Regression()
    job = toy.job(made, steps=6, per_call=1)
    seen: list[int] = []
    spanned = loop.Job(
        *(
            "toy",
            made,
            lambda start: (seen.append(start), toy.batches(start))[1],
            job.optimization,
            job.training,
            7,
        ),
        loop.Span(1, 6, origin=100, rate=lambda step: tf.cast(step, tf.float32) * 1e-3),
    )
    lines = run(tmp_path, spanned)
    assert seen == [101]
    assert [line["learning_rate"] for line in lines] == pytest.approx([1e-3, 2e-3, 3e-3, 4e-3, 5e-3])


def test_finished_training_whose_artifact_was_not_written_is_not_trained_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made, again = toy.Regression(), toy.Regression()
    lines = run(tmp_path, toy.job(made))
    with caplog.at_level(logging.INFO):
        assert run(tmp_path, toy.job(again)) == lines
    assert "resuming from step 23" in caplog.messages
    assert not [message for message in caplog.messages if message.startswith("checkpoint")]
    np.testing.assert_array_equal(
        again.variables["dense.weight"].numpy(), made.variables["dense.weight"].numpy()
    )


@pytest.mark.parametrize(("seconds", "expected"), [(0.0, [5, 10, 15, 20, 23]), (600.0, [23])])
def test_checkpoints_come_after_every_call_or_by_the_clock_and_always_at_the_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, seconds: float, expected: list[int]
) -> None:
    with caplog.at_level(logging.INFO):
        run(tmp_path, toy.job(toy.Regression()), seconds)
    assert [message for message in caplog.messages if message.startswith("checkpoint")] == [
        f"checkpoint at step {step}" for step in expected
    ]


def test_the_log_says_what_runs_and_at_most_a_line_a_minute(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        run(tmp_path, toy.job(toy.Regression()))
    assert "toy: 23 steps of 8 sequences on the test's CPU" in caplog.messages
    assert "toy: each device takes 8 sequences a step at once, float32; steps 1 to 23" in caplog.messages
    assert any(
        re.fullmatch(r"toy: about \d+ s for the 13 steps that are left", message)
        for message in caplog.messages
    )
    progress = [
        message
        for message in caplog.messages
        if re.match(r"toy: step \d+ of 23, loss [\d.]+, noise", message)
    ]
    assert len(progress) == 1
    assert progress[0].startswith("toy: step 23 of 23")
    assert list((tmp_path / "logs/toy.tensorboard").glob("events.out.tfevents.*"))


def test_a_training_goes_on_without_curves_where_they_cannot_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk, while it trains; and a folder that cannot be made."""
    most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, most[1]))
    try:
        lines = run(tmp_path / "full", toy.job(toy.Regression(), steps=60, per_call=1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, most)
    assert len(lines) == 60
    (tmp_path / "none/logs").mkdir(parents=True)
    (tmp_path / "none/logs/toy.tensorboard").touch()
    run(tmp_path / "none", toy.job(toy.Regression()))
    warned = [
        message for message in caplog.messages if message.startswith("toy: no more curves for TensorBoard")
    ]
    assert len(warned) == 2


class Exploding(toy.Regression):
    """A loss that is infinite from step 7 (counted from 0) on."""

    def loss(self, batch: dict[str, tf.Tensor], seed: tf.Tensor, totals: Any = None) -> dict[str, tf.Tensor]:
        parts = super().loss(batch, seed, totals)
        return parts | {"loss": parts["loss"] * batch["scale"][0]}


def test_a_nonfinite_loss_stops_and_leaves_no_checkpoint(tmp_path: Path) -> None:
    def batches(start: int) -> tf.data.Dataset:
        def scaled(step: tf.Tensor) -> dict[str, tf.Tensor]:
            return toy.batch_at(step) | {"scale": tf.fill((toy.SIZE,), tf.where(step < 7, 1.0, np.inf))}

        return tf.data.Dataset.range(start, 100).map(scaled)

    job = toy.job(Exploding())
    job = loop.Job("toy", job.objective, batches, job.optimization, job.training, 1)
    with pytest.raises(UserError, match=r"step 8: loss inf, noise -?[\d.]+, gradient_norm (inf|nan)"):
        run(tmp_path, job, 0.0)
    with workspace.open_state(tmp_path / "state", "toy", toy.FINGERPRINT) as work:
        found = work.restore()
    assert found is not None
    assert found.step == 5


def test_records_damaged_while_training_are_named(tmp_path: Path) -> None:
    def read(step: np.ndarray, x: np.ndarray) -> np.ndarray:
        if step >= 12:
            raise UserError("train-00000-of-00001.tfrecord: its block 7 is damaged")
        return x

    def damaged(start: int) -> tf.data.Dataset:
        steps = tf.data.Dataset.range(start, 2**31)

        def checked(step: tf.Tensor, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            return batch | {
                "x": tf.ensure_shape(
                    tf.numpy_function(read, [step, batch["x"]], tf.float32), batch["x"].shape
                )
            }

        return tf.data.Dataset.zip((steps, toy.batches(start))).map(checked)

    with pytest.raises(UserError, match=r"^train-00000-of-00001\.tfrecord: its block 7 is damaged$"):
        run(tmp_path, dataclasses.replace(toy.job(toy.Regression()), batches=damaged), 0.0)
    with workspace.open_state(tmp_path / "state", "toy", toy.FINGERPRINT) as work:
        found = work.restore()
    assert found is not None
    assert found.step == 10


def test_a_checkpoint_of_other_tensors_is_refused_by_name(tmp_path: Path) -> None:
    run(tmp_path, toy.job(toy.Regression()))
    other = toy.Regression()
    other.variables["dense.weight_2"] = other.variables.pop("dense.weight")
    with pytest.raises(UserError, match="another version of the program"):
        run(tmp_path, toy.job(other))


def test_going_on_with_another_number_of_threads_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def attempt(threads: int, steps: int) -> list[str]:
        caplog.clear()
        here = accelerators.Accelerator(tf.distribute.get_strategy(), "the test's CPU", 1, threads=threads)
        with (
            workspace.open_state(tmp_path / "state", "toy", toy.FINGERPRINT) as work,
            caplog.at_level(logging.INFO),
        ):
            loop.train(
                toy.job(toy.Regression(), steps=steps), here, work, tmp_path / "metrics.jsonl", 600.0, None
            )
        return [
            record.getMessage()
            for record in caplog.records
            if record.levelname == "WARNING" and record.name == TrainState.__module__
        ]

    assert attempt(threads=4, steps=5) == []
    assert attempt(threads=4, steps=10) == []
    (warning,) = attempt(threads=2, steps=15)
    assert "computed with 4 threads, these are 2" in warning


def test_a_batch_that_cannot_be_split_or_has_no_static_shape_is_refused() -> None:
    made = toy.Regression()
    optimizer = AdamW(made.variables, {}, Optimization())
    three = accelerators.Accelerator(tf.distribute.get_strategy(), "three", 3)
    with pytest.raises(UserError, match="batch size 8 cannot be split over 3 devices"):
        Steps(made, optimizer, Optimization(), 1, three).feed(toy.batches, 0)
    with pytest.raises(ValueError, match="static shapes"):
        Steps(made, optimizer, Optimization(), 1, HERE).feed(
            lambda start: toy.batches(start).unbatch().batch(8), 0
        )


def test_the_banner_names_rounds_and_phases_that_are_left() -> None:
    lengths = schedules.lengths(Optimization(phases=[Phase(share=0.9, sequence_length=128)]), 0, 1000, 512)
    settings = Training(device_batch=48, precision="bfloat16")
    assert banner.describe(settings, 384, 0, 1000, lengths) == (
        "each device takes 384 sequences a step in 8 rounds of 48, bfloat16; steps 1 to 900: 128 tokens, "
        "901 to 1000: 512 tokens"
    )
    assert (
        banner.describe(settings, 48, 950, 1000, lengths)
        == "each device takes 48 sequences a step at once, bfloat16; steps 951 to 1000: 512 tokens"
    )
    nothing_left = schedules.lengths(
        Optimization(phases=[Phase(share=0.999, sequence_length=128)]), 0, 10, 512
    )
    assert banner.describe(settings, 48, 0, 10, nothing_left).endswith("steps 1 to 10: 128 tokens")


def test_a_step_with_longer_sequences_costs_more() -> None:
    assert schedules.tokens({0: 128, 900: 512}, 0, 1000) == 900 * 128 + 100 * 512
    assert schedules.tokens({0: 128, 900: 512}, 890, 910) == 10 * 128 + 10 * 512
    assert schedules.tokens({}, 3, 10) == 7
    assert schedules.tokens({41: 128, 77: 512}, 41, 81) == 36 * 128 + 4 * 512
