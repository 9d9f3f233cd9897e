"""The promises of publishing, kept alike by a folder and a bucket."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mobilebert.errors import UserError
from mobilebert.publishing.release import Release
from mobilebert.publishing.target import open_storage
from mobilebert.publishing.upload import publish
from mobilebert.publishing.verify import verify
from mobilebert.storage.objects import Payload, Storage, of_bytes
from tests.loopback_gcs import LoopbackGcs

Make = Callable[..., Release]


class Killed(BaseException):
    """Stands for SIGKILL."""


class Spy:
    """A storage that notes what is created, and dies before the file that it is told."""

    def __init__(self, storage: Storage, dies_at: str = "") -> None:
        self.inner, self.dies_at, self.created = storage, dies_at, []
        self.where = storage.where

    def create(self, name: str, payload: Payload) -> bool:
        if self.dies_at and name.endswith(self.dies_at):
            raise Killed
        made = self.inner.create(name, payload)
        self.created += [name] if made else []
        return made

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)


@pytest.fixture(params=["folder", "bucket"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "folder":
        return open_storage(str(tmp_path / "out"))
    request.getfixturevalue("gcs")
    return open_storage("gs://models/zh")


def test_first_publishing_sends_everything_card_first_release_json_last(
    storage: Storage, release: Make
) -> None:
    made, spy = release(), Spy(storage)
    publish(made, spy)
    assert spy.created == [made.folder + path for path in made.files]
    assert spy.created[0].endswith("README.md")
    assert spy.created[-1].endswith("release.json")
    receipt = verify(made.record(storage.where), storage)
    assert receipt["files"] == {path: payload.describe() for path, payload in made.files.items()}
    assert set(receipt) == {
        "format",
        "name",
        "version",
        "destination",
        "files",
        "exports",
        "checks",
        "release",
    }


def test_second_publishing_sends_nothing(storage: Storage, release: Make) -> None:
    publish(release(), storage)
    spy = Spy(storage)
    plan = publish(release(), spy)
    assert spy.created == []
    assert (plan.missing, plan.differing, plan.foreign) == ((), (), ())
    assert len(plan.present) == 5


def test_changed_bytes_make_a_new_automatic_version(storage: Storage, release: Make) -> None:
    publish(release(b"old"), storage)
    publish(release(b"new"), storage)
    assert {name.split("/")[1] for name in storage.list("mini")} == {
        release(b"old").version,
        release(b"new").version,
    }


def test_other_bytes_under_a_used_version_are_refused_and_change_nothing(
    storage: Storage, release: Make
) -> None:
    publish(release(b"old", version="1.0"), storage)
    before = storage.list("mini")
    with pytest.raises(UserError, match=r"version '1\.0' of mini is in use with other bytes"):
        publish(release(b"new", version="1.0"), storage)
    assert storage.list("mini") == before


@pytest.mark.parametrize("dies_at", ["tflite/model.tflite", "release.json"])
def test_killed_publishing_shows_no_release_and_is_completed(
    storage: Storage, release: Make, dies_at: str
) -> None:
    made = release(version="1.0")
    with pytest.raises(Killed):
        publish(made, Spy(storage, dies_at))
    names = storage.list(made.folder)
    assert names
    assert made.folder + "release.json" not in names
    with pytest.raises(UserError, match="missing; run publish_model again"):
        verify(made.record(storage.where), storage)
    spy = Spy(storage)
    publish(made, spy)
    assert set(spy.created).isdisjoint(names)
    verify(made.record(storage.where), storage)


def test_two_publishers_of_the_same_bytes_both_succeed(storage: Storage, release: Make) -> None:
    made = release()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            publish(made, storage)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    verify(made.record(storage.where), storage)


def test_of_two_publishers_with_different_bytes_one_loses_and_nothing_is_mixed(
    storage: Storage, release: Make
) -> None:
    """The second looks, the first publishes everything, the second goes on: it must lose at its first
    file.
    """
    winner, loser = release(b"winner", version="1.0"), release(b"loser!", version="1.0")
    spy = Spy(storage)
    looked = storage.list(loser.folder)

    class Late(Spy):
        def list(self, prefix: str) -> object:
            if prefix == loser.folder:
                publish(winner, storage)
                return looked
            return self.inner.list(prefix)

    late = Late(storage)
    with pytest.raises(UserError, match=r"in use with other bytes \(README\.md\)"):
        publish(loser, late)
    assert late.created == []
    verify(winner.record(storage.where), spy)


def test_verify_names_the_file_that_is_damaged_missing_or_foreign(release: Make, tmp_path: Path) -> None:
    storage, made = open_storage(str(tmp_path / "out")), release()
    publish(made, storage)
    record, folder = made.record(storage.where), tmp_path / "out" / made.folder
    (folder / "stranger.bin").write_bytes(b"?")
    with pytest.raises(UserError, match=r"stranger\.bin: not part of this version"):
        verify(record, storage)
    (folder / "stranger.bin").unlink()
    (folder / "transformers/model.safetensors").write_bytes(b"weighty")
    with pytest.raises(UserError, match=r"model\.safetensors: SHA-256"):
        verify(record, storage)
    (folder / "transformers/model.safetensors").unlink()
    with pytest.raises(UserError, match=r"model\.safetensors: missing"):
        verify(record, storage)
    publish(made, storage)
    verify(record, storage)


def test_folder_writes_nothing_under_the_final_name_before_it_is_whole(
    release: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = open_storage(str(tmp_path / "out"))
    seen: list[list[str]] = []

    def link(source: object, target: object) -> None:
        seen.append(
            [
                path.name
                for path in (tmp_path / "out").rglob("*")
                if path.is_file() and not path.name.startswith(".")
            ]
        )
        raise Killed

    monkeypatch.setattr("os.link", link)
    with pytest.raises(Killed):
        publish(release(), storage)
    assert seen == [[]]


def test_leftovers_of_a_killed_publisher_are_ignored_and_removed_at_the_end(
    release: Make, tmp_path: Path
) -> None:
    storage, made = open_storage(str(tmp_path / "out")), release()
    leftover = tmp_path / "out" / made.folder / "tflite" / ".model.tflite.1-aa.partial"
    leftover.parent.mkdir(parents=True)
    leftover.write_bytes(b"half")
    publish(made, storage)
    assert not leftover.exists()
    verify(made.record(storage.where), storage)


def test_source_that_changes_while_it_is_sent_is_noticed(storage: Storage) -> None:
    first, second = of_bytes(b"before"), of_bytes(b"after!")
    shifty = Payload(first.size, first.sha256, first.crc32c, second.open)
    with pytest.raises(UserError, match="changed while it was being published"):
        storage.create("mini/1/file", shifty)
    assert storage.list("mini") == {}


def test_destination_of_another_kind_is_refused() -> None:
    with pytest.raises(UserError, match=r"publish\.to: 's3://bucket'"):
        open_storage("s3://bucket")
    with pytest.raises(UserError, match="names no bucket"):
        open_storage("gs://")


def test_release_json_can_be_read_by_anyone(gcs: LoopbackGcs, release: Make) -> None:
    made = release()
    publish(made, open_storage("gs://models/zh/"))
    stored = gcs.buckets["models"][f"zh/mini/{made.version}/release.json"]
    assert stored.content_type == "application/json"
    assert json.loads(stored.data)["name"] == "mini"
