"""The rule check_export: no check of an export that differs from its model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mobilebert import artifacts
from mobilebert.errors import UserError
from mobilebert.exporting.writing import export
from mobilebert.settings import Export
from scripts.check_export import arguments, main
from tests.small_models import make_model


def given(folder: Path, form: str, tolerance: float = 1e-4) -> list[str]:
    settings = json.dumps({"export": {"formats": [form], "sequence_length": 16, "tolerance": tolerance}})
    command = ["--settings", settings, "--model", str(folder / "model"), "--export", str(folder / "export"), "--format", form]
    return [*command, "--out", str(folder / "check"), "--log", str(folder / "check.log")]


@pytest.mark.parametrize("form", ["transformers", "tflite"])
def test_check_says_who_judged_and_how_far_apart_they_are(tmp_path: Path, form: str) -> None:
    model = make_model(tmp_path / "model")
    export(model, form, Export(sequence_length=16), tmp_path / "export")
    main(arguments().parse_args(given(tmp_path, form)))
    manifest = artifacts.read(tmp_path / "check", "check")
    assert manifest.inputs["export"] == artifacts.digest(tmp_path / "export")
    found = json.loads((tmp_path / "check/check.json").read_text())
    assert found["format"] == form
    assert found["passed"] is True
    assert found["max_relative_difference"] <= found["tolerance"] == 1e-4
    assert found["judge"]


def test_difference_over_the_tolerance_leaves_no_check(tmp_path: Path) -> None:
    export(make_model(tmp_path / "model"), "transformers", Export(sequence_length=16), tmp_path / "export")
    with pytest.raises(UserError, match=r"export\.tolerance 1\.0e-30"):
        main(arguments().parse_args(given(tmp_path, "transformers", 1e-30)))
    assert not artifacts.exists(tmp_path / "check")
