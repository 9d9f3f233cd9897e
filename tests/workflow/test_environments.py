"""Environment files and lock files agree, and name no registry."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from mobilebert.settings import Settings
from workflow.inputs import Inputs

LOCKED = re.compile(r"^([\w.-]+)==([\w.+]+)", re.M)


def versions(text: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, version in LOCKED.findall(text):
        found.setdefault(name, set()).add(version)
    return found


@pytest.mark.parametrize(("name", "lock"), [("data", ""), ("train", ""), ("publish", ""), ("tpu", "-tpu")])
def test_environments_pin_what_the_lock_pins(root: Path, name: str, lock: str) -> None:
    locked = versions((root / f"requirements{lock}.lock").read_text("utf-8"))
    pip = next(
        entry["pip"]
        for entry in yaml.safe_load((root / "envs" / f"{name}.yaml").read_text("utf-8"))["dependencies"]
        if isinstance(entry, dict)
    )
    pinned = versions("\n".join(pip))
    assert len(pinned) == len(pip)
    assert {
        package: found for package, found in pinned.items() if not found <= locked.get(package, set())
    } == {}


def test_every_environment_is_used_and_every_used_one_exists(root: Path) -> None:
    used = {
        name
        for rules in (root / "rules").glob("*.smk")
        for name in re.findall(r'"\.\./envs/(\w+)\.yaml"', rules.read_text("utf-8"))
    }
    inputs = [
        Inputs(Settings.model_validate({"training": {"accelerator": accelerator}}))
        for accelerator in ("auto", "tpu")
    ]
    used |= {Path(one.training_environment).stem for one in inputs}
    assert used == {path.stem for path in (root / "envs").glob("*.yaml")}


def test_the_devices_agree_on_all_but_tensorflow(root: Path) -> None:
    files = {"cpu": "requirements.lock", "gpu": "requirements-gpu.lock", "tpu": "requirements-tpu.lock"}
    locks = {device: versions((root / name).read_text("utf-8")) for device, name in files.items()}
    assert (
        locks["tpu"]["tensorflow-tpu"]
        == locks["gpu"]["tensorflow"]
        == locks["cpu"]["tensorflow-cpu"]
        == {"2.20.0"}
    )
    for device in ("gpu", "tpu"):
        common = locks["cpu"].keys() & locks[device].keys()
        assert {name for name in common if locks["cpu"][name] != locks[device][name]} == set()


def test_no_tracked_file_names_a_registry_or_this_machine(root: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True
    ).stdout.split()
    pattern = re.compile(r"--(extra-)?index-url|https?://\S+/simple\b|(?<![\w.])/(wor[k]|far[m]|roo[t])/")
    wrong = [
        name
        for name in listed
        if (root / name).is_file() and pattern.search((root / name).read_text("utf-8", errors="ignore"))
    ]
    assert wrong == []
