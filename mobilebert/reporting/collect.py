"""Reads what the stages of a run left under its results folder; an absent stage is simply absent from the report."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mobilebert import artifacts
from mobilebert.artifacts import Manifest

# Folders of models, in the order of the pipeline; teacher_sources is left out, since teachers/ holds the same, checked.
MODEL_FOLDERS = ("teachers/*", "students/*/transfer/*", "students/*/pretrained")
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Artefact:
    """One artefact of the run: where it lies (relative to the results folder), its manifest and digest."""

    place: str
    manifest: Manifest
    digest: str

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(int(file["size"]) for file in self.manifest.files.values())


@dataclass(frozen=True)
class Model:
    """A language model on held-out text: `heldout` is evaluation.json's, empty where a stage does not evaluate."""

    name: str
    parameters: int | None
    heldout: dict[str, float]
    weights: int


@dataclass(frozen=True)
class Run:
    """All that a report shows."""

    artefacts: list[Artefact]
    funnel: dict[str, Any] = field(default_factory=dict)
    rejects: Rows = field(default_factory=list)
    records: dict[str, Any] = field(default_factory=dict)
    models: list[Model] = field(default_factory=list)
    curves: dict[str, Rows] = field(default_factory=dict)
    scores: Rows = field(default_factory=list)
    exports: Rows = field(default_factory=list)
    receipts: Rows = field(default_factory=list)


def collect(results: Path | str, models: set[str] | None = None) -> Run:
    """Read the artefacts below a results folder.

    Args:
        results: the run's folder.
        models: names of the students and baselines that belong to the run; artefacts of others, left by earlier settings, are
            not shown. None shows all.
    """
    results = Path(results)
    found = [_artefact(results, path.parent) for path in sorted(results.rglob(artifacts.MANIFEST))]
    found = [artefact for artefact in found if _belongs(artefact.place, models)]
    places = {artefact.place for artefact in found}
    return Run(
        artefacts=found,
        funnel=_json(results / "corpus" / "funnel.json") or {},
        rejects=_reject_examples(results / "corpus" / "rejects"),
        records=_json(results / "records" / "records.json") or {},
        models=[_model(results, place) for place in _model_places(results, places)],
        curves=_curves(results, places),
        scores=_scores(results / "scores.tsv"),
        exports=[_export(results, place) for place in sorted(places) if place.startswith("exports/")],
        receipts=[receipt for path in sorted(results.glob("published/*.json")) if (receipt := _json(path))],
    )


def model_name(place: str) -> str:
    """`students/mini/transfer/layer01` -> `mini-layer01`, `students/mini/pretrained` -> `mini`, `teachers/small` -> `teacher-small`."""
    parts = place.split("/")
    if parts[0] == "teachers":
        return f"teacher-{parts[1]}"
    return f"{parts[1]}-{parts[3]}" if parts[2] == "transfer" else parts[1]


def _belongs(place: str, models: set[str] | None) -> bool:
    parts = place.split("/")
    return models is None or parts[0] not in {"students", "exports", "checks", "finetuned", "scores"} or parts[1] in models


def _artefact(results: Path, folder: Path) -> Artefact:
    return Artefact(folder.relative_to(results).as_posix(), artifacts.read(folder, verify=False), artifacts.digest(folder))


def _model_places(results: Path, places: set[str]) -> list[str]:
    """Models in the order of the pipeline: teachers, transfer stages, students."""
    found = [path.relative_to(results).as_posix() for pattern in MODEL_FOLDERS for path in sorted(results.glob(pattern))]
    return [place for place in found if place in places]


def _model(results: Path, place: str) -> Model:
    evaluation = _json(results / place / "evaluation.json") or {}
    weights = results / place / "model.safetensors"
    size = weights.stat().st_size if weights.is_file() else 0
    return Model(model_name(place), evaluation.get("parameters"), evaluation.get("heldout", {}), size)


def _curves(results: Path, places: set[str]) -> dict[str, Rows]:
    """Training curves by the place of the artefact that holds them."""
    found = {}
    for path in sorted(results.rglob("metrics.jsonl")):
        place = path.parent.relative_to(results).as_posix()
        if place in places:
            found[place] = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return found


def _reject_examples(folder: Path) -> Rows:
    """One rejected document for each reason."""
    if not folder.is_dir():
        return []
    import pyarrow.parquet as parquet  # only here: a report on a run without a corpus needs no Arrow

    examples: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob("*.parquet")):
        for row in parquet.read_table(path).to_pylist():
            examples.setdefault(row["reason"], row)
    return [examples[reason] for reason in sorted(examples)]


def _scores(path: Path) -> Rows:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def _export(results: Path, place: str) -> dict[str, Any]:
    _, model, form = place.split("/")
    files = artifacts.read(results / place, verify=False).files
    return {
        "model": model,
        "format": form,
        "bytes": sum(int(file["size"]) for file in files.values()),
        "check": _json(results / "checks" / model / form / "check.json") or {},
        "latency": _json(results / "latency" / model / f"{form}.json") or {},
    }


def _json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8")) if path.is_file() else None
