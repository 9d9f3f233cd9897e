"""The rule list_sources: settings in, sources.json out."""

from __future__ import annotations

import json


def test_sources_are_listed_with_format_size_and_licence(program, tmp_path):
    (tmp_path / "文 件.md").write_text("# 题\n", encoding="utf-8")
    settings = {"sources": [{"name": "notes", "from": str(tmp_path / "文 件.md"), "licence": "CC0"}]}
    folders = ("--out", tmp_path / "out", "--log", tmp_path / "log")
    assert program("list_sources", "--settings", json.dumps(settings), *folders).returncode == 0
    (entry,) = json.loads((tmp_path / "out" / "sources.json").read_text(encoding="utf-8"))
    assert (entry["source"], entry["format"], entry["size"], entry["licence"]) == (
        "notes",
        "markdown",
        6,
        "CC0",
    )
    assert (tmp_path / "out" / "manifest.json").is_file()


def test_a_source_that_is_not_there_ends_with_a_line_for_people(program, tmp_path):
    settings = {"sources": [{"name": "notes", "from": "nowhere/at/all"}]}
    ended = program("list_sources", "--settings", json.dumps(settings), "--out", tmp_path / "out")
    assert ended.returncode == 1
    assert "nothing to read for notes at nowhere/at/all" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_log_that_cannot_be_written_ends_with_a_line_for_people(program, tmp_path):
    (tmp_path / "file").write_text("")
    ended = program("list_sources", "--out", tmp_path / "out", "--log", tmp_path / "file" / "log")
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "no log can be written there (" in ended.stderr
