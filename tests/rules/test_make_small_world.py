"""The command `make_small_world`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from mobilebert.storage import artifacts


def test_the_command_writes_a_whole_world(root: Path, tmp_path: Path) -> None:
    settings = json.dumps(
        {"small_world": {"megabytes": 0.1, "dirt": 0.2, "questions": 30, "reviews": 40}, "seed": 5}
    )
    command = [
        sys.executable,
        "-m",
        "scripts.make_small_world",
        "--settings",
        settings,
        "--out",
        str(tmp_path / "world"),
        "--log",
        str(tmp_path / "log"),
    ]
    subprocess.run(command, cwd=root, check=True, capture_output=True)
    manifest = artifacts.read(tmp_path / "world", "small_world")
    assert set(manifest.files) == {
        "documents/part-00000.jsonl",
        "gold.jsonl",
        *(
            f"tasks/{task}"
            for task in (
                "chnsenticorp/train.tsv",
                "chnsenticorp/dev.tsv",
                "cmrc2018/train.json",
                "cmrc2018/dev.json",
            )
        ),
    }
    documents = (tmp_path / "world/documents/part-00000.jsonl").read_text(encoding="utf-8").splitlines()
    gold = (tmp_path / "world/gold.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["id"] for line in documents] == [json.loads(line)["id"] for line in gold]
    assert manifest.counts["documents"] == len(documents) > 80
    assert manifest.counts["train"]["questions"] == 30
    assert manifest.counts["dev"] == {
        "reviews": 8,
        "questions": 6,
        "contexts": manifest.counts["dev"]["contexts"],
    }
    assert "documents" in (tmp_path / "log").read_text()
