"""What the settings name that lies outside a run: a user's own files, as inputs where they are there."""

from __future__ import annotations

import glob
from pathlib import Path

from snakemake.io import local

from workflow.paths import MANIFEST


def is_artifact(place: str) -> bool:
    """Whether a folder is an artefact of another run."""
    return Path(place, MANIFEST).is_file()


def given(path: str | None) -> list[str]:
    """A path from the settings as an input, if it is there: a preset's dry run needs no teacher; the command says what is missing.

    The prefix of a TF1 checkpoint stands for its files.
    """
    if not path:
        return []
    return trackable([path] if Path(path).exists() else sorted(glob.glob(f"{glob.escape(path)}.*")))


def tf1_checkpoint(path: str | None) -> bool:
    """Whether a path names a TF1 checkpoint, by its name (a dry run needs no files) or by what lies there."""
    place = Path(path or "")
    return bool(path) and (
        ".ckpt" in place.name
        or Path(f"{path}.index").is_file()
        or (place.is_dir() and not (place / "config.json").is_file() and any(place.rglob("*.index")))
    )


def trackable(files: list[str]) -> list[str]:
    """A user's own files as inputs, on this machine's disk; those with braces, which Snakemake takes for wildcards, or line ends are read
    untracked."""
    return [local(file) for file in files if not set("{}\n\r") & set(file)]
