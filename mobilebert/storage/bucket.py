"""Cloud Storage: resumable uploads, CRC32C checked by both ends, and no object ever replaced unseen.

`if_generation_match` makes the service refuse (412) to write over an object of another generation (0: over
any live one), so two writers cannot mix. A 412 may also be the answer to our own retry after a lost answer;
the caller compares the live object, then it knows. Works with google-cloud-storage 3.x (locked) and 2.19
(what the Google Batch plugin asks for).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import requests
import urllib3
from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError
from google.cloud import storage

from mobilebert.errors import AbsentError, CorruptedError, PassingError, UserError
from mobilebert.settings.buckets import check_bucket
from mobilebert.storage.atomic import sync
from mobilebert.storage.objects import Digester, Payload, Stored, Writable

try:
    from google.cloud.storage.exceptions import DataCorruption
except ImportError:  # 2.x
    from google.resumable_media import DataCorruption

TIMEOUT_SECONDS = 60  # without a byte
CHUNK = 16 << 20  # bytes a resumable request, kept in memory; a broken connection costs at most one
RESUMABLE = 8 << 20  # bytes from which the client uploads resumably
FIELDS = "name,size,crc32c,generation"
CONTENT_TYPES = {
    ".json": "application/json",
    ".md": "text/markdown; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
}


class BucketStorage:
    """`gs://bucket/prefix` as Storage."""

    def __init__(
        self,
        where: str,
        *,
        setting: str = "publish.to",
        needs: str = "storage.objects.create, get, list and delete",
        kept: str = "what was uploaded stays, run again",
        chunk: int = CHUNK,
    ) -> None:
        """Take the application default credentials; with STORAGE_EMULATOR_HOST set the client is anonymous.

        Args:
            where: `gs://bucket/prefix`.
            setting: which setting says so, for messages.
            needs: permissions that the account must have, for messages.
            kept: what is not lost when the service fails, for messages.
            chunk: bytes a resumable request.
        """
        bucket, _, prefix = where.removeprefix("gs://").rstrip("/").partition("/")
        self.where = where.rstrip("/")
        try:
            check_bucket(where)
        except ValueError as error:
            raise UserError(f"{setting}: '{where}': {error}") from None
        self._setting, self._needs, self._kept = setting, needs, kept
        with self._readable(self.where):
            # No operation here belongs to a project, so none is asked for.
            self._bucket = storage.Client(project=None).bucket(bucket)
        self._prefix = f"{prefix}/" if prefix else ""
        self._chunk = chunk

    def list(self, prefix: str) -> dict[str, Stored]:
        """Every live object below."""
        with self._readable(f"{self.where}/{prefix}"):
            blobs = list(
                self._bucket.list_blobs(prefix=self._prefix + prefix, fields=f"items({FIELDS}),nextPageToken")
            )
        return {
            blob.name.removeprefix(self._prefix): Stored(blob.size, blob.crc32c, int(blob.generation))
            for blob in blobs
        }

    def create(self, name: str, payload: Payload) -> bool:
        """Upload if nothing lives under that name; in chunks, with the client's retries, if it is large."""
        blob = self._bucket.blob(
            self._prefix + name, chunk_size=self._chunk if payload.size > RESUMABLE else None
        )
        content_type = CONTENT_TYPES.get(name[name.rfind(".") :], "application/octet-stream")
        with self._readable(f"{self.where}/{name}"), payload.open() as stream:
            try:
                blob.upload_from_file(
                    stream,
                    size=payload.size,
                    content_type=content_type,
                    if_generation_match=0,
                    checksum="crc32c",
                )
            except exceptions.PreconditionFailed:
                return False
            if not payload.same(Stored(blob.size, blob.crc32c)):
                blob.delete(if_generation_match=blob.generation)
                raise UserError(
                    f"{name}: the file changed while it was being published; publish again when nothing "
                    f"writes to it"
                )
        return True

    def fetch(self, name: str, stream: Writable) -> None:
        """Download; the client goes on from where a broken connection left off, and checks CRC32C."""
        with self._readable(f"{self.where}/{name}"):
            self._bucket.blob(self._prefix + name).download_to_file(stream, checksum="crc32c")

    def fetch_rest(self, name: str, stored: Stored, path: Path) -> None:
        """Add to a file, perhaps of an earlier run, what it lacks of that generation of the object.

        The client's own retries go on within one call only, and for two minutes: too short for gigabytes over
        a line that breaks.

        Raises:
            PassingError: the connection broke, and what has arrived is in the file; or the whole is not what
                its CRC32C says, and the file is removed.
            UserError: that generation is gone.
        """
        where = f"{self.where}/{name}"
        with self._readable(where), path.open("ab") as stream:
            try:
                if stream.tell() < stored.size:
                    # Raw: the bytes that CRC32C is of, also where the object says that it is compressed.
                    self._bucket.blob(self._prefix + name).download_to_file(
                        stream,
                        start=stream.tell() or None,
                        raw_download=True,
                        if_generation_match=stored.generation,
                        checksum=None,
                        retry=None,
                        timeout=TIMEOUT_SECONDS,
                    )
            except (exceptions.PreconditionFailed, exceptions.NotFound):
                raise UserError(f"{where}: it changed while it was being fetched; run again") from None
        sync(path)
        with path.open("rb") as stream:
            arrived = Digester.of(stream)
        if arrived.size < stored.size:
            raise PassingError(f"{where}: {arrived.size} of {stored.size} bytes arrived")
        if (arrived.size, arrived.crc32c) != (stored.size, stored.crc32c):
            path.unlink()
            raise CorruptedError(f"{where}: its bytes do not match their CRC32C {stored.crc32c}")

    def tidy(self, prefix: str) -> None:
        """Nothing to do: unfinished uploads are invisible and the service drops them."""

    def details(self, prefix: str) -> dict[str, tuple[int, datetime]]:
        """Size of each live object below, and when it was written by the service's clock."""
        with self._readable(f"{self.where}/{prefix}"):
            blobs = list(
                self._bucket.list_blobs(
                    prefix=self._prefix + prefix, fields="items(name,size,updated),nextPageToken"
                )
            )
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
        """Write a small object over that generation (0: none); its own, or None if another one lives."""
        blob = self._bucket.blob(self._prefix + name)
        with self._readable(f"{self.where}/{name}"):
            try:
                blob.upload_from_string(
                    data, content_type="application/json", if_generation_match=generation, checksum="crc32c"
                )
            except exceptions.PreconditionFailed:
                return None
        return int(blob.generation)

    def delete(self, name: str, generation: int | None = None) -> None:
        """Remove an object (only that generation of it), if it is there."""
        blob = self._bucket.blob(self._prefix + name)
        with (
            self._readable(f"{self.where}/{name}"),
            suppress(exceptions.NotFound, exceptions.PreconditionFailed),
        ):
            blob.delete(if_generation_match=generation)

    @contextmanager
    def _readable(self, where: str) -> Iterator[None]:
        """Turn the client's errors into a line; it has retried what is worth retrying."""
        try:
            yield
        except exceptions.NotFound as error:
            raise AbsentError(
                f"{where}: not there ({error.message}); check {self._setting}, and that the bucket exists"
            ) from None
        except (exceptions.Forbidden, exceptions.Unauthorized) as error:
            raise UserError(
                f"{where}: not allowed ({error.message}); the account needs {self._needs}"
            ) from None
        except GoogleAuthError as error:
            raise UserError(
                f"{where}: no credentials ({error}); run `gcloud auth application-default login`"
            ) from None
        except DataCorruption as error:
            raise CorruptedError(
                f"{where}: its bytes do not match their CRC32C ({str(error).splitlines()[0]}); run again"
            ) from None
        except (
            exceptions.GoogleAPIError,
            requests.RequestException,
            urllib3.exceptions.HTTPError,
            ConnectionError,
        ) as error:
            raise PassingError(
                f"{where}: Cloud Storage did not answer as it should ({error}); {self._kept}"
            ) from None
