"""The rule export_model: a model directory becomes what people load."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from mobilebert.storage import artifacts
from scripts.export_model import arguments, main
from tests.small_models import make_model

SETTINGS = json.dumps({"export": {"formats": ["tflite"], "sequence_length": 24, "tolerance": 1e-4}})


def test_tflite_file_runs_and_says_what_it_takes(root: Path, tmp_path: Path) -> None:
    model = make_model(tmp_path / "model")
    command = [
        sys.executable,
        "-m",
        "scripts.export_model",
        "--settings",
        SETTINGS,
        "--model",
        str(model),
        "--format",
        "tflite",
    ]
    command += ["--out", str(tmp_path / "out"), "--log", str(tmp_path / "export.log"), "--threads", "2"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert artifacts.read(tmp_path / "out", "export").inputs == {"model": artifacts.digest(model)}
    assert "largest relative difference from the model" in (tmp_path / "export.log").read_text()
    told = json.loads((tmp_path / "out/signature.json").read_text())
    run = Interpreter(model_path=str(tmp_path / "out/model.tflite")).get_signature_runner(told["signature"])
    given = {name: np.ones(entry["shape"], entry["dtype"]) for name, entry in told["inputs"].items()}
    for name, entry in told["outputs"].items():
        assert list(run(**given)[name].shape) == entry["shape"] == [1, 24, 32]


def test_transformers_directory_is_written(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model", labels=2)
    given = [
        "--settings",
        SETTINGS,
        "--model",
        str(model),
        "--format",
        "transformers",
        "--out",
        str(tmp_path / "out"),
    ]
    main(arguments().parse_args(given))
    manifest = artifacts.read(tmp_path / "out", "export")
    assert manifest.counts["architecture"] == "MobileBertForSequenceClassification"
    assert {"config.json", "model.safetensors", "vocab.txt"} <= set(manifest.files)
    assert not {"metrics.jsonl", "optimizer.safetensors"} & set(manifest.files)
