"""What `corpus.against` may name: finished corpora that keep their keys."""

from __future__ import annotations

import json
from collections.abc import Sequence

from mobilebert.errors import UserError
from mobilebert.storage import artifacts, paths

KEYS_FOLDER = "keys"  # of a corpus


def check(folder: str, near: bool, manifest: bytes | None) -> str:
    """What is wrong with a folder as another corpus, as a line that says what to do; empty if nothing is.

    Args:
        folder: as the setting has it.
        near: whether near-duplicates are looked for.
        manifest: its content; None where it cannot be read.
    """
    if manifest is None:
        return (
            f"corpus.against: {folder} has no manifest.json to read; name the finished folder `corpus` of "
            "another run"
        )
    try:
        body = json.loads(manifest)
        kind, files, settings = body["kind"], body["files"], body["settings"]["corpus"]
        bands = settings["near_duplicates"]
    except (ValueError, KeyError, TypeError):
        kind, files, bands = None, {}, True
    if kind != "corpus":
        return f"corpus.against: {folder} is no corpus; name the finished folder `corpus` of another run"
    if not any(name.startswith(f"{KEYS_FOLDER}/") for name in files):
        return f"corpus.against: {folder} has no keys, since an older version made it; make that corpus again"
    if near and not bands:
        return (
            f"corpus.against: {folder} was made with corpus.near_duplicates: false, so it has keys of equal "
            "texts alone; set that here too, or make it again with true"
        )
    return ""


def require(folders: Sequence[str], near: bool) -> None:
    """Raises: UserError: a folder is no finished corpus with keys, or one on this machine lacks a file."""
    for folder in folders:
        if why := check(folder, near, _manifest(folder)):
            raise UserError(why)
        if paths.is_local(folder):
            artifacts.read(folder, "corpus", verify=False)


def _manifest(folder: str) -> bytes | None:
    path = paths.join(folder, artifacts.MANIFEST)
    return paths.read(path) if paths.exists(path) else None
