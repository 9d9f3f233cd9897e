"""The rule measure_latency: timings as a plain file, for any format."""

from __future__ import annotations

import json
from pathlib import Path

from mobilebert.exporting.writing import export
from mobilebert.settings import Export
from scripts.measure_latency import arguments, main
from tests.small_models import make_model


def test_timings_of_a_transformers_directory_are_written(tmp_path: Path) -> None:
    export(make_model(tmp_path / "model"), "transformers", Export(), tmp_path / "export")
    settings = json.dumps({"export": {"sequence_length": 48}})
    given = ["--settings", settings, "--export", str(tmp_path / "export"), "--format", "transformers"]
    main(arguments().parse_args([*given, "--out", str(tmp_path / "latency/transformers.json")]))
    found = json.loads((tmp_path / "latency/transformers.json").read_text())
    assert (found["format"], found["sequence_length"], found["threads"], found["batch"]) == (
        "transformers",
        48,
        1,
        1,
    )
    assert 0 < found["median_ms"] < 10_000
    assert not (tmp_path / "latency/manifest.json").exists(), "timings are no artifact"
