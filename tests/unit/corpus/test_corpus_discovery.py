"""Which files a place names, the same for the workflow as for the corpus, and which format each has."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import re
import socket
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from mobilebert.corpus.sources import detect_format, discovery

PROSE = "在这个故事里，我们的主人公来到了一座没有名字的城市。他说这里的人都很好。\n"


def test_the_workflow_may_use_it_the_standard_library_is_all_it_needs(root):
    heavy = "{'numpy', 'pyarrow', 'apache_beam', 'pydantic'}"
    code = (
        f"import sys; import mobilebert.corpus.sources.discovery; print(sorted({heavy} & set(sys.modules)))"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
        ).stdout.strip()
        == "[]"
    )


def test_every_folder_is_read_once_whatever_links_there_are(tmp_path, monkeypatch):
    """Ten folders that all link to each other: 10! ways through them."""
    for one in range(10):
        (tmp_path / f"d{one}").mkdir()
        (tmp_path / f"d{one}" / "a.txt").write_text("x")
        for other in range(10):
            (tmp_path / f"d{one}" / f"to{other}").symlink_to(tmp_path / f"d{other}")
    read, listdir = [], os.listdir
    monkeypatch.setattr(discovery.os, "listdir", lambda folder: read.append(folder) or listdir(folder))
    listed = discovery.find(str(tmp_path))
    assert len(read) == 11
    assert listed.files == [str(tmp_path / f"d{number}" / "a.txt") for number in range(10)]
    assert len(listed.skipped) == 100
    assert {each.why for each in listed.skipped} == {"a link to a folder that is read anyway"}


def test_a_link_to_a_folder_elsewhere_is_followed_once(tmp_path):
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    (tmp_path / "elsewhere" / "deep" / "a.txt").write_text("x")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "one").symlink_to(tmp_path / "elsewhere" / "deep")
    (tmp_path / "in" / "two").symlink_to(tmp_path / "elsewhere")
    listed = discovery.find(str(tmp_path / "in"))
    assert listed.files == [str(tmp_path / "in" / "one" / "a.txt")]
    assert [(os.path.relpath(each.path, tmp_path), each.why) for each in listed.skipped] == [
        ("in/two/deep", "read already, through a link")
    ]


def test_what_is_no_file_is_named_and_never_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    os.mkfifo("in/pipe.txt")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("in/socket.txt")
    os.symlink("/dev/zero", "in/device.txt")
    os.symlink("loop.txt", "in/loop.txt")
    (tmp_path / "in" / "locked.txt").write_text("x")
    monkeypatch.setattr(discovery.os, "access", lambda path, mode: not path.endswith("locked.txt"))
    listed = discovery.find("in")
    assert listed.files == []
    assert {os.path.basename(each.path): each.why for each in listed.skipped} == {
        "device.txt": "not a regular file",
        "locked.txt": "no permission to read it",
        "loop.txt": "Too many levels of symbolic links",
        "pipe.txt": "not a regular file",
        "socket.txt": "not a regular file",
    }
    assert all(each.unreadable for each in listed.skipped)


def test_a_folder_that_cannot_be_listed_is_named(tmp_path, monkeypatch):
    (tmp_path / "locked").mkdir()
    (tmp_path / "a.txt").write_text("x")
    listdir = os.listdir

    def refuse(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return listdir(path)

    monkeypatch.setattr(discovery.os, "listdir", refuse)
    listed = discovery.find(str(tmp_path))
    assert listed.files == [str(tmp_path / "a.txt")]
    assert listed.skipped == [discovery.Skipped(str(tmp_path / "locked"), "Permission denied")]


NAMES = [
    *("a b.txt", "it's.txt", 'say "x".txt', "{x}.txt", "[x].txt", "*.txt"),
    *("line\nend.txt", "文 件.txt", "-rf.txt", "$HOME.txt", "a\\b.txt"),
]


def test_odd_names_are_found_as_they_are(tmp_path):
    for name in NAMES:
        (tmp_path / name).write_text("x")
    assert discovery.find(str(tmp_path)).files == sorted(str(tmp_path / name) for name in NAMES)
    for name in NAMES:
        assert discovery.find(str(tmp_path / name)).files == [str(tmp_path / name)]


def test_a_name_that_is_no_utf8_is_named_readably(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    with open(os.fsencode(tmp_path) + b"/\xff.txt", "w") as stream:
        stream.write("x")
    listed = discovery.find(str(tmp_path))
    assert listed.files == [str(tmp_path / "a.txt")]
    assert listed.skipped == [discovery.Skipped(str(tmp_path / "\\xff.txt"), "its name is not valid UTF-8")]


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("x/a.txt", "x/b.md", "x/deep/er/c.txt", "x/deep/d.txt", "x/.hidden/e.txt", "y/f.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "x" / "circle").symlink_to(tmp_path / "x")


@pytest.mark.parametrize(
    ("place", "files"),
    [
        ("x/*.txt", ["x/a.txt"]),
        ("x/?.*", ["x/a.txt", "x/b.md"]),
        ("x/**/*.txt", ["x/a.txt", "x/deep/d.txt", "x/deep/er/c.txt"]),
        ("**/*.txt", ["x/a.txt", "x/deep/d.txt", "x/deep/er/c.txt", "y/f.txt"]),
        ("[xy]/**", ["x/a.txt", "x/b.md", "x/deep/d.txt", "x/deep/er/c.txt", "y/f.txt"]),
        ("x/**/er/*", ["x/deep/er/c.txt"]),
        ("x/[!b].*", ["x/a.txt"]),
        ("nowhere/**/*.txt", []),
    ],
)
def test_globs_find_what_they_say_and_end(tree, place, files):
    assert discovery.find(place).files == files


def test_folders_that_a_glob_names_are_not_silently_lost(tree):
    assert [(each.path, each.unreadable) for each in discovery.find("x/*").skipped] == [
        ("x/circle", False),
        ("x/deep", False),
    ]


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("a.txt", "text"),
        ("A.TXT.GZ", "text"),
        ("zhwiki-20240101-pages-articles-multistream1.xml-p1p187712.bz2", "mediawiki"),
        ("CC-MAIN-20240101-00000.warc.wet.gz", "warc"),
        ("x.warc", "warc"),
        ("x.jsonl.zst", "jsonl"),
        ("x.rst", "rst"),
        ("x.pq", "parquet"),
        ("x.ndjson.xz", "jsonl"),
        ("x.xhtml", "html"),
        ("x.py", None),
        ("README", None),
        ("x.po", None),
    ],
)
def test_names_tell_formats(name, format):
    assert discovery.format_of_name(name) == format


def parquet() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"text": [PROSE]}), sink)
    return sink.getvalue().to_pybytes()


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress, zstd])
@pytest.mark.parametrize(
    ("data", "format"),
    [
        (b"WARC/1.0\r\nWARC-Type: warcinfo\r\n\r\n", "warc"),
        (b"<mediawiki xmlns='x'><page>", "mediawiki"),
        (b"\xef\xbb\xbf\r\n <!DOCTYPE html><p>x", "html"),
        (f"<?xml version='1.0'?>\n<!-- {PROSE} -->\n<html><body>".encode("gb18030"), "html"),
        (json.dumps({"text": PROSE}).encode() + b"\n{}\n", "jsonl"),
        ((PROSE * 3000).encode(), "text"),
        ((PROSE * 3).encode("gb18030"), "text"),
        ((PROSE * 3).encode("utf-16"), "text"),
        (b"", "text"),
        (b'{"title": "x"}', None),
        (b"#!/bin/sh\necho hello\n", None),
        ("def f():\n    return 1  # 注释\n".encode() * 20, None),
        (bytes(range(256)) * 30, None),
        (b"PK\3\4 zip", None),
        (b"\0" * 257 + b"ustar\0" + b"\0" * 300, None),
    ],
)
def test_files_without_a_suffix_are_recognised_by_their_content(tmp_path, data, format, pack):
    (tmp_path / "x").write_bytes(pack(data))
    found = detect_format.recognise(str(tmp_path / "x"), "text")
    assert found.format == format
    assert bool(found.why) == (format is None)


def test_a_table_without_a_suffix_is_recognised(tmp_path):
    (tmp_path / "x").write_bytes(parquet())
    assert detect_format.recognise(str(tmp_path / "x"), "text").format == "parquet"


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("x.py", b"x = 1", "no format is known for .py"),
        ("x.po.gz", b"", "no format is known for .po"),
        ("x.tar.gz", b"", r"an archive of files; unpack it \(tar -xf NAME.tar\) and name the folder"),
        ("x.zip", b"", "an archive of files"),
        ("x.parquet.gz", b"", "Parquet compressed as a whole"),
        ("x.xml", b"<?xml version='1.0'?><book/>", "XML, but no MediaWiki dump"),
        ("x.json", b"[1, 2]", r"JSON without a field 'text' \(it has no fields, but 1\)"),
        ("x", gzip.compress(PROSE.encode() * 50)[:-30], "ends|end-of-stream"),
    ],
)
def test_what_has_no_format_says_why(tmp_path, name, data, why):
    (tmp_path / name).write_bytes(data)
    found = detect_format.recognise(str(tmp_path / name), "text")
    assert found.format is None
    assert re.search(why, found.why)
