"""`import_vocabulary`: a vocab.txt or a teacher's directory becomes the tokenizer artifact."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mobilebert import tokenization
from mobilebert.storage import artifacts
from mobilebert.tokenization import SPECIAL


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scripts.import_vocabulary", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_vocabulary_file_is_imported_and_a_damaged_one_refused(tmp_path: Path) -> None:
    source = tmp_path / "vocab.txt"
    source.write_bytes(("\n".join([*SPECIAL, "茶", "叶", "\u2028", "##s"]) + "\n").encode())
    done = run(
        "--settings",
        '{"vocabulary": {"kind": "file"}}',
        "--source",
        source,
        "--out",
        tmp_path / "out",
        "--log",
        tmp_path / "log",
    )
    assert done.returncode == 0, done.stderr
    manifest = artifacts.read(tmp_path / "out", "tokenizer")
    assert {
        "vocab.txt",
        "vocabulary.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
    } == set(manifest.files)
    assert (tmp_path / "out" / "vocab.txt").read_bytes() == source.read_bytes()
    loaded = tokenization.load(tmp_path / "out")
    assert loaded.size == 9
    assert loaded.encode("茶叶 s").ids.tolist() == [5, 6, loaded.unk]

    source.write_text("茶\n", encoding="utf-8")
    done = run("--source", source, "--out", tmp_path / "other")
    assert done.returncode == 1
    assert "vocab.txt" in done.stderr
    assert "Traceback" not in done.stderr
    assert not artifacts.exists(tmp_path / "other")
