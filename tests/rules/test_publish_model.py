"""The rule publish_model: what is given comes to lie at the destination, once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.loopback_gcs import LoopbackGcs
from tests.made_up_exports import make_exports, write_scores


def publish(
    root: Path,
    folder: Path,
    *,
    to: str | None,
    weights: bytes = b"weights",
    version: str = "auto",
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """Run the command in `folder` on exports made of `weights`."""
    exports, checks = make_exports(folder / "results", weights)
    settings = json.dumps({"publish": {"to": to, "version": version, "licence": "apache-2.0"}})
    command = [
        sys.executable,
        "-m",
        "scripts.publish_model",
        "--settings",
        settings,
        "--name",
        "mini",
        "--out",
        "results/mini.json",
    ]
    command += [
        "--exports",
        *map(str, exports),
        "--checks",
        *map(str, checks),
        "--scores",
        str(write_scores(folder / "scores.tsv")),
    ]
    return subprocess.run(
        command,
        cwd=folder,
        env={"PYTHONPATH": str(root)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_relative_folder_is_filled_below_the_working_directory(root: Path, tmp_path: Path) -> None:
    done = publish(root, tmp_path, to="published", version="1.0")
    assert done.returncode == 0, done.stderr
    there = {
        path.relative_to(tmp_path / "published").as_posix()
        for path in (tmp_path / "published").rglob("*")
        if path.is_file()
    }
    files = (
        "README.md",
        "release.json",
        "tflite/model.tflite",
        "transformers/config.json",
        "transformers/model.safetensors",
    )
    assert there == {f"mini/1.0/{path}" for path in files}
    record = json.loads((tmp_path / "results/mini.json").read_text())
    assert record["destination"] == "published/mini/1.0"
    assert set(record["files"]) == set(files)

    before = (tmp_path / "published/mini/1.0/release.json").stat().st_mtime_ns
    again = publish(root, tmp_path, to="published", version="1.0")
    assert "5 of 5 files are there, 0.0 MB to send" in again.stderr
    assert json.loads((tmp_path / "results/mini.json").read_text()) == record
    assert (tmp_path / "published/mini/1.0/release.json").stat().st_mtime_ns == before

    changed = publish(root, tmp_path, to="published", version="1.0", weights=b"Weights")
    assert changed.returncode == 1
    assert "version '1.0' of mini is in use with other bytes" in changed.stderr
    assert "Traceback" not in changed.stderr


def test_bucket_is_filled(root: Path, tmp_path: Path) -> None:
    with LoopbackGcs("models") as gcs:
        done = publish(root, tmp_path, to="gs://models/zh", STORAGE_EMULATOR_HOST=gcs.address)
        assert done.returncode == 0, done.stderr
        version = json.loads((tmp_path / "results/mini.json").read_text())["version"]
        assert gcs.buckets["models"][f"zh/mini/{version}/transformers/model.safetensors"].data == b"weights"


def test_publishing_to_nothing_is_refused_in_one_line(root: Path, tmp_path: Path) -> None:
    done = publish(root, tmp_path, to=None)
    assert done.returncode == 1
    assert "publish.to: null" in done.stderr
