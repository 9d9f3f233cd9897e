"""What one publishing puts out: a model's exports, its card and its manifest, under one version."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mobilebert.errors import UserError
from mobilebert.reporting.card import Card, ExportInfo, render
from mobilebert.settings import Publish
from mobilebert.storage import artifacts
from mobilebert.storage.artifacts import Manifest
from mobilebert.storage.atomic import canonical_json
from mobilebert.storage.objects import Payload, of_bytes, of_file

FORMAT = 1
CARD = "README.md"
RELEASE = "release.json"
AUTO = "auto"
SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Release:
    """Everything of one version, in the order of uploading.

    The card comes first: it names every digest, so of two publishers with different bytes one loses there,
    before it has written anything. `release.json` comes last: it makes the version whole.
    """

    name: str
    version: str
    files: dict[str, Payload]
    exports: dict[str, str]
    checks: dict[str, str]

    @property
    def folder(self) -> str:
        """Where the version lies below the destination, with a slash at the end."""
        return f"{self.name}/{self.version}/"

    def describe(self) -> dict[str, Any]:
        """What `release.json` says, of the files before it."""
        return {
            "format": FORMAT,
            "name": self.name,
            "version": self.version,
            "files": {path: payload.describe() for path, payload in sorted(self.files.items())},
            "exports": self.exports,
            "checks": self.checks,
        }

    def record(self, where: str) -> dict[str, Any]:
        """What `verify` needs to read everything back; the receipt says the same and more."""
        return self.describe() | {"destination": f"{where}/{self.folder}".rstrip("/")}


def collect(
    name: str,
    settings: Publish,
    exports: list[Path],
    checks: list[Path],
    scores: Path | None,
    sources: Mapping[str, str],
) -> Release:
    """Put a release together.

    Args:
        name: the model's name in the run.
        settings: version and licence (`to` plays no part: the same release can go to two places).
        exports: export artifacts, one a format, all of one model.
        checks: check artifacts, one for each export.
        scores: the run's scores.tsv, of which the card shows this model's rows.
        sources: the licence of each source of the text, for the card.

    Raises:
        UserError: an export that is damaged, unchecked, or of another model; a name that cannot be a
            folder's.
    """
    manifests = _by_format(exports, "export")
    judged = _by_format(checks, "check")
    _refuse_unchecked(manifests, judged)
    models = {manifest.inputs["model"] for _, manifest in manifests.values()}
    if len(models) != 1:
        raise UserError(
            f"publishing {name}: the exports {_names(exports)} are of different models; export them again"
        )
    files = {
        f"{export_format}/{path}": of_file(folder / path)
        for export_format, (folder, manifest) in manifests.items()
        for path in manifest.files
    }
    digests = {export_format: artifacts.digest(folder) for export_format, (folder, _) in manifests.items()}
    check_digests = {export_format: artifacts.digest(folder) for export_format, (folder, _) in judged.items()}
    card = Card(
        name=name,
        licence=settings.licence,
        sources=sources,
        model=models.pop(),
        exports=[
            _export_info(export_format, folder, manifest, judged[export_format][0], digests[export_format])
            for export_format, (folder, manifest) in manifests.items()
        ],
        scores=_scores(scores, name),
    )
    content = {
        "card": render(card, AUTO),
        "files": {path: payload.sha256 for path, payload in files.items()},
        "checks": check_digests,
    }
    version = _version(settings.version, content)
    if not SEGMENT.fullmatch(name):
        raise UserError(
            f"the model's name: '{name}' cannot name a folder; use letters, digits, dot, dash and underscore"
        )
    ordered = {CARD: of_bytes(render(card, version).encode())} | dict(sorted(files.items()))
    release = Release(name, version, ordered, digests, check_digests)
    return replace(release, files=ordered | {RELEASE: of_bytes(canonical_json(release.describe()))})


def _by_format(folders: list[Path], kind: str) -> dict[str, tuple[Path, Manifest]]:
    """format -> (folder, verified manifest), sorted."""
    entries: dict[str, tuple[Path, Manifest]] = {}
    for folder in folders:
        manifest = artifacts.read(folder, kind)
        export_format = manifest.settings["format"]
        if export_format in entries:
            raise UserError(
                f"{folder}: a second {kind} of format {export_format}, beside "
                f"{entries[export_format][0]}; "
                f"name each format once"
            )
        entries[export_format] = (folder, manifest)
    return dict(sorted(entries.items()))


def _refuse_unchecked(
    exports: dict[str, tuple[Path, Manifest]], checks: dict[str, tuple[Path, Manifest]]
) -> None:
    if not exports:
        raise UserError("nothing to publish: no export is given; see the setting export.formats")
    for export_format, (folder, _) in exports.items():
        if export_format not in checks:
            raise UserError(
                f"{folder}: no check of this export is given; run check_export for {export_format} first"
            )
        if checks[export_format][1].inputs.get("export") != artifacts.digest(folder):
            raise UserError(
                f"{checks[export_format][0]}: this check is of another export than {folder}; run "
                f"check_export again"
            )
        if not _check(checks[export_format][0]).get("passed"):
            raise UserError(
                f"{checks[export_format][0]}: this check did not pass, so {folder} is not published"
            )


def _check(folder: Path) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((folder / "check.json").read_text(encoding="utf-8"))
    return body


def _export_info(
    export_format: str, folder: Path, manifest: Manifest, check: Path, digest: str
) -> ExportInfo:
    return ExportInfo(
        name=export_format,
        sizes={path: entry["size"] for path, entry in manifest.files.items()},
        facts=manifest.counts,
        check=_check(check),
        digest=digest,
    )


def _scores(path: Path | None, name: str) -> list[dict[str, str]]:
    if path is None:
        return []
    with path.open(encoding="utf-8", newline="") as stream:
        return [row for row in csv.DictReader(stream, delimiter="\t") if row["model"] == name]


def _version(wanted: str, content: dict[str, Any]) -> str:
    if wanted != AUTO:
        return wanted
    return hashlib.sha256(json.dumps(content, ensure_ascii=False, sort_keys=True).encode()).hexdigest()[:12]


def _names(folders: list[Path]) -> str:
    return ", ".join(str(folder) for folder in folders)
