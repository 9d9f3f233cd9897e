"""Fetch a source over http(s):// or from gs://, going on where a broken download stopped, and check it.

The bytes that have arrived stay in a file, so that another run goes on with them too; neither urllib nor the
client of Cloud Storage does that. Attempts are tenacity's. From gs:// it never met the real service
(docs/checked.md).
"""

from __future__ import annotations

import functools
import hashlib
import http.client
import json
import logging
import shutil
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential

from mobilebert.errors import PassingError, UserError
from mobilebert.settings import Source
from mobilebert.storage import artifacts
from mobilebert.storage.atomic import canonical_json, sync, write_atomically
from mobilebert.storage.objects import Stored
from mobilebert.storage.paths import WILD, matcher

if TYPE_CHECKING:
    from mobilebert.storage.bucket import BucketStorage

ATTEMPTS = 5
TIMEOUT_SECONDS = 60
_CHUNK = 1 << 20
_PASSING = {408, 425, 429, 500, 502, 503, 504}  # answers that a later attempt may not get


def fetch_source(source: Source, out: Path, *, pause_seconds: float = 2.0) -> None:
    """Write the `download` artifact of a source: one file, or all objects that a gs:// address means.

    A file gets the name that its address gives. `gs://BUCKET/NAME` is an object, or a folder with all below
    it; `*`, `?`, `[...]` and `**` make it a glob. Objects come below `objects/`, those of hidden names (a
    segment begins with a dot) left out. What has arrived lies in `OUT.partial/` beside the artifact until it
    is whole, so that a broken connection or a killed run loses nothing; it is used only if the source is
    still the same (ETag or Last-Modified; the object's generation).

    Raises:
        UserError: the address is wrong, the server refuses, the digest is not `source.sha256`, or the
        connection breaks `ATTEMPTS` times without progress.
    """
    partial = out.parent / f"{out.name}.partial"
    arrived, more = (_fetch_objects if source.from_.startswith("gs://") else _fetch_file)(
        source, partial, pause_seconds
    )
    settings = {"sources": [described(source)]} | more
    with artifacts.writing(out, "download", settings=settings) as writer:
        writer.counts["bytes"] = sum(data.stat().st_size for data in arrived.values())
        for name, data in arrived.items():
            shutil.move(data, writer.path(*name.split("/")))
    shutil.rmtree(partial)


def shown(source: Source) -> dict[str, Any]:
    """A source as manifests and reports show it: without what is secret in its address."""
    return source.model_dump(mode="json", by_alias=True) | {"from": public_address(source.from_)}


def described(source: Source) -> dict[str, Any]:
    """What decides on the bytes of a fetched source, without what is secret in its address."""
    return {"name": source.name, "from": public_address(source.from_), "sha256": source.sha256}


def _fetch_file(
    source: Source, partial: Path, pause_seconds: float
) -> tuple[dict[str, Path], dict[str, Any]]:
    """The file, by its name in the artifact; nothing more to record."""
    address = source.from_
    if not address.startswith(("https://", "http://")):
        raise UserError(f"sources: {source.name}: {address} is no https:// or gs:// address")
    partial.mkdir(parents=True, exist_ok=True)
    data = partial / "data"
    _persist(
        lambda: _attempt(address, data, partial / "state.json"),
        data,
        f"sources: {source.name}: {public_address(address)}",
        pause_seconds,
    )
    _check_digest(source, data, public_address(address))
    return {_name(address): data}, {}


def _fetch_objects(
    source: Source, partial: Path, pause_seconds: float
) -> tuple[dict[str, Path], dict[str, Any]]:
    """The objects, by their names in the artifact; their generations by the names below what is asked for."""
    from mobilebert.storage.bucket import BucketStorage  # the client takes a second to import

    bucket, _, name = source.from_.removeprefix("gs://").partition("/")
    setting = f"the address of the source {source.name}"
    storage = BucketStorage(
        f"gs://{bucket}", setting=setting, needs="storage.objects.get and list", kept="what arrived stays"
    )
    objects = _list(storage, name)
    if not objects:
        raise UserError(f"sources: {source.name}: no object at {source.from_}; check the address")
    if source.sha256 and len(objects) > 1:
        raise UserError(
            f"sources: {source.name}: sha256 is for one file, but {source.from_} names {len(objects)} "
            f"objects; set it to null"
        )
    _check_names(source, objects)
    logging.info(
        "%s: %d objects, %.1f MB",
        source.from_,
        len(objects),
        sum(stored.size for _, stored in objects.values()) / 1e6,
    )
    partial.mkdir(parents=True, exist_ok=True)
    arrived = {}
    for below, (full, stored) in objects.items():
        # Another generation has another file: what has arrived of an object that changed is never gone on
        # with.
        data = partial / f"{hashlib.sha256(full.encode()).hexdigest()[:32]}-{stored.generation}"
        _persist(
            functools.partial(storage.fetch_rest, full, stored, data),
            data,
            f"sources: {source.name}",
            pause_seconds,
        )
        _check_digest(source, data, source.from_)
        arrived[f"objects/{below}"] = data
    return arrived, {"generations": {below: stored.generation for below, (_, stored) in objects.items()}}


def _list(storage: BucketStorage, name: str) -> dict[str, tuple[str, Stored]]:
    """The objects that a name, folder or glob means, sorted: name below that folder -> full name, object."""
    wild = WILD.search(name)
    prefix = name[: wild.start()] if wild else name.rstrip("/")
    objects = storage.list(prefix)
    if name in objects and not name.endswith("/"):
        return {PurePosixPath(name).name: (name, objects[name])}
    folder = prefix[: prefix.rfind("/") + 1] if wild else f"{prefix}/" if prefix else ""
    fits = matcher(name if wild else f"{folder}**")
    chosen = {
        full.removeprefix(folder): full
        for full in sorted(objects)
        if fits.fullmatch(full) and not full.endswith("/")
    }
    return {
        below: (full, objects[full])
        for below, full in chosen.items()
        if not any(segment.startswith(".") for segment in below.split("/"))
    }


def _check_names(source: Source, names: Iterable[str]) -> None:
    """Names of objects are any text; those of files are not."""
    folders = {str(parent) for name in names for parent in PurePosixPath(name).parents}
    for name in names:
        segments = name.split("/")
        if (
            name in folders
            or "" in segments
            or "\0" in name
            or any(len(segment.encode()) > 255 for segment in segments)
        ):
            raise UserError(
                f"sources: {source.name}: the object {name} cannot be a file beside the others (empty or "
                "too long segment of its name, or an object and a folder of one name); name the objects by "
                "a glob that leaves it out"
            )


def _persist(attempt: Callable[[], None], data: Path, what: str, pause_seconds: float) -> None:
    """Call `attempt`, which adds to `data`, until it returns; `ATTEMPTS` without a new byte are an error."""
    sizes = [_size(data)]

    def stuck(_: RetryCallState) -> bool:
        sizes.append(_size(data))
        return len(sizes) > ATTEMPTS and sizes[-1] <= sizes[-1 - ATTEMPTS]

    def warn(state: RetryCallState) -> None:
        error = state.outcome and state.outcome.exception()
        logging.warning("%s: %s; going on after %d bytes", what, error, sizes[-1])

    wait = wait_exponential(pause_seconds, max=32 * pause_seconds)
    retry = retry_if_exception_type(PassingError)
    try:
        Retrying(stop=stuck, wait=wait, retry=retry, before_sleep=warn, reraise=True)(attempt)
    except PassingError as error:
        raise PassingError(
            f"{what}: {error}; {sizes[-1]} bytes are kept, run again to go on from there"
        ) from None


def _attempt(address: str, data: Path, state: Path) -> None:
    """Ask for what is missing and add it to `data`; returns when the file is whole."""
    known = _state(state, address) if data.exists() else {}
    have = data.stat().st_size if known else 0
    headers = {"Accept-Encoding": "identity", "User-Agent": "mobilebert-zh"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": known["validator"]}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(address, headers=headers), timeout=TIMEOUT_SECONDS
        ) as answer:
            resumed = answer.status == 206
            if resumed and not answer.headers.get("Content-Range", "").replace(" ", "").startswith(
                f"bytes{have}-"
            ):
                raise PassingError("the server sent another range than was asked for")
            validator = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
            # A weak ETag may stand for other bytes: without a strong validator a broken download starts anew.
            body = {"address": address, "validator": "" if validator.startswith("W/") else validator}
            write_atomically(state, canonical_json(body))
            _receive(answer, data, have if resumed else 0)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # the file is not longer than what is here: it changed
            data.unlink(missing_ok=True)
            raise PassingError("the file on the server has changed") from None
        if error.code in _PASSING:
            raise PassingError(f"the server answered {error.code} {error.reason}") from None
        raise UserError(
            f"{public_address(address)}: the server answered {error.code} {error.reason}; check the address"
        ) from None
    except urllib.error.URLError as error:
        raise PassingError(f"no connection ({error.reason})") from None
    except (OSError, http.client.HTTPException) as error:
        raise PassingError(f"the connection broke ({type(error).__name__}: {error})") from None


def _receive(answer: Any, data: Path, start: int) -> None:
    with data.open("r+b" if start else "wb") as stream:
        stream.truncate(start)
        stream.seek(start)
        shutil.copyfileobj(answer, stream, _CHUNK)
    sync(data)
    if answer.length:  # what is left of Content-Length
        raise PassingError(f"the connection ended {answer.length} bytes before the end")


def _state(path: Path, address: str) -> dict[str, str]:
    """What is known of the partial file; empty if it cannot be gone on with."""
    try:
        known = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return known if known.get("address") == address and known.get("validator") else {}


def _check_digest(source: Source, data: Path, shown: str) -> None:
    """Compare with `source.sha256`, if there is one; other bytes are not kept."""
    if source.sha256 is None:
        return
    digest = artifacts.sha256(data)
    if digest != source.sha256.lower():
        shutil.rmtree(data.parent)
        raise UserError(
            f"sources: {source.name}: {shown} has SHA-256 {digest}, expected {source.sha256}; correct "
            f"sha256, or the address"
        )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _name(address: str) -> str:
    """The file's own name, from the address."""
    name = urllib.parse.unquote(urllib.parse.urlsplit(address).path).rsplit("/", 1)[-1].replace("\0", "")
    return name if name not in {"", ".", "..", artifacts.MANIFEST} else "download"


def public_address(address: str) -> str:
    """The address without what may be secret: user, password, query."""
    if not address.startswith(("https://", "http://")):
        return address  # a glob may have a question mark
    split = urllib.parse.urlsplit(address)
    return urllib.parse.urlunsplit((split.scheme, split.netloc.rpartition("@")[2], split.path, "", ""))
