"""What the settings name that lies outside a run: a user's own files, as inputs where they are there."""

from __future__ import annotations

import glob
import json
from pathlib import Path

from snakemake.io import local

from mobilebert.models import describing, shapes
from mobilebert.settings import Settings, sections_of
from workflow.paths import MANIFEST


def shape_of(settings: Settings, name: str) -> shapes.Shape:
    """The shape of a student's or teacher's name: of its file in `shapes`, or a known one (here with a vocabulary of 1).

    Raises:
        UserError: the file is not there, or no configuration.
    """
    return describing.read(Path(settings.shapes[name])) if name in settings.shapes else shapes.named(name, 1)


def with_shape(settings: Settings, name: str, *sections: str) -> str:
    """These sections as JSON for a command that makes a model of that name; what its file says goes along, so a change reruns it."""
    body = sections_of(settings, *sections)
    if name in settings.shapes:
        body["shapes"] = {name: shape_of(settings, name).to_config()}
    return json.dumps(body, ensure_ascii=False, sort_keys=True)


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
