"""The bucket when the network and the service misbehave. The loopback server stands in for Cloud Storage."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest

from mobilebert.errors import UserError
from mobilebert.publishing.release import Release
from mobilebert.publishing.upload import publish
from mobilebert.publishing.verify import verify
from mobilebert.storage.bucket import BucketStorage
from mobilebert.storage.objects import Digester, of_bytes
from tests.loopback_gcs import QUANTUM, Fault, LoopbackGcs

LARGE = random.Random(5).randbytes(9_000_000)  # over the 8 MiB from which the client uploads resumably
Make = Callable[..., Release]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The client's retries wait about a second each; what is tested is that they happen."""
    monkeypatch.setattr("google.api_core.retry.retry_unary.time.sleep", lambda seconds: None)
    return None


@pytest.fixture
def bucket(gcs: LoopbackGcs) -> BucketStorage:
    return BucketStorage("gs://models", chunk=8 * QUANTUM)


def test_server_answering_503_and_429_is_asked_again(
    gcs: LoopbackGcs, bucket: BucketStorage, release: Make
) -> None:
    gcs.faults += [
        Fault("insert", status=503, times=2),
        Fault("list", status=429, times=2),
        Fault("media", status=503),
    ]
    made = release()
    publish(made, bucket)
    verify(made.record(bucket.where), bucket)
    assert [fault.met for fault in gcs.faults] == [2, 2, 1]


def test_large_file_goes_in_chunks(gcs: LoopbackGcs, bucket: BucketStorage) -> None:
    assert bucket.create("large", of_bytes(LARGE))
    assert gcs.buckets["models"]["large"].data == LARGE
    assert gcs.count("chunk") == 5
    assert gcs.count("insert") == 0


@pytest.mark.parametrize("drop_at", [0, QUANTUM + 1, 5 * QUANTUM])
def test_broken_resumable_upload_goes_on_where_it_broke(
    gcs: LoopbackGcs, bucket: BucketStorage, drop_at: int
) -> None:
    gcs.faults.append(Fault("chunk", drop_at=drop_at, times=2))
    assert bucket.create("large", of_bytes(LARGE))
    assert gcs.buckets["models"]["large"].data == LARGE
    assert gcs.faults[0].met == 2
    assert gcs.count("start") == 1, "one session: what was sent is not sent again"


def test_lost_answer_to_the_last_chunk_is_no_failure(gcs: LoopbackGcs, bucket: BucketStorage) -> None:
    gcs.faults += [Fault("chunk", lose_answer=True, times=5)]
    assert bucket.create("large", of_bytes(LARGE))
    assert gcs.faults[0].met == 5
    assert gcs.buckets["models"]["large"].data == LARGE


def test_lost_answer_makes_the_retry_meet_our_own_object(
    gcs: LoopbackGcs, bucket: BucketStorage, release: Make
) -> None:
    """The server commits, the answer is lost, the client's retry gets a 412: the live object is compared,
    and is ours.
    """
    gcs.faults.append(Fault("insert", lose_answer=True, times=2))
    made = release()
    publish(made, bucket)
    assert gcs.faults[0].met == 2
    generations = [stored.generation for stored in gcs.buckets["models"].values()]
    assert sorted(generations) == [1, 2, 3, 4, 5], "no object was written twice"
    verify(made.record(bucket.where), bucket)


def test_object_that_appears_between_look_and_upload_is_compared(
    gcs: LoopbackGcs, bucket: BucketStorage, release: Make
) -> None:
    made, other = release(b"ours..", version="1.0"), release(b"theirs", version="1.0")
    gcs.faults.append(Fault("insert", before=lambda: publish(other, bucket)))
    with pytest.raises(UserError, match=r"in use with other bytes \(README\.md\)"):
        publish(made, bucket)
    verify(other.record(bucket.where), bucket)


def test_corrupted_object_is_found_by_reading_back(
    gcs: LoopbackGcs, bucket: BucketStorage, release: Make
) -> None:
    made = release()
    publish(made, bucket)
    gcs.buckets["models"][f"{made.folder}tflite/model.tflite"].data = b"flat Weights"
    with pytest.raises(UserError, match=r"tflite/model\.tflite: SHA-256"):
        verify(made.record(bucket.where), bucket)


def test_corruption_on_the_way_back_is_found_by_crc32c(gcs: LoopbackGcs, bucket: BucketStorage) -> None:
    bucket.create("file", of_bytes(b"some bytes"))
    gcs.faults.append(Fault("media", corrupt=True))
    with pytest.raises(UserError, match="do not match their CRC32C"):
        bucket.fetch("file", Digester())


def test_bytes_that_do_not_match_the_declared_crc32c_are_refused(
    gcs: LoopbackGcs, bucket: BucketStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken network card between the client's checksum and the wire.

    (Client 2.x compares afterwards and deletes.)
    """
    commit = gcs.commit
    monkeypatch.setattr(
        gcs, "commit", lambda where, name, data, *rest: commit(where, name, data[:-1] + b"?", *rest)
    )
    for payload in (of_bytes(b"small"), of_bytes(LARGE)):
        with pytest.raises(UserError, match=r"doesn't match calculated|do not match their CRC32C"):
            bucket.create("file", payload)
    assert gcs.buckets["models"] == {}


def test_missing_bucket_is_said_in_one_line(gcs: LoopbackGcs, release: Make) -> None:
    with pytest.raises(UserError, match=r"gs://elsewhere/mini/.*: not there .*check publish\.to"):
        publish(release(), BucketStorage("gs://elsewhere"))


def test_listing_turns_pages_and_keeps_to_its_prefix(gcs: LoopbackGcs, bucket: BucketStorage) -> None:
    for number in range(8):
        bucket.create(f"a/{number}", of_bytes(str(number).encode()))
    bucket.create("b/0", of_bytes(b""))
    assert sorted(bucket.list("a/")) == [f"a/{number}" for number in range(8)]
    assert gcs.count("list") == 3
