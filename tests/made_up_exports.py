"""Exports and checks with made-up bytes, as the exporting room writes them: what the tests of publishing
publish.
"""

from __future__ import annotations

import json
from pathlib import Path

from mobilebert.storage import artifacts

FACTS = {
    "architecture": "MobileBertForMaskedLM",
    "layers": 4,
    "hidden_size": 128,
    "vocabulary_size": 4000,
    "parameters": 1_234_567,
}
HELDOUT = {"masked_accuracy": 0.4213, "masked_loss": 3.1, "predictions": 9216, "unigram_accuracy": 0.0512}


def make_export(
    folder: Path, export_format: str, files: dict[str, bytes], *, model: str = "mini", passed: bool = True
) -> tuple[Path, Path]:
    """Write `exports/FORM` and `checks/FORM` below a folder; equal arguments give equal bytes."""
    source, export, check = (
        folder / "models" / model,
        folder / "exports" / export_format,
        folder / "checks" / export_format,
    )
    with artifacts.writing(source, "model") as writer:
        writer.path("config.json").write_text(model)
    facts = FACTS | {
        "sequence_length": 128,
        "output": "last_hidden_state",
        "evaluation": {"heldout": HELDOUT, "parameters": 1_234_567},
    }
    with artifacts.writing(
        export, "export", settings={"format": export_format}, inputs={"model": source}
    ) as writer:
        writer.counts.update(facts)
        for name, data in files.items():
            writer.path(name).write_bytes(data)
    with artifacts.writing(
        check, "check", settings={"format": export_format}, inputs={"model": source, "export": export}
    ) as writer:
        body = {"max_relative_difference": 1e-6, "tolerance": 1e-4, "passed": passed, "judge": "a test"}
        writer.path("check.json").write_text(json.dumps(body))
    return export, check


def make_exports(folder: Path, weights: bytes = b"weights") -> tuple[list[Path], list[Path]]:
    """Both formats: the exports, and their checks."""
    transformers = make_export(folder, "transformers", {"config.json": b"{}", "model.safetensors": weights})
    tflite = make_export(folder, "tflite", {"model.tflite": b"flat " + weights})
    return [transformers[0], tflite[0]], [transformers[1], tflite[1]]


def write_scores(path: Path) -> Path:
    """A scores.tsv with two models."""
    rows = [
        ["model", "task", "metric", "seeds", "mean", "std", "majority", "examples"],
        ["mini", "chnsenticorp", "accuracy", "3", "0.871", "0.004", "0.512", "1161"],
        ["mini", "cmrc2018", "f1", "1", "0.5012", "0", "0.0231", "628"],
        ["teacher-demo", "chnsenticorp", "accuracy", "1", "0.912", "0", "0.512", "1161"],
    ]
    table = "".join("\t".join(row) + "\n" for row in rows)
    artifacts.write_file(path, table.encode(), "scores_table", settings={}, inputs={})
    return path
