"""Artifact directories: data files, then one `manifest.json` that says what is whole.

A folder without its manifest counts as absent. The manifest lists every file with size and SHA-256, counts,
the settings of the stage, the digests of the inputs' manifests and the versions of what shaped the result. It
holds no time, host, path or worker count, so equal work gives an equal manifest (docs/artifacts.md).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from mobilebert.errors import UserError
from mobilebert.storage import paths
from mobilebert.storage.atomic import canonical_json, write_atomically

FORMAT = 1
MANIFEST = "manifest.json"


class ArtifactError(UserError):
    """An artifact directory that is absent, incomplete, damaged or of another kind."""


@dataclass(frozen=True)
class Manifest:
    """What a whole artifact says of itself.

    `files` maps a relative POSIX path to `{"size": bytes, "sha256": hex}`; `inputs` maps a role ("corpus",
    "teacher") to the digest of that input's manifest.
    """

    kind: str
    files: dict[str, dict[str, Any]]
    counts: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        body = {"format": FORMAT} | {name: getattr(self, name) for name in self.__dataclass_fields__}
        return canonical_json(body)


class Writer:
    """The artifact being written: ask it for paths, fill `counts`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.counts: dict[str, Any] = {}

    def path(self, *names: str) -> Path:
        """The path of a file inside the artifact; its parent folders are made."""
        path = self.folder.joinpath(*names)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def json(self, name: str, body: Any) -> None:
        """Write a file of canonical JSON."""
        self.path(name).write_bytes(canonical_json(body))


@contextmanager
def writing(
    folder: Path | str,
    kind: str,
    *,
    settings: Mapping[str, Any] | None = None,
    inputs: Mapping[str, Path | str] | None = None,
    versions: Iterable[str] = (),
) -> Iterator[Writer]:
    """Write an artifact directory; the manifest appears only when the block ends without an exception.

    The folder is emptied first, its manifest before everything else, so a kill at any instruction leaves
    either the old whole artifact, or a folder that counts as absent, or the new whole artifact.

    Args:
        folder: where the artifact lies.
        kind: what it is ("corpus", "records", "model", ...); readers may insist on it.
        settings: what the stage was told, JSON values only.
        inputs: role -> artifact directory whose manifest digest is recorded.
        versions: names of installed distributions that shaped the bytes.
    """
    folder = Path(folder)
    remove(folder)
    folder.mkdir(parents=True, exist_ok=True)
    digests = {role: digest(source) for role, source in (inputs or {}).items()}
    writer = Writer(folder)
    yield writer
    files = {path.relative_to(folder).as_posix(): _describe(path) for path in _files_below(folder)}
    manifest = Manifest(
        kind=kind,
        files=files,
        counts=writer.counts,
        settings=dict(settings or {}),
        inputs=digests,
        versions={name: metadata.version(name) for name in versions},
    )
    write_atomically(folder / MANIFEST, manifest.to_bytes())


def write_file(
    path: Path | str, data: bytes, kind: str, *, settings: Mapping[str, Any], inputs: Mapping[str, Path | str]
) -> None:
    """Write an artifact that is a single file, its manifest beside it (`scores.tsv.manifest.json`), last.

    Args:
        path: the file.
        data: its bytes.
        kind: what it is.
        settings: what the stage was asked for, JSON values only.
        inputs: role -> artifact whose manifest digest is recorded.
    """
    path = Path(path)
    beside = path.with_name(f"{path.name}.{MANIFEST}")
    beside.unlink(missing_ok=True)
    digests = {role: digest(source) for role, source in inputs.items()}
    write_atomically(path, data)
    files = {path.name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}}
    write_atomically(beside, Manifest(kind, files, settings=dict(settings), inputs=digests).to_bytes())


def remove(folder: Path | str) -> None:
    """Remove an artifact, its manifest first, so that no instant shows a manifest over missing files."""
    folder = Path(folder)
    (folder / MANIFEST).unlink(missing_ok=True)
    if folder.is_dir():
        shutil.rmtree(folder)


def read(folder: Path | str, kind: str | None = None, *, verify: bool = True) -> Manifest:
    """Read the manifest of an artifact and check the files against it.

    Args:
        folder: the artifact directory.
        kind: the kind it must have, if given.
        verify: compare SHA-256 of every file; with False only presence and size are checked.

    Raises:
        ArtifactError: naming the file and what is wrong with it.
    """
    folder = Path(folder)
    manifest = _parse(folder)
    if kind is not None and manifest.kind != kind:
        raise ArtifactError(f"{folder}: expected an artifact of kind '{kind}', found '{manifest.kind}'")
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise ArtifactError(f"{path}: missing, though {MANIFEST} lists it; remove {folder} and run again")
        size = path.stat().st_size
        if size != expected["size"]:
            raise ArtifactError(
                f"{path}: {size} bytes, expected {expected['size']}; remove {folder} and run again"
            )
        if verify and sha256(path) != expected["sha256"]:
            raise ArtifactError(f"{path}: its SHA-256 differs from {MANIFEST}; remove {folder} and run again")
    return manifest


def digest(folder: Path | str) -> str:
    """SHA-256 of the manifest of a folder (anywhere) or a single file: it stands for the whole artifact in
    lineage and fingerprints.
    """
    if not paths.is_local(str(folder)):
        return hashlib.sha256(paths.read(paths.join(str(folder), MANIFEST))).hexdigest()
    return hashlib.sha256(_manifest_bytes(Path(folder))).hexdigest()


def described_by(manifest: Path) -> Path:
    """The folder or the single file that a manifest is of."""
    return (
        manifest.parent
        if manifest.name == MANIFEST
        else manifest.with_name(manifest.name.removesuffix(f".{MANIFEST}"))
    )


def exists(folder: Path | str) -> bool:
    """Whether the artifact is whole as far as its manifest goes (files are verified by `read`)."""
    return _manifest_path(Path(folder)).is_file()


def sha256(path: Path | str) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _manifest_path(artifact: Path) -> Path:
    """Inside a folder, beside a single file."""
    beside = artifact.with_name(f"{artifact.name}.{MANIFEST}")
    return beside if beside.is_file() else artifact / MANIFEST


def _manifest_bytes(folder: Path) -> bytes:
    try:
        return _manifest_path(folder).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise ArtifactError(
            f"{folder}: no {MANIFEST} there, so this artifact was never finished; run its stage again"
        ) from None


def _parse(folder: Path) -> Manifest:
    try:
        body = json.loads(_manifest_bytes(folder))
        if body.pop("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        return Manifest(**body)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(
            f"{folder / MANIFEST}: not a manifest that this version reads ({error})"
        ) from None


def _files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _describe(path: Path) -> dict[str, Any]:
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return {"size": os.fstat(stream.fileno()).st_size, "sha256": digest}
