"""gs:// sources against a Cloud Storage on this machine that breaks, lies and changes its mind."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mobilebert.corpus.sources.listing import list_sources
from mobilebert.errors import UserError
from mobilebert.settings import Source
from mobilebert.storage import artifacts
from mobilebert.storage.download import fetch_source
from tests.loopback_gcs import Fault, LoopbackGcs, Stored

BODY = bytes(range(256)) * 4000


@pytest.fixture
def gcs(monkeypatch) -> Iterator[LoopbackGcs]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with LoopbackGcs("bucket") as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.address)
        names = [
            "corpus/a.txt",
            "corpus/深 层/b 'x' {y}.md",
            "corpus/deep/er/c.txt",
            "corpus/.hidden/d.txt",
            "corpus/",
            "corpus2/e.txt",
        ]
        for number, name in enumerate(names):
            server.buckets["bucket"][name] = Stored(f"{name}\n".encode(), 10 + number)
        server.buckets["bucket"]["big.bin"] = Stored(BODY, 77)
        yield server


def source(place: str, **more) -> Source:
    return Source.model_validate({"name": "s", "from": place, **more})


def fetched(place: str, out: Path, **more) -> list[str]:
    fetch_source(source(place, **more), out, pause_seconds=0)
    return sorted(artifacts.read(out, "download").files)


@pytest.mark.parametrize(
    ("place", "files"),
    [
        ("gs://bucket/corpus", ["a.txt", "deep/er/c.txt", "深 层/b 'x' {y}.md"]),
        ("gs://bucket/corpus/", ["a.txt", "deep/er/c.txt", "深 层/b 'x' {y}.md"]),
        ("gs://bucket/corpus/*", ["a.txt"]),
        ("gs://bucket/corpus/**/*.txt", ["a.txt", "deep/er/c.txt"]),
        ("gs://bucket/corpus*/?.txt", ["corpus/a.txt", "corpus2/e.txt"]),
        ("gs://bucket/corpus/deep/er/c.txt", ["c.txt"]),
        ("gs://bucket/co", None),
        ("gs://bucket/*.html", None),
    ],
)
def test_objects_are_found_by_name_folder_and_glob(gcs, tmp_path, place, files):
    if files is None:
        with pytest.raises(UserError, match="no object at"):
            fetched(place, tmp_path / "s")
    else:
        assert fetched(place, tmp_path / "s") == [f"objects/{name}" for name in files]
        assert not (tmp_path / "s.partial").exists()


def test_the_bytes_and_their_generation_are_kept(gcs, tmp_path):
    fetched("gs://bucket/big.bin", tmp_path / "s", sha256=hashlib.sha256(BODY).hexdigest())
    assert (tmp_path / "s" / "objects" / "big.bin").read_bytes() == BODY
    assert artifacts.read(tmp_path / "s").settings["generations"] == {"big.bin": 77}


def test_what_is_fetched_is_listed_like_a_folder(gcs, tmp_path):
    fetched("gs://bucket/corpus", tmp_path / "downloads" / "s")
    list_sources(
        [source("gs://bucket/corpus", licence="CC0")],
        tmp_path / "sources",
        None,
        [tmp_path / "downloads" / "s"],
    )
    entries = json.loads((tmp_path / "sources" / "sources.json").read_text(encoding="utf-8"))
    below = [os.path.relpath(entry["path"], tmp_path / "downloads" / "s" / "objects") for entry in entries]
    assert below == ["a.txt", "deep/er/c.txt", "深 层/b 'x' {y}.md"]


def test_a_broken_download_goes_on_where_it_stopped(gcs, tmp_path):
    gcs.faults += [Fault("media", cut_at=300_000), Fault("media", status=503), Fault("media", cut_at=400_000)]
    fetched("gs://bucket/big.bin", tmp_path / "s")
    assert (tmp_path / "s" / "objects" / "big.bin").read_bytes() == BODY
    assert gcs.count("media") == 4


def test_a_later_run_goes_on_where_a_failed_one_stopped(gcs, tmp_path):
    gcs.faults += [Fault("media", cut_at=300_000), Fault("media", status=503, times=5)]
    with pytest.raises(UserError, match=r"gs://bucket/big\.bin: .* 300000 bytes are kept, run again"):
        fetched("gs://bucket/big.bin", tmp_path / "s")
    assert not artifacts.exists(tmp_path / "s")
    sent: list[int] = []
    gcs.faults.append(
        Fault(
            "media",
            before=lambda: sent.append(
                sum(path.stat().st_size for path in (tmp_path / "s.partial").iterdir())
            ),
        )
    )
    fetched("gs://bucket/big.bin", tmp_path / "s")
    assert sent == [300_000]
    assert (tmp_path / "s" / "objects" / "big.bin").read_bytes() == BODY


def test_an_object_that_changed_meanwhile_is_fetched_anew(gcs, tmp_path):
    gcs.faults += [Fault("media", cut_at=300_000), Fault("media", status=503, times=5)]
    with pytest.raises(UserError):
        fetched("gs://bucket/big.bin", tmp_path / "s")
    gcs.buckets["bucket"]["big.bin"] = Stored(b"new" * 200_000, 78)
    fetched("gs://bucket/big.bin", tmp_path / "s")
    assert (tmp_path / "s" / "objects" / "big.bin").read_bytes() == b"new" * 200_000


def test_an_object_that_changes_while_it_is_fetched_is_refused(gcs, tmp_path):
    def change() -> None:
        gcs.buckets["bucket"]["big.bin"] = Stored(b"new", 78)

    gcs.faults.append(Fault("media", before=change))
    with pytest.raises(UserError, match="it changed while it was being fetched"):
        fetched("gs://bucket/big.bin", tmp_path / "s")


def test_bytes_that_were_damaged_on_the_way_are_fetched_anew(gcs, tmp_path):
    gcs.faults.append(Fault("media", corrupt=True))
    fetched("gs://bucket/big.bin", tmp_path / "s")
    assert (tmp_path / "s" / "objects" / "big.bin").read_bytes() == BODY


def test_bytes_that_are_damaged_every_time_are_refused(gcs, tmp_path):
    gcs.faults.append(Fault("media", corrupt=True, times=5))
    with pytest.raises(UserError, match="do not match their CRC32C"):
        fetched("gs://bucket/big.bin", tmp_path / "t")
    assert not artifacts.exists(tmp_path / "t")


@pytest.mark.parametrize(
    ("place", "more", "message"),
    [
        ("gs://nowhere/x", {}, "check the address of the source s, and that the bucket exists"),
        ("gs://bucket/corpus", {"sha256": "0" * 64}, "sha256 is for one file"),
        (
            "gs://bucket/big.bin",
            {"sha256": "0" * 64},
            f"has SHA-256 {hashlib.sha256(BODY).hexdigest()}, expected 0000",
        ),
    ],
)
def test_wrong_addresses_and_digests_say_so(gcs, tmp_path, place, more, message):
    with pytest.raises(UserError, match=message):
        fetched(place, tmp_path / "s", **more)
    assert not artifacts.exists(tmp_path / "s")


def test_a_refusal_names_the_permission(gcs, tmp_path):
    gcs.faults.append(Fault("list", status=403, times=9))
    with pytest.raises(UserError, match=r"the account needs storage\.objects\.get and list"):
        fetched("gs://bucket/corpus", tmp_path / "s")


def test_names_that_cannot_be_files_side_by_side_are_refused(gcs, tmp_path):
    gcs.buckets["bucket"] |= {"odd/a": Stored(b"x", 1), "odd/a/b": Stored(b"x", 2)}
    with pytest.raises(UserError, match="the object a cannot be a file"):
        fetched("gs://bucket/odd", tmp_path / "s")


def test_a_name_that_points_upwards_stays_below(gcs, tmp_path):
    gcs.buckets["bucket"] |= {"up/../../../evil.txt": Stored(b"x", 1), "up/ok.txt": Stored(b"x", 2)}
    assert fetched("gs://bucket/up", tmp_path / "deep" / "s") == ["objects/ok.txt"]
    assert not list(tmp_path.rglob("evil.txt"))
