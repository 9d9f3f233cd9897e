"""Whole processes: SIGKILL and resume, and two devices against one.

Few of them, since each starts TensorFlow.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import toy_training as toy

PROGRAM = Path(__file__).with_name("toy_training.py")


def start(
    root: Path, folder: Path, which: str, *, waits: bool = False, **variables: str
) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    environment = os.environ | {"PYTHONPATH": str(root), "TF_CPP_MIN_LOG_LEVEL": "2"} | variables
    arguments = [sys.executable, str(PROGRAM), str(folder), which, *(["wait"] if waits else [])]
    return subprocess.Popen(
        arguments, env=environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def end(process: subprocess.Popen[str]) -> str:
    _, said = process.communicate()
    assert process.returncode == 0, said
    return said


@pytest.fixture(scope="module")
def trained(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all trainings of `toy_training` ended; the one named `single` was killed once."""
    folder = tmp_path_factory.mktemp("trained")
    process = start(root, folder, "single", waits=True)
    assert process.stderr is not None
    seen = next((line for line in process.stderr if "checkpoint at step 20" in line), "")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert seen, "no checkpoint was announced"
    assert process.returncode == -signal.SIGKILL
    assert not (folder / "single.npz").exists()
    resumed = re.findall(r"resuming from step (\d+)", end(start(root, folder, "all")))
    assert len(resumed) == 1
    assert 20 <= int(resumed[0]) < 103
    return folder


def test_killed_in_the_middle_and_started_again_gives_the_same_bits(trained: Path) -> None:
    with np.load(trained / "single.npz") as again, np.load(trained / "unbroken.npz") as expected:
        assert sorted(again) == ["dense.bias", "dense.weight"]
        for name in expected:
            assert again[name].tobytes() == expected[name].tobytes(), name
    assert (trained / "single.jsonl").read_bytes() == (trained / "unbroken.jsonl").read_bytes()
    assert list((trained / "state").iterdir()) == []


def steps_of(path: Path) -> list[dict[str, float]]:
    return [line for line in measures_of(path, measures=False) if "loss" in line]


def measures_of(path: Path, *, measures: bool = True) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [line for line in lines if ("heldout_loss" in line) == measures]


def test_two_devices_measure_held_out_batches_as_one_does(trained: Path) -> None:
    one, two = (measures_of(trained / f"{name}.jsonl") for name in ("single", "mirrored"))
    assert [line["step"] for line in one] == [line["step"] for line in two] == [20, 40, 60, 80, 100, 103]
    np.testing.assert_allclose(
        [line["heldout_loss"] for line in two], [line["heldout_loss"] for line in one], rtol=1e-4, atol=2e-7
    )
    best = min(one, key=lambda line: line["heldout_loss"])
    with np.load(trained / "single.npz") as kept:
        errors = []
        for place in (7000, 7001):
            batch = {
                name: value.numpy().astype(float) for name, value in toy.batch_at(tf.constant(place)).items()
            }
            squares = ((batch["x"] @ kept["dense.weight"] + kept["dense.bias"] - batch["y"]) ** 2).ravel()
            errors.append((squares * batch["weight"]).sum() / batch["weight"].sum())
    assert best["heldout_loss"] == pytest.approx(np.mean(errors), rel=1e-4), (
        "the best weights are kept, and measured as NumPy does"
    )


def test_two_devices_compute_a_function_of_a_batch_each_on_its_rows_in_their_order(trained: Path) -> None:
    with np.load(trained / "spread.npz") as found:
        assert (found["one"].shape, found["two"].shape) == ((1, 8, 4), (2, 4, 4))
        assert np.isnan(found["one"]).any(), "of a negative number; it must not reach other devices' rows"
        np.testing.assert_array_equal(found["two"].reshape(8, 4), found["one"][0])


def test_a_step_that_is_not_finite_on_one_device_is_left_out_on_both(trained: Path) -> None:
    weight, bias, losses = toy.numpy_training(12, without=(2, 9))
    with np.load(trained / "poisoned.npz") as found:
        np.testing.assert_allclose(found["dense.weight"], weight, rtol=1e-4)
        np.testing.assert_allclose(found["dense.bias"], bias, rtol=1e-4)
    lines = steps_of(trained / "poisoned.jsonl")
    assert [line.get("skipped", 0) for line in lines] == [1, 1, 0]
    assert [line["loss"] for line in lines] == pytest.approx(
        [np.mean(losses[:4]), np.mean(losses[4:8]), np.mean(losses[8:])], rel=1e-3
    )


def start_hosts(root: Path, folders: list[Path]) -> list[subprocess.Popen[str]]:
    """A process a folder, as TF_CONFIG has them; the first is the chief.

    All but the chief wait after a checkpoint.
    """
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in folders]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        workers = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    told = [
        {"cluster": {"worker": workers}, "task": {"type": "worker", "index": number}}
        for number in range(len(folders))
    ]
    return [
        start(root, folder, "host", waits=folder != folders[0], TF_CONFIG=json.dumps(one))
        for folder, one in zip(folders, told, strict=True)
    ]


def test_two_hosts_give_the_losses_of_one_and_leave_and_go_on_together(
    root: Path, trained: Path, tmp_path: Path
) -> None:
    """Only the chief's folder holds checkpoints and weights; SIGTERM reaches the other alone.

    Tolerance as for two devices.
    """
    folders = [tmp_path / "chief", tmp_path / "other"]
    chief, other = start_hosts(root, folders)
    assert chief.stderr is not None
    before = ""
    while "checkpoint at step 20" not in before:
        before += chief.stderr.readline() or pytest.fail(before)
    other.send_signal(signal.SIGTERM)
    theirs = end(other)
    said = [before + end(chief), theirs]
    assert all("left with 143" in one for one in said)
    resumed = [re.findall(r"resuming from step (\d+)", one) for one in said]
    assert resumed[0] == resumed[1]
    assert 20 <= int(resumed[0][0]) < 103
    assert "2 hosts, each with CPU, 2 threads; this is number 1" in said[1]
    one, two = (steps_of(path) for path in (trained / "single.jsonl", folders[0] / "hosts.jsonl"))
    for part in ("loss", "gradient_norm", "learning_rate"):
        np.testing.assert_allclose(
            [line[part] for line in two], [line[part] for line in one], rtol=1e-4, atol=2e-7, err_msg=part
        )
    assert (folders[1] / "hosts-1.jsonl").read_bytes() == (folders[0] / "hosts.jsonl").read_bytes()
    assert not (folders[1] / "hosts.npz").exists()
    assert [
        (folder / f"{name}.tensorboard").exists()
        for folder, name in zip(folders, ("hosts", "hosts-1"), strict=True)
    ] == [True, False]
    assert not (folders[1] / "state").exists()
    with np.load(folders[0] / "hosts.npz") as found, np.load(trained / "single.npz") as expected:
        for name in expected:
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-4)


def test_two_devices_that_take_an_example_at_a_time_give_the_losses_of_one_at_once(trained: Path) -> None:
    one, two = (steps_of(trained / f"{name}.jsonl") for name in ("single", "rounds"))
    assert len({line["noise"] for line in two} & {line["noise"] for line in one}) == 0, (
        "rounds draw their own random numbers"
    )
    for part in ("loss", "gradient_norm"):
        found, expected = ({line["step"]: line[part] for line in lines} for lines in (two, one))
        np.testing.assert_allclose(
            *([values[step] for step in (5, 50, 100, 103)] for values in (found, expected)),
            rtol=1e-4,
            atol=2e-7,
        )


def test_two_devices_give_the_losses_of_one(trained: Path) -> None:
    """Tolerance 1e-4 relative (2e-7 absolute): only the order of float32 sums differs, over 103 steps with
    uneven weights.
    """
    one, two = (steps_of(trained / f"{name}.jsonl") for name in ("single", "mirrored"))
    assert len(one) == len(two) == 21
    for part in ("loss", "gradient_norm", "learning_rate"):
        np.testing.assert_allclose(
            [line[part] for line in two], [line[part] for line in one], rtol=1e-4, atol=2e-7, err_msg=part
        )
    assert [line["noise"] for line in one] != [line["noise"] for line in two], (
        "replicas must draw their own random numbers"
    )


def test_clipping_per_replica_clips_each_gradient_before_the_mean(trained: Path) -> None:
    """LAMB in NumPy, on two halves of each batch; the halves' weights differ 8 to 1, so that only one of
    them is clipped much.
    """
    weights = {"dense.weight": np.zeros((4, 1)), "dense.bias": np.zeros(1)}
    m, v = ({name: np.zeros_like(value) for name, value in weights.items()} for _ in range(2))
    for step in range(6):
        batch = {name: value.numpy().astype(float) for name, value in toy.batch_at(tf.constant(step)).items()}
        clipped = []
        for half in (slice(0, 4), slice(4, 8)):
            x, y, weight = (batch[name][half] for name in ("x", "y", "weight"))
            slope = (
                2
                * (weight / (batch["weight"].sum() / 2))[:, None]
                * (x @ weights["dense.weight"] + weights["dense.bias"] - y)
            )
            gradient = {"dense.weight": x.T @ slope, "dense.bias": slope.sum(axis=0)}
            norm = np.sqrt(sum((value**2).sum() for value in gradient.values()))
            clipped.append({name: value * min(1.0, 0.5 / norm) for name, value in gradient.items()})
        rate = 0.05 * (step / 3 if step < 3 else 1 - step / 6)
        for name, value in weights.items():
            mean = (clipped[0][name] + clipped[1][name]) / 2
            m[name], v[name] = 0.9 * m[name] + 0.1 * mean, 0.999 * v[name] + 0.001 * mean**2
            update = m[name] / (np.sqrt(v[name]) + 1e-6) + (0.01 * value if name == "dense.weight" else 0.0)
            ratio = (
                np.linalg.norm(value) / np.linalg.norm(update)
                if name == "dense.weight" and np.linalg.norm(value) > 0
                else 1.0
            )
            weights[name] = value - rate * ratio * update
    with np.load(trained / "clipped.npz") as found:
        for name, value in weights.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-4, err_msg=name)
