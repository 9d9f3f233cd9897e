"""The command that collects scores writes one sorted table."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from mobilebert.storage import artifacts


def test_the_table_holds_every_model_task_and_metric(tmp_path: Path, root: Path) -> None:
    folders = []
    for model, seed, accuracy in (("teacher-small", 0, 0.9), ("mini", 1, 0.8), ("mini", 0, 0.6)):
        body = {"model": model, "task": "chnsenticorp", "seed": seed, "metrics": {"accuracy": accuracy}}
        folder = tmp_path / model / str(seed)
        with artifacts.writing(folder, "scores") as writer:
            text = json.dumps(body | {"majority": {"accuracy": 0.5}, "examples": 100})
            writer.path("scores.json").write_text(text, encoding="utf-8")
        folders.append(str(folder))
    out = tmp_path / "scores.tsv"
    command = [sys.executable, "-m", "scripts.collect_scores", "--scores", *folders, "--out", str(out)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert out.read_text().splitlines() == [
        "model\ttask\tmetric\tseeds\tmean\tstd\tmajority\texamples",
        "mini\tchnsenticorp\taccuracy\t2\t0.700000\t0.141421\t0.500000\t100",
        "teacher-small\tchnsenticorp\taccuracy\t1\t0.900000\t\t0.500000\t100",
    ]


def test_a_damaged_artifact_ends_in_one_line(
    tmp_path: Path, program: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    (tmp_path / "scores").mkdir()
    done = program("collect_scores", "--scores", tmp_path / "scores", "--out", tmp_path / "scores.tsv")
    assert done.returncode == 1
    assert "no manifest.json there" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "scores.tsv").exists()
