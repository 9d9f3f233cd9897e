"""Cloud Storage: resumable uploads, CRC32C checked by both ends, and no object ever replaced unseen.

`if_generation_match` makes the service refuse (412) to write over an object of another generation (0: over any live one), so two
writers cannot mix. A 412 may also be the answer to our own retry after a lost answer; the caller compares the live object, then it knows.
Works with google-cloud-storage 3.x (locked) and 2.19 (what the Google Batch plugin asks for).
"""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress
from datetime import datetime
from typing import Any

from google.api_core import exceptions
from google.cloud import storage

from mobilebert.cloudstorage import readable
from mobilebert.errors import UserError
from mobilebert.storage import Payload, Stored, Writable

CHUNK = 16 << 20  # bytes a resumable request; a broken connection costs at most one (the client keeps one in memory)
RESUMABLE = 8 << 20  # bytes from which the client uploads resumably
CONTENT_TYPES = {".json": "application/json", ".md": "text/markdown; charset=utf-8", ".txt": "text/plain; charset=utf-8"}


class BucketStorage:
    """`gs://bucket/prefix` as Storage."""

    def __init__(self, where: str, *, setting: str = "publish.to", client: Any = None, chunk: int = CHUNK) -> None:
        """Credentials are the application default ones; with STORAGE_EMULATOR_HOST set the client is anonymous.

        Args:
            where: `gs://bucket/prefix`.
            setting: which setting says so, for messages.
            client: of another kind than the default one.
            chunk: bytes a resumable request.
        """
        bucket, _, prefix = where.removeprefix("gs://").rstrip("/").partition("/")
        self.where = where.rstrip("/")
        if not bucket:
            raise UserError(f"{setting}: '{where}' names no bucket; expected gs://bucket/prefix")
        self._setting = setting
        with self._readable(self.where):
            # No operation here belongs to a project, so none is asked for.
            self._bucket = (client or storage.Client(project=None)).bucket(bucket)
        self._prefix = f"{prefix}/" if prefix else ""
        self._chunk = chunk

    def list(self, prefix: str) -> dict[str, Stored]:
        """Every live object below."""
        with self._readable(f"{self.where}/{prefix}"):
            blobs = list(self._bucket.list_blobs(prefix=self._prefix + prefix, fields="items(name,size,crc32c),nextPageToken"))
        return {blob.name.removeprefix(self._prefix): Stored(blob.size, blob.crc32c) for blob in blobs}

    def create(self, name: str, payload: Payload) -> bool:
        """Upload if nothing lives under that name; in chunks, with the client's retries, if it is large."""
        blob = self._bucket.blob(self._prefix + name, chunk_size=self._chunk if payload.size > RESUMABLE else None)
        content_type = CONTENT_TYPES.get(name[name.rfind(".") :], "application/octet-stream")
        with self._readable(f"{self.where}/{name}"), payload.open() as stream:
            try:
                blob.upload_from_file(stream, size=payload.size, content_type=content_type, if_generation_match=0, checksum="crc32c")
            except exceptions.PreconditionFailed:
                return False
            if not payload.same(Stored(blob.size, blob.crc32c)):
                blob.delete(if_generation_match=blob.generation)
                raise UserError(f"{name}: the file changed while it was being published; publish again when nothing writes to it")
        return True

    def fetch(self, name: str, stream: Writable) -> None:
        """Download; the client goes on from where a broken connection left off, and checks CRC32C."""
        with self._readable(f"{self.where}/{name}"):
            self._bucket.blob(self._prefix + name).download_to_file(stream, checksum="crc32c")

    def tidy(self, prefix: str) -> None:
        """Nothing to do: unfinished uploads are invisible and the service drops them."""

    def details(self, prefix: str) -> dict[str, tuple[int, datetime]]:
        """Size of each live object below, and when it was written by the service's clock."""
        with self._readable(f"{self.where}/{prefix}"):
            blobs = list(self._bucket.list_blobs(prefix=self._prefix + prefix, fields="items(name,size,updated),nextPageToken"))
        return {blob.name.removeprefix(self._prefix): (blob.size, blob.updated) for blob in blobs}

    def read(self, name: str) -> tuple[bytes, int] | None:
        """The bytes of a small object and its generation; None if there is none."""
        blob = self._bucket.blob(self._prefix + name)
        with self._readable(f"{self.where}/{name}"):
            try:
                data = blob.download_as_bytes(checksum="crc32c")
            except exceptions.NotFound:
                return None
        return data, int(blob.generation)  # the answer's headers say of which generation the bytes are

    def replace(self, name: str, data: bytes, generation: int) -> int | None:
        """Write a small object over that generation (0: where none lives); its own generation, or None if another one lives."""
        blob = self._bucket.blob(self._prefix + name)
        with self._readable(f"{self.where}/{name}"):
            try:
                blob.upload_from_string(data, content_type="application/json", if_generation_match=generation, checksum="crc32c")
            except exceptions.PreconditionFailed:
                return None
        return int(blob.generation)

    def delete(self, name: str, generation: int | None = None) -> None:
        """Remove an object (only that generation of it), if it is there."""
        blob = self._bucket.blob(self._prefix + name)
        with self._readable(f"{self.where}/{name}"), suppress(exceptions.NotFound, exceptions.PreconditionFailed):
            blob.delete(if_generation_match=generation)

    def _readable(self, place: str) -> AbstractContextManager[None]:
        needs = "storage.objects.create, get and list" + ("" if self._setting == "publish.to" else ", and delete")
        return readable(place, check=self._setting, needs=needs, kept="what was uploaded stays")
