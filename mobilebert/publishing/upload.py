"""Upload a release: see what is there, change no version, send what is missing, `release.json` last."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from mobilebert.errors import UserError
from mobilebert.publishing.release import Release
from mobilebert.storage.objects import Payload, Storage, Stored


@dataclass(frozen=True)
class Plan:
    """Paths of a release by what the destination holds; `foreign` lies there and belongs to no file of the
    release.
    """

    present: tuple[str, ...]
    missing: tuple[str, ...]
    differing: tuple[str, ...]
    foreign: tuple[str, ...]


def plan(release: Release, stored: dict[str, Stored]) -> Plan:
    """Compare by size and CRC32C; `stored` maps the destination's names (`NAME/VERSION/path`)."""
    there = {name.removeprefix(release.folder): entry for name, entry in stored.items()}
    present = tuple(
        path for path, payload in release.files.items() if path in there and payload.same(there[path])
    )
    return Plan(
        present=present,
        missing=tuple(path for path in release.files if path not in there),
        differing=tuple(path for path in release.files if path in there and path not in present),
        foreign=tuple(sorted(there.keys() - release.files.keys())),
    )


def publish(release: Release, storage: Storage) -> Plan:
    """Make the destination hold the release; equal bytes are not sent again.

    Returns:
        the plan that was carried out: `missing` is what was sent.

    Raises:
        UserError: the version is in use with other bytes; or the destination fails.
    """
    upload_plan = plan(release, storage.list(release.folder))
    _refuse_change(release, storage, upload_plan.differing + upload_plan.foreign)
    logging.info(
        "%s/%s: %d of %d files are there, %s to send",
        storage.where,
        release.folder.rstrip("/"),
        len(upload_plan.present),
        len(release.files),
        _megabytes(release, upload_plan.missing),
    )
    for path in upload_plan.missing:
        logging.info("sending %s (%s)", path, _megabytes(release, (path,)))
        _send(release, storage, path, release.files[path])
    storage.tidy(release.folder)
    return upload_plan


def _send(release: Release, storage: Storage, path: str, payload: Payload) -> None:
    name = release.folder + path
    if storage.create(name, payload):
        return
    # Someone was faster: another publisher, or we ourselves and the answer was lost. Equal bytes are as good
    # as ours.
    live = storage.list(name).get(name)
    if live is None or not payload.same(live):
        _refuse_change(release, storage, (path,))


def _refuse_change(release: Release, storage: Storage, paths: tuple[str, ...]) -> None:
    if paths:
        raise UserError(
            f"{storage.where}/{release.folder}: version '{release.version}' of {release.name} is in use "
            f"with other bytes "
            f"({', '.join(paths)}); a version never changes: set publish.version to auto or to a new name"
        )


def _megabytes(release: Release, paths: tuple[str, ...]) -> str:
    return f"{sum(release.files[path].size for path in paths) / 1e6:.1f} MB"
