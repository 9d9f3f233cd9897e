"""The command writes a page on whatever is there, and fails readably on damage."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from mobilebert.storage import artifacts


def test_write_report(root: Path, tmp_path: Path) -> None:
    with artifacts.writing(tmp_path / "results" / "students" / "mini" / "pretrained", "model") as model:
        model.path("evaluation.json").write_text(
            json.dumps({"heldout": {"masked_accuracy": 0.25}, "parameters": 7})
        )
    settings = json.dumps({"run": "demo", "students": ["mini"]})
    command = [
        sys.executable,
        "-m",
        "scripts.write_report",
        "--settings",
        settings,
        "--results",
        str(tmp_path / "results"),
    ]
    subprocess.run([*command, "--out", str(tmp_path / "report.html")], cwd=root, check=True)
    assert "0.250" in (tmp_path / "report.html").read_text("utf-8")

    (tmp_path / "results" / "students" / "mini" / "pretrained" / "manifest.json").write_text("{")
    failed = subprocess.run(
        [*command, "--out", str(tmp_path / "other.html")],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert failed.returncode == 1
    assert "manifest.json: not a manifest" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert not (tmp_path / "other.html").exists()
