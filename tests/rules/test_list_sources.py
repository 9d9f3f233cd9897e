"""The rule list_sources: settings in, sources.json out."""

from __future__ import annotations

import json
import subprocess
import sys


def test_sources_are_listed_with_format_size_and_licence(root, tmp_path):
    (tmp_path / "文 件.md").write_text("# 题\n", encoding="utf-8")
    settings = {"sources": [{"name": "notes", "from": str(tmp_path / "文 件.md"), "licence": "CC0"}]}
    command = [
        sys.executable,
        "-m",
        "scripts.list_sources",
        "--settings",
        json.dumps(settings),
        "--out",
        str(tmp_path / "out"),
        "--log",
        str(tmp_path / "log"),
    ]
    subprocess.run(command, cwd=root, check=True)
    (entry,) = json.loads((tmp_path / "out" / "sources.json").read_text(encoding="utf-8"))
    assert (entry["source"], entry["format"], entry["size"], entry["licence"]) == (
        "notes",
        "markdown",
        6,
        "CC0",
    )
    assert (tmp_path / "out" / "manifest.json").is_file()


def test_a_source_that_is_not_there_ends_with_a_line_for_people(root, tmp_path):
    settings = {"sources": [{"name": "notes", "from": "nowhere/at/all"}]}
    command = [
        sys.executable,
        "-m",
        "scripts.list_sources",
        "--settings",
        json.dumps(settings),
        "--out",
        str(tmp_path / "out"),
    ]
    ended = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert ended.returncode == 1
    assert "nothing to read for notes at nowhere/at/all" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_log_that_cannot_be_written_ends_with_a_line_for_people(root, tmp_path):
    (tmp_path / "file").write_text("")
    command = [
        sys.executable,
        "-m",
        "scripts.list_sources",
        "--out",
        str(tmp_path / "out"),
        "--log",
        str(tmp_path / "file" / "log"),
    ]
    ended = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "no log can be written there (" in ended.stderr
