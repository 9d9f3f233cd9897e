"""Checkpoints in a bucket: another machine goes on, two machines never mix, and no failure of the network stops a training."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from mobilebert.errors import PassingError, UserError
from mobilebert.storage import lease as leases
from mobilebert.storage.bucket import BucketStorage
from mobilebert.storage.lease import Lease
from mobilebert.training import copies, state
from mobilebert.training.state import State
from tests.loopback_gcs import Fault, LoopbackGcs

PRINT = "12" * 32
WHERE = "gs://states/prefix/run"
BELOW = f"prefix/run/job-{PRINT[:12]}/"


@pytest.fixture
def gcs(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackGcs]:
    """A loopback service; retries and leases take no time to speak of."""
    monkeypatch.setattr("google.api_core.retry.retry_unary.time.sleep", lambda seconds: None)
    monkeypatch.setattr(copies, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(leases, "BEAT_SECONDS", 1000.0)  # faults are for the checkpoints alone
    with LoopbackGcs("states") as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.address)
        yield server


@pytest.fixture
def lively(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases show signs of life often."""
    monkeypatch.setattr(leases, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(leases, "STALE_SECONDS", 1.5)


@contextmanager
def machine(root: Path, fingerprint: str = PRINT) -> Iterator[State]:
    with state.open(root, "job", fingerprint, bucket=WHERE, work={"command": "toy"}) as work:
        yield work


def tensors(step: int) -> dict[str, np.ndarray]:
    return {"weights": np.full(1000, step, np.float32)}


def train(work: State, *steps: int) -> None:
    for step in steps:
        work.add_metrics({"step": step})
        (work.folder / "best.safetensors.new").write_bytes(b"the same since step 1")
        (work.folder / "best.safetensors.new").replace(work.folder / "best.safetensors")
        work.save(step, tensors(step))


def objects(gcs: LoopbackGcs, prefix: str = "") -> list[str]:
    return sorted(name.removeprefix(BELOW) for name in list(gcs.buckets["states"]) if name.startswith(BELOW + prefix))


def wait_for(condition: object) -> None:
    end = time.monotonic() + 20
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.005)


def test_another_machine_goes_on_where_the_first_stopped(gcs: LoopbackGcs, tmp_path: Path) -> None:
    with machine(tmp_path / "one") as work:
        assert work.restore() is None
        train(work, 5, 10)
    with machine(tmp_path / "two") as work:
        found = work.restore()
        assert found is not None
        assert found.step == 10
        np.testing.assert_array_equal(found.tensors["weights"], tensors(10)["weights"])
        assert work.metrics.read_bytes() == (tmp_path / "one" / work.folder.name / "metrics.jsonl").read_bytes()
        assert (work.folder / "best.safetensors").read_bytes() == b"the same since step 1"
        train(work, 15)
    with machine(tmp_path / "one") as work:
        found = work.restore()
        assert found is not None
        assert found.step == 15, "the first machine comes back and takes what the second did"
        assert [json.loads(line)["step"] for line in work.metrics.read_text().splitlines()] == [5, 10, 15]


def test_what_the_checkpoint_has_not_seen_is_not_sent_with_it(gcs: LoopbackGcs, tmp_path: Path) -> None:
    gate = threading.Event()
    gcs.faults.append(Fault("list", before=lambda: gate.wait(20) and None))
    with machine(tmp_path / "one") as work:
        train(work, 5)
        work.add_metrics({"step": 99})
        gate.set()
    with machine(tmp_path / "two") as work:
        assert work.restore() is not None
        assert [json.loads(line)["step"] for line in work.metrics.read_text().splitlines()] == [5]


def test_two_checkpoints_are_kept_and_what_is_equal_is_sent_once(gcs: LoopbackGcs, tmp_path: Path) -> None:
    with machine(tmp_path) as work:
        for step in (5, 10, 15, 20):
            train(work, step)
            wait_for(lambda step=step: f"step-{step:010d}.json" in objects(gcs))
        wait_for(lambda: len(objects(gcs, "files/")) == 5)
    assert objects(gcs, "step-") == ["step-0000000015.json", "step-0000000020.json"]
    assert not (work.folder / copies.OUTGOING / "20").exists()
    sent = [name for kind, name in gcs.requests if kind == "insert" and "/files/" in name]
    assert len(sent) == len(set(sent)) == 4 + 4 + 1  # four checkpoints with four states of the metrics, the best weights once


def test_finished_work_leaves_nothing(gcs: LoopbackGcs, tmp_path: Path) -> None:
    with machine(tmp_path) as work:
        train(work, 5, 10)
        work.finish()
    assert objects(gcs) == []
    assert list(tmp_path.iterdir()) == []


def test_a_training_does_not_wait_for_the_bucket_and_gives_up_what_is_overtaken(gcs: LoopbackGcs, tmp_path: Path) -> None:
    gate = threading.Event()
    with machine(tmp_path) as work:
        gcs.faults.append(Fault("insert", before=lambda: gate.wait(20) and None))
        train(work, 5)
        wait_for(lambda: gcs.faults[0].met)
        train(work, 10, 15, 20)
        assert objects(gcs, "step-") == []
        gate.set()
    assert objects(gcs, "step-") == ["step-0000000005.json", "step-0000000020.json"]


def test_failures_of_the_network_are_warned_of_and_sending_is_tried_again(
    gcs: LoopbackGcs, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with machine(tmp_path) as work, caplog.at_level(logging.WARNING):
        gcs.faults += [Fault("insert", status=403, times=3), Fault("insert", status=503, times=2), Fault("insert", lose_answer=True)]
        train(work, 5)
        wait_for(lambda: objects(gcs, "step-"))
    assert caplog.text.count("is not in the bucket yet") == 3
    assert [fault.met for fault in gcs.faults] == [3, 2, 1]
    with machine(tmp_path / "two") as work:
        found = work.restore()
    assert found is not None
    assert found.step == 5


def test_what_could_not_be_sent_at_the_end_is_said(gcs: LoopbackGcs, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), machine(tmp_path) as work:
        gcs.faults.append(Fault("insert", status=403, times=1000))
        train(work, 5)
    assert "the checkpoint at step 5 is not in the bucket; it lies in" in caplog.text
    assert gcs.faults[0].met >= copies.LAST_ATTEMPTS
    gcs.faults.clear()
    with machine(tmp_path) as work:
        assert work.restore() is not None
    assert objects(gcs, "step-") == ["step-0000000005.json"], "the next process of this machine sends it"


@pytest.mark.parametrize("harm", ["absent", "changed", "corrupt"])
def test_a_damaged_newest_copy_is_skipped_with_a_warning(
    gcs: LoopbackGcs, tmp_path: Path, caplog: pytest.LogCaptureFixture, harm: str
) -> None:
    with machine(tmp_path / "one") as work:
        train(work, 5)
        wait_for(lambda: objects(gcs, "step-"))
        train(work, 10)
    marker = json.loads(gcs.buckets["states"][f"{BELOW}step-0000000010.json"].data)
    name = f"{BELOW}files/{marker['files']['step-0000000010.safetensors']['sha256']}"
    if harm == "absent":
        del gcs.buckets["states"][name]
    elif harm == "corrupt":
        gcs.faults.append(Fault("media", corrupt=True, name=name, times=1000))
    else:
        gcs.buckets["states"][name].data = b"other bytes, of which the service gives the right checksum"
    with caplog.at_level(logging.WARNING), machine(tmp_path / "two") as work:
        found = work.restore()
        assert found is not None
        assert found.step == 5
        assert "step-0000000010.json is not used" in caplog.text
        assert [path.name for path in work.folder.glob("step-*")] == ["step-0000000005.safetensors"]
        gcs.faults.clear()
        train(work, 10)
    assert objects(gcs, "step-") == ["step-0000000005.json", "step-0000000010.json"]
    with machine(tmp_path / "three") as work:
        found = work.restore()
        assert found is not None
        assert found.step == 10, "what was damaged is sent again"


def test_one_broken_answer_costs_no_copy(gcs: LoopbackGcs, tmp_path: Path) -> None:
    with machine(tmp_path / "one") as work:
        train(work, 5)
    gcs.faults.append(Fault("media", corrupt=True, name=BELOW + next(name for name in objects(gcs, "files/"))))
    with machine(tmp_path / "two") as work:
        assert work.restore() is not None
    assert gcs.faults[0].met == 1


def test_a_checkpoint_that_was_damaged_before_it_was_sent_is_skipped_too(gcs: LoopbackGcs, tmp_path: Path) -> None:
    gate = threading.Event()
    with machine(tmp_path / "one") as work:
        train(work, 5)
        wait_for(lambda: objects(gcs, "step-"))
        gcs.faults.append(Fault("list", before=lambda: gate.wait(20) and None))
        train(work, 10)
        with (work.folder / "step-0000000010.safetensors").open("r+b") as stream:
            stream.seek(-4, 2)
            stream.write(b"\xff" * 4)
        gate.set()
    assert objects(gcs, "step-") == ["step-0000000005.json", "step-0000000010.json"]
    with machine(tmp_path / "two") as work:
        found = work.restore()
    assert found is not None
    assert found.step == 5
    assert objects(gcs, "step-") == ["step-0000000005.json"]


def test_a_marker_that_cannot_be_read_is_skipped(gcs: LoopbackGcs, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with machine(tmp_path / "one") as work:
        train(work, 5)
        wait_for(lambda: objects(gcs, "step-"))
        train(work, 10)
    gcs.buckets["states"][f"{BELOW}step-0000000010.json"].data = b'{"format": 1,'
    with caplog.at_level(logging.WARNING), machine(tmp_path / "two") as work:
        found = work.restore()
    assert found is not None
    assert found.step == 5
    assert "step-0000000010.json is not used: it cannot be read" in caplog.text


def test_a_copy_without_its_marker_is_none(gcs: LoopbackGcs, tmp_path: Path) -> None:
    with machine(tmp_path / "one") as work:
        train(work, 5)
    del gcs.buckets["states"][f"{BELOW}step-0000000005.json"]
    with machine(tmp_path / "two") as work:
        assert work.restore() is None


def test_other_work_is_never_fetched(gcs: LoopbackGcs, tmp_path: Path) -> None:
    with machine(tmp_path / "one") as work:
        train(work, 5)
    with machine(tmp_path / "two", PRINT[:12] + "0" * 52) as work:
        assert work.restore() is None, "the folder's name has 12 digits of the fingerprint, the marker all of them"


def test_a_second_machine_is_refused_while_the_first_lives(gcs: LoopbackGcs, lively: None, tmp_path: Path) -> None:
    with machine(tmp_path / "one"), pytest.raises(PassingError, match=r"process .* is at this work already"), machine(tmp_path / "two"):
        pass
    with machine(tmp_path / "two"):
        pass


def test_a_machine_that_vanished_is_followed_after_a_while_its_own_successor_at_once(gcs: LoopbackGcs, lively: None) -> None:
    for owner, waits in (("one", False), ("one", False), ("two", True)):
        began = time.monotonic()
        lease = Lease(BucketStorage(WHERE), "job", owner)
        lease.acquire()
        assert (time.monotonic() - began >= 1.5) == waits, "whoever held it on the same disk is dead, or the folder would be locked"
        lease._released.set()  # it dies


def test_a_lease_that_cannot_be_read_is_watched_and_then_taken_over(
    gcs: LoopbackGcs, lively: None, caplog: pytest.LogCaptureFixture
) -> None:
    nobody = "somebody whose lease.json cannot be read"
    assert {leases.told(junk)["who"] for junk in (b"{", b"\xff", b"[1]", b"1", b'{"owner": "one"}')} == {nobody}
    gcs.commit("states", "prefix/run/job/lease.json", b"{", None, {})
    lease = Lease(BucketStorage(WHERE), "job", "one")
    began = time.monotonic()
    with caplog.at_level(logging.INFO):
        lease.acquire()
    assert time.monotonic() - began >= 1.5, "it may be a living machine's"
    assert f"{nobody} was last at this work" in caplog.text
    gcs.commit("states", "prefix/run/job/lease.json", b"{", None, {})
    wait_for(lambda: lease.lost)
    assert lease.lost == nobody


def test_a_machine_that_was_taken_for_dead_notices_and_stops(gcs: LoopbackGcs, lively: None, tmp_path: Path) -> None:
    with machine(tmp_path / "one") as work:
        train(work, 5)
        wait_for(lambda: objects(gcs, "step-"))
        other = BucketStorage(WHERE)
        name = f"{work.folder.name}/{leases.OBJECT}"
        taken = None
        while taken is None:  # its own signs of life race with us
            taken = other.replace(
                name, json.dumps({"owner": "two", "process": "x", "who": "process 7 on two"}).encode(), other.read(name)[1]
            )
        wait_for(lambda: work._copies._lease.lost)
        with pytest.raises(PassingError, match="process 7 on two has taken over"):
            train(work, 10)
    assert json.loads(gcs.buckets["states"][f"{BELOW}lease.json"].data)["owner"] == "two", "it removes nobody else's lease"
    assert objects(gcs, "step-") == ["step-0000000005.json"]


def test_a_machine_that_was_silent_asks_before_it_changes_anything(
    gcs: LoopbackGcs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with machine(tmp_path / "one") as work:
        train(work, 5)
        wait_for(lambda: objects(gcs, "step-"))
        monkeypatch.setattr(leases, "STALE_SECONDS", 0.0)  # its beat is not due for long
        other = BucketStorage(WHERE)
        name = f"{work.folder.name}/{leases.OBJECT}"
        other.replace(name, json.dumps({"owner": "two", "process": "x", "who": "process 7 on two"}).encode(), other.read(name)[1])
        train(work, 10)
        wait_for(lambda: work._copies._lease.lost)
    assert objects(gcs, "step-") == ["step-0000000005.json"]


def test_a_lost_answer_to_a_sign_of_life_costs_nothing(gcs: LoopbackGcs, lively: None, tmp_path: Path) -> None:
    lease = Lease(BucketStorage(WHERE), "job", "one")
    lease.acquire()
    gcs.faults += [Fault("insert", lose_answer=True), Fault("insert", status=503, times=2)]
    wait_for(lambda: [fault.met for fault in gcs.faults] == [1, 2])
    count = gcs.count("insert")
    wait_for(lambda: gcs.count("insert") > count + 2)
    assert lease.lost == ""
    lease.release()
    assert gcs.buckets["states"] == {}


def test_a_bucket_that_is_not_there_is_said_at_once(gcs: LoopbackGcs, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="check state_bucket"), state.open(tmp_path, "job", PRINT, bucket="gs://absent/x", work={}):
        pass
