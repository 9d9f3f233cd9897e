"""Read back what was published, every byte of it, and give the receipt."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from mobilebert.errors import UserError
from mobilebert.publishing.release import RELEASE
from mobilebert.storage.objects import Digester, Storage

KEYS = {"format", "name", "version", "destination", "files", "exports", "checks"}


def read_record(path: Path, name: str, storage: Storage) -> dict[str, Any]:
    """The upload's record, checked to be of this model and this destination."""
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if record.keys() != KEYS:
            raise ValueError("other keys than expected")
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"{path}: not the record of an upload ({error}); run publish_model again") from None
    expected = f"{storage.where}/{name}/{record['version']}"
    if (record["name"], record["destination"]) != (name, expected):
        raise UserError(
            f"{path}: the record of {record['destination']}, expected {expected}; run publish_model again"
        )
    return record


def verify(record: dict[str, Any], storage: Storage) -> dict[str, Any]:
    """Compare the destination with the record: the same files, each with the same SHA-256.

    Returns:
        the receipt: name, version, destination, files with size, SHA-256 and CRC32C, and the digests of
        exports and checks, all as read back. It holds no time, host or secret.

    Raises:
        UserError: naming what is missing, foreign or different.
    """
    folder = f"{record['name']}/{record['version']}/"
    there = {name.removeprefix(folder) for name in storage.list(folder)}
    for path in sorted(record["files"].keys() - there):
        raise UserError(f"{record['destination']}/{path}: missing; run publish_model again")
    for path in sorted(there - record["files"].keys()):
        raise UserError(
            f"{record['destination']}/{path}: not part of this version; remove it, or publish under a new "
            "version"
        )
    actual = {path: _read_back(storage, folder + path) for path in sorted(record["files"])}
    for path, expected in record["files"].items():
        if actual[path] != expected:
            raise UserError(
                f"{record['destination']}/{path}: SHA-256 {actual[path]['sha256']} ({actual[path]['size']} "
                f"bytes), expected {expected['sha256']} ({expected['size']} bytes): damaged there; remove "
                "this version and publish it again"
            )
    return record | {"files": actual, "release": actual[RELEASE]["sha256"]}


def _read_back(storage: Storage, name: str) -> dict[str, Any]:
    digester = Digester()
    storage.fetch(name, digester)
    logging.info("read back %s (%.1f MB)", name, digester.size / 1e6)
    return {"size": digester.size, "sha256": digester.sha256, "crc32c": digester.crc32c}
