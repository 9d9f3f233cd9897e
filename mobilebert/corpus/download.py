"""Fetch a source over https:// (or http://) or from gs://, going on where a broken download stopped, and check it."""

from __future__ import annotations

import http.client
import json
import logging
import os
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mobilebert.errors import PassingError, UserError
from mobilebert.settings import Source
from mobilebert.storage import artifacts

ATTEMPTS = 5
TIMEOUT_SECONDS = 60
_CHUNK = 1 << 20
_PASSING = {408, 425, 429, 500, 502, 503, 504}  # answers that a later attempt may not get


class Broken(Exception):
    """An attempt that failed in a way that the next one may not."""


def fetch_source(source: Source, out: Path, *, pause_seconds: float = 2.0) -> None:
    """Write the `download` artefact of a source: the file under the name that its address gives; of a bucket, all objects.

    What has arrived lies in `OUT.partial/` beside the artefact until it is whole, so that a broken connection or a killed run loses
    nothing. The rest is asked for only if the server says that the file is still the same (ETag or Last-Modified).

    Raises:
        UserError: the address is wrong, the server refuses, the digest is not `source.sha256`, or the connection breaks `ATTEMPTS` times
        without progress.
    """
    address = source.from_
    if address.startswith("gs://"):
        from mobilebert.corpus.bucket import fetch_objects  # the client takes a second to import

        return fetch_objects(source, out, pause_seconds=pause_seconds)
    if not address.startswith(("https://", "http://")):
        raise UserError(f"sources: {source.name}: {address} is no https:// or gs:// address")
    partial = out.parent / f"{out.name}.partial"
    partial.mkdir(parents=True, exist_ok=True)
    data, state = partial / "data", partial / "state.json"
    persist(lambda: _attempt(address, data, state), data, f"sources: {source.name}: {_public(address)}", pause_seconds)
    check_digest(source, data, partial, _public(address))
    settings = {"from": _public(address), "sha256": source.sha256, "licence": source.licence}
    with artifacts.writing(out, "download", settings=settings) as writer:
        shutil.move(data, writer.path(_name(address)))
        writer.counts["bytes"] = writer.path(_name(address)).stat().st_size
    shutil.rmtree(partial)


def persist(attempt: Callable[[], None], data: Path, what: str, pause_seconds: float) -> None:
    """Call `attempt`, which adds to the file `data`, until it is done; `ATTEMPTS` times in a row without progress are an error."""
    failures = 0
    while True:
        before = data.stat().st_size if data.exists() else 0
        try:
            return attempt()
        except Broken as error:
            arrived = data.stat().st_size if data.exists() else 0
            failures = 0 if arrived > before else failures + 1
            if failures >= ATTEMPTS:
                raise PassingError(f"{what}: {error}; {arrived} bytes are kept, run again to go on from there") from None
            logging.warning("%s: %s; going on after %d bytes", what, error, arrived)
            time.sleep(pause_seconds * 2 ** min(failures, 5))


def _attempt(address: str, data: Path, state: Path) -> None:
    """Ask for what is missing and add it to `data`; returns when the file is whole."""
    known = _state(state, address) if data.exists() else {}
    have = data.stat().st_size if known else 0
    headers = {"Accept-Encoding": "identity", "User-Agent": "mobilebert-zh"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": known["validator"]}
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=TIMEOUT_SECONDS) as answer:
            resumed = answer.status == 206 and _begins_at(answer.headers.get("Content-Range", ""), have)
            if answer.status == 206 and not resumed:
                raise Broken("the server sent another range than was asked for")
            validator = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
            # A weak ETag may stand for other bytes: without a strong validator a broken download starts anew.
            artifacts.write_atomically(
                state, json.dumps({"address": address, "validator": "" if validator.startswith("W/") else validator}).encode()
            )
            length = answer.headers.get("Content-Length")
            _receive(answer, data, have if resumed else 0, int(length) if length else None)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # the file is not longer than what we have: it changed, or its end was lost before the check
            data.unlink(missing_ok=True)
            raise Broken("the file on the server has changed") from None
        if error.code in _PASSING:
            raise Broken(f"the server answered {error.code} {error.reason}") from None
        raise UserError(f"{_public(address)}: the server answered {error.code} {error.reason}; check the address") from None
    except urllib.error.URLError as error:
        raise Broken(f"no connection ({error.reason})") from None
    except (OSError, http.client.HTTPException) as error:
        raise Broken(f"the connection broke ({type(error).__name__}: {error})") from None


def _receive(answer: Any, data: Path, start: int, length: int | None) -> None:
    received = 0
    with data.open("r+b" if start else "wb") as stream:
        stream.seek(start)
        stream.truncate()
        while chunk := answer.read(_CHUNK):
            stream.write(chunk)
            received += len(chunk)
        stream.flush()
        os.fsync(stream.fileno())
    if length is not None and received < length:
        raise Broken(f"the connection ended after {received} of {length} bytes")


def _state(path: Path, address: str) -> dict[str, str]:
    """What is known of the partial file; empty if it cannot be gone on with."""
    try:
        known = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return known if known.get("address") == address and known.get("validator") else {}


def _begins_at(content_range: str, start: int) -> bool:
    return content_range.replace(" ", "").startswith(f"bytes{start}-")


def check_digest(source: Source, data: Path, partial: Path, shown: str) -> None:
    """Compare with `source.sha256`, if it is given; other bytes are not kept."""
    if source.sha256 is None:
        return
    found = artifacts.sha256(data)
    if found != source.sha256.lower():
        shutil.rmtree(partial)
        raise UserError(f"sources: {source.name}: {shown} has SHA-256 {found}, expected {source.sha256}; correct sha256, or the address")


def _name(address: str) -> str:
    """The file's own name, from the address."""
    name = urllib.parse.unquote(urllib.parse.urlsplit(address).path).rsplit("/", 1)[-1].replace("\0", "")
    return name if name not in {"", ".", "..", artifacts.MANIFEST} else "download"


def _public(address: str) -> str:
    """The address without what may be secret: user, password, query."""
    parts = urllib.parse.urlsplit(address)
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
