"""Where everything of a run lies. `<results>` in the rules is `results(run)`."""

from __future__ import annotations

import os
from pathlib import PurePath
from typing import Any

from snakemake.io import ancient

MANIFEST = "manifest.json"


def results(run: str) -> str:
    """The folder of a run's artifacts."""
    return f"results/{run}"


def state(run: str) -> str:
    """The folder of a run's unfinished trainings: no output, since Snakemake deletes those of failed jobs."""
    return f"state/{run}"


def state_bucket(bucket: str | None, run: str) -> str:
    """Where the copies of a run's unfinished trainings lie; "" for nowhere."""
    return f"{bucket.rstrip('/')}/{run}" if bucket else ""


def artifact_bucket(storage: Any) -> str | None:
    """Where Snakemake keeps artifacts, `gs://bucket/prefix`; None: on this machine.

    `storage` are its own settings.
    """
    return (
        os.path.expandvars(storage.default_storage_prefix)
        if storage.default_storage_provider == "gcs"
        else None
    )


def manifest_of(artifact: str) -> str:
    """The manifest of an artifact: inside a folder, beside a single file (`scores.tsv.manifest.json`)."""
    return (
        f"{artifact}.{MANIFEST}"
        if PurePath(artifact).suffix in {".tsv", ".html", ".json"}
        else f"{artifact}/{MANIFEST}"
    )


def artifact(folder: str) -> list[str]:
    """An artifact as a rule's input: the folder brings the files (to other machines, too), the manifest's
    content decides on reruns.
    """
    return [ancient(folder), f"{folder}/{MANIFEST}"]
