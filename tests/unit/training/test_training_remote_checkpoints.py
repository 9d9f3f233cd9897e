"""Checkpoints in a bucket: another machine goes on, two machines never mix, no failure of the bucket stops
a training.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mobilebert.errors import PassingError, UserError
from mobilebert.training.state import remote_checkpoints, workspace
from tests.loopback_gcs import Fault, LoopbackGcs
from tests.unit.training.remote_machines import (
    BELOW,
    PRINT,
    machine,
    marked,
    object_name,
    objects,
    restored,
    tensors,
    train,
    train_and_wait,
    wait_for,
)


@pytest.fixture
def gcs(gcs: LoopbackGcs, monkeypatch: pytest.MonkeyPatch) -> LoopbackGcs:
    """The loopback service; its clients do not pause before they try again."""
    monkeypatch.setattr("google.api_core.retry.retry_unary.time.sleep", lambda seconds: None)
    monkeypatch.setattr(remote_checkpoints, "RETRY_SECONDS", (0.001, 0.001))
    return gcs


# --- another machine goes on


def test_another_machine_goes_on_where_the_first_stopped(gcs: LoopbackGcs, tmp_path: Path) -> None:
    with machine(tmp_path / "one") as work:
        assert work.restore() is None
        train(work, 5, 10)

    with machine(tmp_path / "two") as other:
        checkpoint = other.restore()

        assert checkpoint is not None
        assert checkpoint.step == 10
        np.testing.assert_array_equal(checkpoint.tensors["weights"], tensors(10)["weights"])
        assert other.metrics.read_bytes() == work.metrics.read_bytes()


def test_the_first_machine_comes_back_and_takes_what_the_second_did(gcs: LoopbackGcs, tmp_path: Path) -> None:
    with machine(tmp_path / "one") as work:
        train(work, 5)
    with machine(tmp_path / "two") as work:
        work.restore()
        train(work, 10)

    with machine(tmp_path / "one") as work:
        checkpoint = work.restore()

        assert checkpoint is not None
        assert checkpoint.step == 10
        assert [json.loads(line)["step"] for line in work.metrics.read_text().splitlines()] == [5, 10]


def test_metrics_after_the_checkpoint_are_not_sent_with_it(gcs: LoopbackGcs, tmp_path: Path) -> None:
    gate = threading.Event()
    with machine(tmp_path / "one") as work:
        gcs.faults.append(Fault("insert", before=lambda: gate.wait(30) and None))
        train(work, 5)
        work.add_metrics({"step": 99})
        gate.set()

    with machine(tmp_path / "two") as work:
        work.restore()

        assert [json.loads(line)["step"] for line in work.metrics.read_text().splitlines()] == [5]


def test_a_step_that_is_saved_twice_is_sent_twice(gcs: LoopbackGcs, tmp_path: Path) -> None:
    with machine(tmp_path / "one") as work:
        train_and_wait(gcs, work, 5)
        work.add_metrics({"measured_at": 5})
        work.save(5, tensors(6))

    with machine(tmp_path / "two") as work:
        checkpoint = work.restore()

        assert checkpoint is not None
        np.testing.assert_array_equal(checkpoint.tensors["weights"], tensors(6)["weights"])
        assert len(work.metrics.read_text().splitlines()) == 2


def test_two_checkpoints_are_kept_in_the_bucket(gcs: LoopbackGcs, tmp_path: Path) -> None:
    with machine(tmp_path) as work:
        train_and_wait(gcs, work, 5, 10, 15, 20)

    assert marked(gcs) == [15, 20]
    assert len(objects(gcs)) == 6


def test_finished_work_leaves_nothing_here_nor_in_the_bucket(gcs: LoopbackGcs, tmp_path: Path) -> None:
    with machine(tmp_path) as work:
        train(work, 5, 10)
        work.finish()

    assert objects(gcs) == []
    assert list(tmp_path.iterdir()) == []


def test_copies_of_finished_work_that_cannot_be_removed_are_warned_of(
    gcs: LoopbackGcs, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with machine(tmp_path) as work:
        train(work, 5)
        work._remote._sending.result(30)
        gcs.faults.append(Fault("delete", status=403))
        work.finish()

    assert f"job-{PRINT[:12]} stays as it is" in caplog.text


def test_other_work_is_never_fetched(gcs: LoopbackGcs, tmp_path: Path) -> None:
    with machine(tmp_path / "one") as work:
        train(work, 5)

    with machine(tmp_path / "two", PRINT[:12] + "0" * 52) as work:
        assert work.restore() is None, (
            "the folder's name has 12 digits of the fingerprint, the checkpoint all of them"
        )


def test_what_lies_in_the_bucket_already_is_not_sent_again(gcs: LoopbackGcs, tmp_path: Path) -> None:
    with machine(tmp_path) as work:
        train(work, 5)
    names = objects(gcs)

    assert restored(tmp_path) == 5
    assert objects(gcs) == names


# --- two machines


def test_a_newcomer_takes_over_at_once_and_the_older_stops(gcs: LoopbackGcs, tmp_path: Path) -> None:
    with machine(tmp_path / "one") as older:
        train_and_wait(gcs, older, 5)
        with machine(tmp_path / "two") as newer:
            checkpoint = newer.restore()
            assert checkpoint is not None
            assert checkpoint.step == 5

            train(older, 10)
            wait_for(lambda: older._remote._sending.done())
            with pytest.raises(
                UserError, match=r"was taken over by process \d+ on \S+: start again"
            ) as stopped:
                train(older, 15)

            assert not isinstance(stopped.value, PassingError), "another attempt would take it back"
            assert marked(gcs) == [5], "the older wrote no marker"
            train_and_wait(gcs, newer, 11)
    assert marked(gcs) == [5, 11]


def test_both_machines_send_the_same_step_and_only_the_newer_counts(gcs: LoopbackGcs, tmp_path: Path) -> None:
    gate = threading.Event()
    with machine(tmp_path / "one") as older:
        train_and_wait(gcs, older, 5)
        older._remote._storage.create = _held_back(older._remote._storage.create, gate)
        train(older, 10)
        with machine(tmp_path / "two") as newer:
            newer.restore()
            newer.save(10, tensors(99))
            newer._remote._sending.result(30)
            gate.set()
            wait_for(lambda: older._remote._sending.done())

            assert marked(gcs) == [5, 10]
    with machine(tmp_path / "three") as third:
        checkpoint = third.restore()
    assert checkpoint is not None
    np.testing.assert_array_equal(checkpoint.tensors["weights"], tensors(99)["weights"])


def _held_back(create: Callable[..., bool], gate: threading.Event) -> Callable[..., bool]:
    """Objects are created once the gate is open."""
    return lambda name, payload: bool(gate.wait(30)) and create(name, payload)


def test_an_older_machine_removes_nothing_of_a_newer_one(gcs: LoopbackGcs, tmp_path: Path) -> None:
    with machine(tmp_path / "one") as older:
        train_and_wait(gcs, older, 5)
        with machine(tmp_path / "two") as newer:
            newer.restore()
            train_and_wait(gcs, newer, 7)

            older._remote._remove_all_but([])  # it looked at the owner just before the newcomer came

            assert marked(gcs) == [7]


def test_what_an_older_machine_removes_while_it_is_fetched_is_passed_over(
    gcs: LoopbackGcs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with machine(tmp_path / "one") as older:
        train_and_wait(gcs, older, 5, 10)
        with machine(tmp_path / "two") as newer:
            bucket, remove = newer._remote._storage, older._remote._remove_all_but
            fetch = bucket.fetch
            monkeypatch.setattr(bucket, "fetch", lambda *a: (remove([]), fetch(*a)))
            assert newer.restore() is None
            train_and_wait(gcs, newer, 7)


def test_a_machine_whose_work_another_finished_stops_and_puts_nothing_back(
    gcs: LoopbackGcs, tmp_path: Path
) -> None:
    with machine(tmp_path / "one") as older:
        train_and_wait(gcs, older, 5)
        with machine(tmp_path / "two") as newer:
            newer.restore()
            newer.finish()
        train(older, 10)
        wait_for(lambda: older._remote._sending.done())
        with pytest.raises(UserError, match="taken over by somebody who finished or removed it"):
            train(older, 15)
    assert marked(gcs) == []


def test_what_an_older_machine_left_half_sent_goes_with_the_next_checkpoints(
    gcs: LoopbackGcs, tmp_path: Path
) -> None:
    with machine(tmp_path / "one") as work:
        train_and_wait(gcs, work, 5)
    gcs.commit("states", f"{BELOW}step-0000000010-{1:020d}-000001/checkpoint.safetensors", b"half", None, {})

    assert restored(tmp_path / "two") == 5
    with machine(tmp_path / "two") as work:
        train_and_wait(gcs, work, 10)

    assert len(objects(gcs)) == 6


def test_a_lost_answer_to_the_claim_costs_nothing(gcs: LoopbackGcs, tmp_path: Path) -> None:
    gcs.faults.append(Fault("insert", lose_answer=True))
    with machine(tmp_path) as work:
        train(work, 5)

    assert marked(gcs) == [5]
    assert "owner.json" not in objects(gcs)


def test_an_owner_that_cannot_be_read_is_followed_too(
    gcs: LoopbackGcs, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gcs.commit("states", f"{BELOW}owner.json", b"{", None, {})
    with caplog.at_level(logging.INFO), machine(tmp_path):
        pass

    assert "is taken over from somebody whose owner.json cannot be read" in caplog.text


# --- failures


def test_a_training_does_not_wait_for_the_bucket_and_only_the_newest_is_sent(
    gcs: LoopbackGcs, tmp_path: Path
) -> None:
    gate = threading.Event()
    with machine(tmp_path) as work:
        gcs.faults.append(Fault("insert", before=lambda: gate.wait(30) and None))
        train(work, 5)
        wait_for(lambda: gcs.faults[0].met)
        train(work, 10, 15, 20)
        assert marked(gcs) == []
        gate.set()

    assert marked(gcs) == [5, 20]


def test_a_bucket_that_fails_is_warned_of_and_tried_again(
    gcs: LoopbackGcs, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with machine(tmp_path / "one") as work:
        gcs.faults += [
            Fault("insert", status=403, times=3),
            Fault("insert", status=503, times=2),
            Fault("insert", lose_answer=True),
        ]
        train_and_wait(gcs, work, 5)

    assert caplog.text.count("is not in the bucket yet") == 3
    assert [fault.met for fault in gcs.faults] == [3, 2, 1]
    gcs.faults.clear()
    assert restored(tmp_path / "two") == 5


def test_what_could_not_be_sent_at_the_end_is_said_and_sent_by_the_next_process(
    gcs: LoopbackGcs, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with machine(tmp_path) as work:
        gcs.faults.append(Fault("insert", status=403, times=10**9))
        train(work, 5)
    assert f"is not in the bucket, only in {work.folder} here" in caplog.text

    gcs.faults.clear()
    assert restored(tmp_path) == 5
    assert marked(gcs) == [5]


@pytest.mark.parametrize("file", remote_checkpoints.FILES)
def test_a_checkpoint_of_which_a_file_is_absent_is_not_used(
    gcs: LoopbackGcs, tmp_path: Path, file: str
) -> None:
    with machine(tmp_path / "one") as work:
        train_and_wait(gcs, work, 5, 10)
    del gcs.buckets["states"][object_name(gcs, 10, file)]

    assert restored(tmp_path / "two") == 5


@pytest.mark.parametrize("file", ["metrics.jsonl", "checkpoint.safetensors"])
@pytest.mark.parametrize("harm", ["changed there", "corrupted on the way"])
def test_a_damaged_copy_is_skipped_and_sent_again(
    gcs: LoopbackGcs, tmp_path: Path, caplog: pytest.LogCaptureFixture, harm: str, file: str
) -> None:
    with machine(tmp_path / "one") as work:
        train_and_wait(gcs, work, 5, 10)
    name = object_name(gcs, 10, file)
    if harm == "changed there":
        gcs.buckets["states"][name].data = b"other bytes, of which the service gives the right checksum"
    else:
        gcs.faults.append(Fault("media", corrupt=True, name=name, times=10**9))

    with machine(tmp_path / "two") as work:
        checkpoint = work.restore()
        assert checkpoint is not None
        assert checkpoint.step == 5
        assert [path.name for path in work.folder.glob("step-*")] == ["step-0000000005.safetensors"]
        assert "is not used: it is damaged" in caplog.text
        gcs.faults.clear()
        train(work, 10)
    assert restored(tmp_path / "three") == 10


def test_one_broken_answer_costs_no_copy(gcs: LoopbackGcs, tmp_path: Path) -> None:
    with machine(tmp_path / "one") as work:
        train_and_wait(gcs, work, 5)
    gcs.faults.append(Fault("media", corrupt=True, name=object_name(gcs, 5, "checkpoint.safetensors")))

    assert restored(tmp_path / "two") == 5
    assert gcs.faults[0].met == 1


def test_a_damaged_copy_leaves_the_local_checkpoint_whole(gcs: LoopbackGcs, tmp_path: Path) -> None:
    with machine(tmp_path / "one") as work:
        train_and_wait(gcs, work, 5)
    with machine(tmp_path / "two") as work:
        work.restore()
        train_and_wait(gcs, work, 10)
    gcs.buckets["states"][object_name(gcs, 10, "metrics.jsonl")].data = b"{}"

    assert restored(tmp_path / "one") == 5


def test_a_checkpoint_that_was_damaged_before_it_was_sent_is_skipped(
    gcs: LoopbackGcs, tmp_path: Path
) -> None:
    gate = threading.Event()
    with machine(tmp_path / "one") as work:
        train_and_wait(gcs, work, 5)
        gcs.faults.append(Fault("insert", before=lambda: gate.wait(30) and None))
        train(work, 10)
        with (work.folder / "step-0000000010.safetensors").open("r+b") as stream:
            stream.seek(-4, 2)
            stream.write(b"\xff" * 4)
        gate.set()
    assert marked(gcs) == [5, 10]

    assert restored(tmp_path / "two") == 5
    assert marked(gcs) == [5]


def test_a_bucket_that_is_not_there_is_said_at_once(gcs: LoopbackGcs, tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match="check state_bucket"),
        workspace.open_state(tmp_path, "job", PRINT, bucket="gs://absent/x"),
    ):
        pass
