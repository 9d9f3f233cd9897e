"""The rule verify_published: the receipt appears only if every byte is there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mobilebert.publishing.release import collect
from mobilebert.publishing.target import open_storage
from mobilebert.publishing.upload import publish
from mobilebert.settings import Publish
from tests.made_up_exports import make_exports


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The record of a release that was published into ./published."""
    monkeypatch.chdir(tmp_path)
    storage = open_storage("published")
    release = collect("mini", Publish(version="1.0"), *make_exports(tmp_path / "results"), None, {})
    publish(release, storage)
    path = tmp_path / "record.json"
    path.write_text(json.dumps(release.record(storage.where)))
    return path


def verify(
    root: Path, record: Path, name: str = "mini", to: str = "published"
) -> subprocess.CompletedProcess[str]:
    settings = json.dumps({"publish": {"to": to, "version": "1.0"}})
    command = [sys.executable, "-m", "scripts.verify_published", "--settings", settings, "--name", name]
    command += ["--record", str(record), "--out", "receipt.json", "--log", "verify.log"]
    return subprocess.run(
        command, cwd=record.parent, env={"PYTHONPATH": str(root)}, capture_output=True, text=True, check=False
    )


def test_receipt_names_what_was_read_back(root: Path, record: Path) -> None:
    done = verify(root, record)
    assert done.returncode == 0, done.stderr
    receipt = json.loads((record.parent / "receipt.json").read_text())
    assert (receipt["name"], receipt["version"], receipt["destination"]) == (
        "mini",
        "1.0",
        "published/mini/1.0",
    )
    assert receipt["files"] == json.loads(record.read_text())["files"]
    assert receipt["release"] == receipt["files"]["release.json"]["sha256"]
    assert str(record.parent) not in json.dumps(receipt)


def test_one_flipped_byte_gives_no_receipt(root: Path, record: Path) -> None:
    (record.parent / "published/mini/1.0/tflite/model.tflite").write_bytes(b"flat Weights")
    done = verify(root, record)
    assert done.returncode == 1
    assert "published/mini/1.0/tflite/model.tflite: SHA-256" in done.stderr
    assert "damaged there" in (record.parent / "verify.log").read_text()
    assert not (record.parent / "receipt.json").exists()


@pytest.mark.parametrize(("name", "to"), [("other", "published"), ("mini", "elsewhere")])
def test_record_of_another_model_or_place_is_refused(root: Path, record: Path, name: str, to: str) -> None:
    done = verify(root, record, name, to)
    assert done.returncode == 1
    assert f"expected {to}/{name}/1.0" in done.stderr
