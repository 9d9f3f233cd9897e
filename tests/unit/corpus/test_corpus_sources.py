"""Sources resolved into files."""

from __future__ import annotations

import json
import os

import pytest

from mobilebert.corpus.sources.listing import list_sources
from mobilebert.errors import UserError
from mobilebert.settings import Source
from mobilebert.storage import artifacts


def source(name: str, place: object, **more) -> Source:
    return Source.model_validate({"name": name, "from": str(place), **more})


def listed(tmp_path, *sources: Source, world=None, downloads=()) -> tuple[list[dict], list[dict]]:
    out = tmp_path / "sources"
    list_sources(sources, out, world, downloads)
    artifacts.read(out, "sources")
    return tuple(
        json.loads((out / name).read_text(encoding="utf-8")) for name in ("sources.json", "skipped.json")
    )


def test_a_folder_gives_its_files_of_known_formats_in_order(tmp_path):
    folder = tmp_path / "原 文's {x}"
    names = [
        "b.txt",
        "a.md",
        "子/c d.jsonl.gz",
        "子/e.HTML",
        "子/f.xml.bz2",
        ".hidden.txt",
        "g.bin",
        ".git/h.txt",
    ]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    entries, skipped = listed(tmp_path, source("s", folder, licence="CC0"))
    assert [(os.path.relpath(entry["path"], folder), entry["format"]) for entry in entries] == [
        ("a.md", "markdown"),
        ("b.txt", "text"),
        ("子/c d.jsonl.gz", "jsonl"),
        ("子/e.HTML", "html"),
        ("子/f.xml.bz2", "mediawiki"),
    ]
    assert [(os.path.relpath(entry["path"], folder), entry["why"]) for entry in skipped] == [
        (".git", "hidden"),
        (".hidden.txt", "hidden"),
        ("g.bin", "no format is known for .bin"),
    ]
    assert not any(entry["unreadable"] for entry in skipped)
    assert entries[0] == {
        "source": "s",
        "path": str(folder / "a.md"),
        "name": "a.md",
        "format": "markdown",
        "text_field": "text",
        "text_format": "plain",
        "size": 1,
        "sha256": "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881",
        "licence": "CC0",
    }


def test_a_stated_format_takes_every_file(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a", "b.dat", "c.txt"):
        (tmp_path / "in" / name).write_text("x")
    entries, _ = listed(tmp_path, source("s", tmp_path / "in", format="lines"))
    assert [entry["format"] for entry in entries] == ["lines"] * 3


def test_links_in_a_circle_fifos_and_broken_links_are_skipped_and_named(tmp_path):
    folder = tmp_path / "in"
    (folder / "below").mkdir(parents=True)
    (folder / "a.txt").write_text("x")
    (folder / "below" / "up").symlink_to(folder)
    (folder / "gone.txt").symlink_to(tmp_path / "nowhere")
    os.mkfifo(folder / "pipe.txt")
    entries, skipped = listed(tmp_path, source("s", folder))
    assert [entry["path"] for entry in entries] == [str(folder / "a.txt")]
    assert [(os.path.relpath(entry["path"], folder), entry["why"]) for entry in skipped] == [
        ("below/up", "a link to a folder that is read anyway"),
        ("gone.txt", "No such file or directory"),
        ("pipe.txt", "not a regular file"),
    ]


def test_relative_paths_stay_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x.txt").write_text("x")
    for place in ("in", "in/x.txt", "in/*.txt", "**/x.txt"):
        entries, _ = listed(tmp_path, source("s", place))
        assert [entry["path"] for entry in entries] == ["in/x.txt"]


def test_world_and_downloads_are_found_by_their_folders(tmp_path):
    world, downloads = tmp_path / "world", [tmp_path / "downloads" / name for name in ("one", "two")]
    with artifacts.writing(world, "small_world") as writer:
        for number in range(2):
            writer.path("documents", f"part-0000{number}.jsonl").write_text("{}")
    for folder in downloads:
        with artifacts.writing(folder, "download") as writer:
            writer.path("page.html").write_text("x")
        (folder / ".snakemake_timestamp").touch()
    sources = (source("two", "https://a.example/page.html"), source("world", "small_world"))
    entries, _ = listed(tmp_path, *sources, world=world, downloads=downloads)
    assert [
        (entry["source"], os.path.relpath(entry["path"], tmp_path), entry["format"]) for entry in entries
    ] == [
        ("two", "downloads/two/page.html", "html"),
        ("world", "world/documents/part-00000.jsonl", "jsonl"),
        ("world", "world/documents/part-00001.jsonl", "jsonl"),
    ]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("nowhere", "nothing to read for wrong at .*nowhere"),
        ("nowhere/*.txt", "nothing to read for wrong"),
        ("empty", "nothing to read for wrong"),
        (
            "unknown",
            (
                r"all 1 files there were left out \(no format is known for .bin 1\); if they are text, set "
                r"format"
            ),
        ),
        ("unknown/x.bin", "no format is known for .bin"),
    ],
)
def test_a_source_that_names_nothing_is_refused_by_name(tmp_path, monkeypatch, place, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "unknown").mkdir()
    (tmp_path / "unknown" / "x.bin").write_text("x")
    with pytest.raises(UserError, match=message):
        list_sources([source("wrong", place)], tmp_path / "sources", None, [])
    assert not artifacts.exists(tmp_path / "sources")


def test_places_that_cannot_be_read_yet_are_refused(tmp_path):
    for place in ("gs://bucket/x", "https://a.example/x.txt", "small_world"):
        with pytest.raises(UserError, match="sources: s is"):
            list_sources([source("s", place)], tmp_path / "sources", None, [])
