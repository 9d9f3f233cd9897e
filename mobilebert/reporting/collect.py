"""Reads what the stages of a run left under its results folder; an absent stage is simply absent from the
report.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from mobilebert.storage import artifacts
from mobilebert.storage.artifacts import Manifest

# Folders of models, in the order of the pipeline; teacher_sources is left out, since teachers/ holds the
# same, checked.
MODEL_FOLDERS = ("teachers/*", "students/*/transfer/*", "students/*/pretrained")
TEACHER_PREFIX = "teacher-"  # of a teacher's name in paths and tables
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Artifact:
    """One artifact of the run: where it lies (relative to the results folder), its manifest and digest."""

    subfolder: str
    manifest: Manifest
    digest: str

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(int(file["size"]) for file in self.manifest.files.values())


@dataclass(frozen=True)
class Model:
    """A language model: `heldout` is evaluation.json's, empty where a stage does not evaluate.

    `finished`: a teacher or a trained student, not a stage of its transfer.
    """

    name: str
    parameters: int | None
    heldout: dict[str, float]
    weights: int
    finished: bool

    @property
    def is_teacher(self) -> bool:
        """Whether it is the teacher that the others are compared with."""
        return self.name.startswith(TEACHER_PREFIX)


@dataclass(frozen=True)
class Run:
    """All that a report shows."""

    artifacts: list[Artifact]
    funnel: dict[str, Any] = field(default_factory=dict)
    rejects: Rows = field(default_factory=list)
    records: dict[str, Any] = field(default_factory=dict)
    models: list[Model] = field(default_factory=list)
    curves: dict[str, Rows] = field(default_factory=dict)
    scores: Rows = field(default_factory=list)
    exports: Rows = field(default_factory=list)
    receipts: Rows = field(default_factory=list)


def collect(results: Path | str, made_from: Iterable[Path | str] | None = None) -> Run:
    """Read the artifacts of a run.

    Args:
        results: the run's folder.
        made_from: what is shown: manifests of artifacts, scores.tsv, timings, receipts; artifacts that other
            settings left in the folder are not. None shows all that lies there.

    Raises:
        ArtifactError: an artifact is damaged; the file is named.
    """
    results = Path(results)
    paths = sorted(results.rglob("*")) if made_from is None else [Path(path) for path in made_from]
    roots = [path.parent for path in paths if path.name == artifacts.MANIFEST]
    collected = [_artifact(results, folder) for folder in sorted(set(roots))]
    folders = {artifact.subfolder: results / artifact.subfolder for artifact in collected}
    corpus, records = (_folder_of_kind(results, collected, kind) for kind in ("corpus", "records"))
    funnel = _json(corpus / "funnel.json") or {}
    return Run(
        artifacts=collected,
        funnel=funnel,
        rejects=funnel.get("examples", []),
        records=_json(records / "records.json") or {},
        models=[_model(results, subfolder) for subfolder in _model_places(folders)],
        curves=_curves(folders),
        scores=[row for path in paths if path.name == "scores.tsv" for row in _scores(path)],
        exports=[_export(results, name) for name in folders if PurePath(name).match("exports/*/*")],
        receipts=[
            _json(path)
            for path in paths
            if path.match("published/*.json") and not path.name.endswith(artifacts.MANIFEST)
        ],
    )


def _folder_of_kind(results: Path, collected: list[Artifact], kind: str) -> Path:
    """Where the artifact of a kind lies of which a run has one; a folder that is not there, if it has
    none.
    """
    return next(
        (results / artifact.subfolder for artifact in collected if artifact.manifest.kind == kind),
        results / f"no {kind}",
    )


def model_name(subfolder: str) -> str:
    """`students/mini/transfer/layer01` -> `mini-layer01`, `students/mini/pretrained` -> `mini`,
    `teachers/small` -> `teacher-small`.
    """
    segments = subfolder.split("/")
    if segments[0] == "teachers":
        return f"{TEACHER_PREFIX}{segments[1]}"
    return f"{segments[1]}-{segments[3]}" if segments[2] == "transfer" else segments[1]


def _artifact(results: Path, folder: Path) -> Artifact:
    return Artifact(_place(results, folder), artifacts.read(folder, verify=False), artifacts.digest(folder))


def _place(results: Path, folder: Path) -> str:
    """Where an artifact lies: below the results folder, or, if another run made it, relative to that
    folder.
    """
    return Path(os.path.relpath(folder, results)).as_posix()


def _model_places(folders: Mapping[str, Path]) -> list[str]:
    """Models in the order of the pipeline: teachers, transfer stages, students."""
    return [
        subfolder for pattern in MODEL_FOLDERS for subfolder in folders if PurePath(subfolder).match(pattern)
    ]


def _model(results: Path, subfolder: str) -> Model:
    evaluation = _json(results / subfolder / "evaluation.json") or {}
    weights = results / subfolder / "model.safetensors"
    size = weights.stat().st_size if weights.is_file() else 0
    heldout, finished = evaluation.get("heldout", {}), "/transfer/" not in subfolder
    return Model(model_name(subfolder), evaluation.get("parameters"), heldout, size, finished)


def _curves(folders: Mapping[str, Path]) -> dict[str, Rows]:
    """Training curves by the place of the artifact that holds them."""
    return {
        subfolder: _lines(folder / "metrics.jsonl")
        for subfolder, folder in folders.items()
        if (folder / "metrics.jsonl").is_file()
    }


def _lines(path: Path) -> Rows:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def _scores(path: Path) -> Rows:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def _export(results: Path, subfolder: str) -> dict[str, Any]:
    _, model, export_format = subfolder.split("/")
    files = artifacts.read(results / subfolder, verify=False).files
    return {
        "model": model,
        "format": export_format,
        "bytes": sum(int(file["size"]) for file in files.values()),
        "check": _json(results / "checks" / model / export_format / "check.json") or {},
        "latency": _json(results / "latency" / model / f"{export_format}.json") or {},
    }


def _json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8")) if path.is_file() else None
