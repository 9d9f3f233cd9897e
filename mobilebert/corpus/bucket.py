"""Fetch the objects of a gs:// source: listed once, each of one generation, CRC32C checked, going on where a broken download stopped.

Works against tests/loopback_gcs.py; it never met the real service (docs/checked.md).
"""

from __future__ import annotations

import base64
import hashlib
import logging
import os
import re
import shutil
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import Any

import google_crc32c
import requests
import urllib3
from google.api_core import exceptions
from google.cloud import storage

from mobilebert.cloudstorage import readable
from mobilebert.corpus.download import Broken, check_digest, persist
from mobilebert.corpus.finding import matcher
from mobilebert.errors import UserError
from mobilebert.settings import Source
from mobilebert.storage import artifacts

_CHUNK = 1 << 20
_WILD = re.compile(r"[*?\[]")
_PASSING = (exceptions.ServerError, exceptions.TooManyRequests, exceptions.RetryError, exceptions.RequestRangeNotSatisfiable)


def fetch_objects(source: Source, out: Path, *, pause_seconds: float, client: Any = None) -> None:
    """Write the `download` artefact: the objects that the address names, below `objects/`, and their generations.

    `gs://BUCKET/NAME` is an object, or a folder with all below it; `*`, `?`, `[...]` and `**` make it a glob. Objects whose name is hidden
    (a part begins with a dot) or ends in a slash are left out. What has arrived lies in `OUT.partial/` until all is whole.

    Raises:
        UserError: there is no such object, no permission, or the connection breaks `ATTEMPTS` times without progress.
    """
    bucket, _, name = source.from_.removeprefix("gs://").partition("/")
    if not bucket:
        raise UserError(f"sources: {source.name}: '{source.from_}' names no bucket; write gs://BUCKET/NAME")
    with _readable(source, source.from_):
        found = _listed((client or storage.Client(project=None)).bucket(bucket), name)
    if not found:
        raise UserError(f"sources: {source.name}: no object at {source.from_}; check the address")
    if source.sha256 and len(found) > 1:
        raise UserError(f"sources: {source.name}: sha256 is for one file, but {source.from_} names {len(found)} objects; set it to null")
    _check_names(source, list(found))
    logging.info("%s: %d objects, %.1f MB", source.from_, len(found), sum(blob.size for blob in found.values()) / 1e6)
    partial = out.parent / f"{out.name}.partial"
    partial.mkdir(parents=True, exist_ok=True)
    arrived = {}
    for below, blob in found.items():
        # Another generation has another file: what has arrived of an object that changed is never gone on with.
        arrived[below] = partial / f"{hashlib.sha256(blob.name.encode()).hexdigest()[:32]}-{blob.generation}"
        _fetch(source, blob, arrived[below], pause_seconds)
        check_digest(source, arrived[below], partial, source.from_)
    generations = {below: blob.generation for below, blob in found.items()}
    settings = {"from": source.from_, "sha256": source.sha256, "licence": source.licence, "generations": generations}
    with artifacts.writing(out, "download", settings=settings) as writer:
        for below, data in arrived.items():
            shutil.move(data, writer.path("objects", *below.split("/")))
        writer.counts["bytes"] = sum(blob.size for blob in found.values())
    shutil.rmtree(partial)


def _listed(bucket: Any, name: str) -> dict[str, Any]:
    """The objects by their name below the folder that is asked for, sorted."""
    wild = _WILD.search(name)
    prefix = name[: wild.start()] if wild else name.rstrip("/")
    blobs = list(bucket.list_blobs(prefix=prefix or None, fields="items(name,size,crc32c,generation),nextPageToken"))
    exact = next((blob for blob in blobs if blob.name == name), None)
    if exact is not None and not name.endswith("/"):
        return {PurePosixPath(name).name: exact}
    folder = prefix[: prefix.rfind("/") + 1] if wild else f"{prefix}/" if prefix else ""
    fits = matcher(name if wild else f"{folder}**")
    found = {blob.name.removeprefix(folder): blob for blob in blobs if fits.fullmatch(blob.name) and not blob.name.endswith("/")}
    return {below: found[below] for below in sorted(found) if not any(part.startswith(".") for part in below.split("/"))}


def _check_names(source: Source, names: list[str]) -> None:
    """Names of objects are any text; those of files are not."""
    folders = {str(parent) for name in names for parent in PurePosixPath(name).parents}
    for name in names:
        wrong = name in folders or "" in name.split("/") or "\0" in name or any(len(part.encode()) > 255 for part in name.split("/"))
        if wrong:
            raise UserError(
                f"sources: {source.name}: the object {name} cannot be a file beside the others (empty or too long part of its name, or an "
                "object and a folder of one name); name the objects by a glob that leaves it out"
            )


def _fetch(source: Source, blob: Any, data: Path, pause_seconds: float) -> None:
    place = f"gs://{blob.bucket.name}/{blob.name}"
    with _readable(source, place):
        for last in (False, True):
            persist(lambda: _attempt(blob, data), data, f"sources: {source.name}: {place}", pause_seconds)
            if _crc32c(data) == blob.crc32c:
                return
            data.unlink()
            if last:
                raise UserError(f"{place}: its bytes do not match their CRC32C {blob.crc32c}, twice; nothing of it is kept, run again")
            logging.warning("%s: what arrived does not match its CRC32C; fetching it anew", place)


def _attempt(blob: Any, data: Path) -> None:
    """Add what is missing of the object to the file."""
    data.touch()
    have = data.stat().st_size
    if have > blob.size:
        data.unlink()
        raise Broken("more bytes are there than the object has")
    if have == blob.size:
        return
    try:
        with data.open("ab") as stream:
            # Raw: the bytes that CRC32C is of, also where the object says that it is compressed. Our own checks and attempts: the
            # client's would begin anew.
            blob.download_to_file(
                stream, start=have or None, raw_download=True, if_generation_match=blob.generation, checksum=None, retry=None, timeout=60
            )
            stream.flush()
            os.fsync(stream.fileno())
    except (exceptions.PreconditionFailed, exceptions.NotFound):
        raise UserError(f"gs://{blob.bucket.name}/{blob.name}: it changed while it was being fetched; run again") from None
    except (*_PASSING, requests.RequestException, urllib3.exceptions.HTTPError, ConnectionError) as error:
        raise Broken(f"the connection broke ({type(error).__name__})") from None
    if data.stat().st_size != blob.size:
        raise Broken(f"{data.stat().st_size} of {blob.size} bytes arrived")


def _crc32c(path: Path) -> str:
    """As Cloud Storage writes it: base64 of the big-endian bytes."""
    checksum = google_crc32c.Checksum()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            checksum.update(chunk)
    return base64.b64encode(checksum.digest()).decode()


def _readable(source: Source, place: str) -> AbstractContextManager[None]:
    return readable(
        place, check=f"the address of the source {source.name}", needs="storage.objects.get and list", kept="what arrived stays"
    )
