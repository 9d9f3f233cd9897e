"""A loopback Google Cloud Storage for tests: the part of the JSON API that publishing needs, with
preconditions and faults.

It checks what the ready emulators do not (`ifGenerationMatch` on every kind of upload, uploaded CRC32C), and
fails on demand:

    with LoopbackGcs("bucket") as gcs:          # gcs.address is what STORAGE_EMULATOR_HOST takes
        gcs.faults.append(Fault("insert", status=503, times=2))

Written from the public JSON API reference; it never met the real service.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import google_crc32c

from tests.loopback_objects import Fault, Refused, Session, Stored

QUANTUM = 256 * 1024  # a broken chunk is kept up to a multiple of this, as the service does
PAGE = 3  # objects a listing page, so that every listing test turns pages


class LoopbackGcs:
    """The server with its buckets, faults and a log of (kind, object name)."""

    def __init__(self, *buckets: str) -> None:
        self.buckets: dict[str, dict[str, Stored]] = {bucket: {} for bucket in buckets}
        self.sessions: dict[str, Session] = {}
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str]] = []
        self.lock = threading.RLock()
        self._generation = 0
        handler = type("Handler", (_Handler,), {"gcs": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> LoopbackGcs:
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def count(self, *kinds: str) -> int:
        """How many requests of these kinds arrived."""
        return sum(kind in kinds for kind, _ in self.requests)

    def take_fault(self, kind: str, name: str) -> Fault | None:
        """Log the request and give the fault that is due for it."""
        with self.lock:
            self.requests.append((kind, name))
            for fault in self.faults:
                if fault.kind == kind and fault.met < fault.times and fault.name in (None, name):
                    fault.met += 1
                    return fault
        return None

    def bucket(self, name: str) -> dict[str, Stored]:
        if name not in self.buckets:
            raise Refused(404, "The specified bucket does not exist.")
        return self.buckets[name]

    def object(self, bucket: str, name: str) -> Stored:
        if name not in self.bucket(bucket):
            raise Refused(404, f"No such object: {bucket}/{name}")
        return self.buckets[bucket][name]

    def precondition(self, bucket: str, name: str, match: str | None) -> None:
        """`ifGenerationMatch`: 0 means that no live object may exist."""
        live = self.bucket(bucket).get(name)
        if match is not None and int(match) != (live.generation if live else 0):
            raise Refused(412, "At least one of the pre-conditions you specified did not hold.")

    def commit(
        self, bucket: str, name: str, data: bytes, match: str | None, declared: dict[str, Any]
    ) -> Stored:
        """Make an object live, unless the precondition or a declared checksum speaks against it."""
        with self.lock:
            self.precondition(bucket, name, match)
            for key, calculated in (("crc32c", crc32c(data)), ("md5Hash", md5(data))):
                if declared.get(key, calculated) != calculated:
                    raise Refused(
                        400, f"Provided {key} {declared[key]} doesn't match calculated {calculated}."
                    )
            self._generation += 1
            stored = Stored(
                bytes(data), self._generation, declared.get("contentType") or "application/octet-stream"
            )
            self.buckets[bucket][name] = stored
            return stored


def crc32c(data: bytes) -> str:
    """CRC32C as the API gives it: base64 of the big-endian bytes."""
    return base64.b64encode(google_crc32c.value(bytes(data)).to_bytes(4, "big")).decode()


def md5(data: bytes) -> str:
    """MD5 as the API gives it."""
    return base64.b64encode(hashlib.md5(bytes(data)).digest()).decode()


def resource(bucket: str, name: str, stored: Stored) -> dict[str, Any]:
    """The object resource."""
    return {
        "kind": "storage#object",
        "id": f"{bucket}/{name}/{stored.generation}",
        "name": name,
        "bucket": bucket,
        "generation": str(stored.generation),
        "metageneration": "1",
        "contentType": stored.content_type,
        "size": str(len(stored.data)),
        "crc32c": crc32c(stored.data),
        "md5Hash": md5(stored.data),
        "etag": f"etag-{stored.generation}",
        "updated": stored.updated,
        "timeCreated": "2024-01-01T00:00:00Z",
    }


class _Server(ThreadingHTTPServer):
    """Says nothing of clients that were killed in the middle of a request."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    gcs: LoopbackGcs
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer in one packet, not in two that wait for each other
    disable_nagle_algorithm = True
    fault: Fault | None
    body: bytes = b""

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        bucket, name = self._target()
        if bucket is None:
            self._serve("bucket", "", lambda: self._refuse(501, "listing buckets is not served"))
        elif name is None:
            path = urlsplit(self.path).path
            self._serve(
                "list" if path.endswith("/o") else "bucket",
                "",
                lambda: self._list(bucket) if path.endswith("/o") else self._bucket(bucket),
            )
        elif self._query("alt") == "media":
            self._serve("media", name, lambda: self._media(bucket, name))
        else:
            self._serve(
                "get", name, lambda: self._json(resource(bucket, name, self.gcs.object(bucket, name)))
            )

    def do_POST(self) -> None:
        bucket, _ = self._target()
        kind = self._query("uploadType")
        if bucket is None:
            self._serve("bucket", "", self._make_bucket)
        elif kind == "resumable":
            self._serve("start", self._name_to_insert(), lambda: self._start(bucket))
        else:
            self._serve("insert", self._name_to_insert(), lambda: self._insert(bucket, kind))

    def do_PUT(self) -> None:
        session = self.gcs.sessions[self._query("upload_id") or ""]
        kind = (
            "query"
            if self.headers["Content-Range"].startswith("bytes */")
            and not int(self.headers["Content-Length"] or 0)
            else "chunk"
        )
        self._serve(kind, session.name, lambda: self._chunk(session, kind == "query"))

    def do_DELETE(self) -> None:
        bucket, name = self._target()
        self._serve("delete", name or "", lambda: self._delete(str(bucket), str(name)))

    # --- requests

    def _serve(self, kind: str, name: str, action: Callable[[], None]) -> None:
        """Read the body, meet the fault that is due, do the work, answer."""
        self.fault = self.gcs.take_fault(kind, name)
        length = int(self.headers.get("Content-Length") or 0)
        if self.fault and self.fault.before:
            self.fault.before()
        if self.fault and self.fault.drop_at is not None:
            self.body = self.body or self.rfile.read(min(length, self.fault.drop_at))
            if kind == "chunk":
                self._keep_prefix()
            self._hang_up()
            return
        self._read_body()
        if len(self.body) < length:  # the client died while it sent: nothing becomes live
            self.body = b""
            self._hang_up()
            return
        try:
            if self.fault and self.fault.status:
                raise Refused(self.fault.status, "a fault that the test asked for")
            action()
        except Refused as refused:
            self._refuse(refused.status, str(refused))
        self.body = b""

    def _read_body(self) -> None:
        self.body = self.body or self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _target(self) -> tuple[str | None, str | None]:
        match = re.match(
            r"(?:/upload|/download|/resumable/upload)?/storage/v1/b(?:/([^/]+)(?:/o(?:/(.+))?)?)?$",
            urlsplit(self.path).path,
        )
        if not match:
            raise ValueError(f"{self.path}: not served")
        bucket, name = (unquote(segment) if segment else None for segment in match.groups())
        return bucket, name

    def _query(self, key: str) -> str | None:
        return parse_qs(urlsplit(self.path).query).get(key, [None])[0]

    def _name_to_insert(self) -> str:
        """The object's name stands in the query or in the JSON at the start of the body."""
        self._read_body()
        match = re.search(rb'"name":\s*("(?:[^"\\]|\\.)*")', self.body)
        return self._query("name") or (json.loads(match[1]) if match else "")

    def _bucket(self, bucket: str) -> None:
        self.gcs.bucket(bucket)
        self._json({"kind": "storage#bucket", "id": bucket, "name": bucket})

    def _make_bucket(self) -> None:
        name = json.loads(self.body)["name"]
        if name in self.gcs.buckets:
            raise Refused(409, "You already own this bucket.")
        self.gcs.buckets[name] = {}
        self._bucket(name)

    def _list(self, bucket: str) -> None:
        prefix, token = self._query("prefix") or "", self._query("pageToken") or ""
        names = sorted(name for name in self.gcs.bucket(bucket) if name.startswith(prefix) and name > token)
        page, rest = names[:PAGE], names[PAGE:]
        items = [resource(bucket, name, self.gcs.buckets[bucket][name]) for name in page]
        self._json(
            {"kind": "storage#objects", "items": items} | ({"nextPageToken": page[-1]} if rest else {})
        )

    def _media(self, bucket: str, name: str) -> None:
        stored = self.gcs.object(bucket, name)
        self.gcs.precondition(bucket, name, self._query("ifGenerationMatch"))
        span = re.match(r"bytes=(\d+)-(\d*)$", self.headers.get("Range") or "")
        first, last = (
            (int(span[1]), int(span[2] or len(stored.data) - 1)) if span else (0, len(stored.data) - 1)
        )
        if span and first >= len(stored.data):
            raise Refused(416, "Requested range not satisfiable")
        body = bytearray(stored.data[first : last + 1])
        if self.fault and self.fault.corrupt:
            body[len(body) // 2] ^= 1
        headers = {
            "X-Goog-Hash": f"crc32c={crc32c(stored.data)},md5={md5(stored.data)}",
            "X-Goog-Generation": str(stored.generation),
        }
        if span:
            headers["Content-Range"] = f"bytes {first}-{first + len(body) - 1}/{len(stored.data)}"
        self._answer(206 if span else 200, bytes(body), {"Content-Type": stored.content_type} | headers)

    def _insert(self, bucket: str, kind: str | None) -> None:
        if kind == "multipart":
            kind_of_body = self.headers["Content-Type"]
            boundary = re.search(r'boundary="?([^";]+)', kind_of_body)[1]  # type: ignore[index]
            _, head, rest = self.body.split(b"--" + boundary.encode(), 2)
            declared = json.loads(head.split(b"\r\n\r\n", 1)[1])
            content_head, data = rest.split(b"\r\n\r\n", 1)
            declared.setdefault("contentType", content_head.decode().split(":", 1)[1].strip())
            data = data.removesuffix(b"--" + boundary.encode() + b"--").removesuffix(b"\r\n")
        else:
            declared, data = {"contentType": self.headers.get("Content-Type")}, self.body
        name = self._query("name") or declared["name"]
        stored = self.gcs.commit(bucket, name, data, self._query("ifGenerationMatch"), declared)
        self._json(resource(bucket, name, stored))

    def _start(self, bucket: str) -> None:
        declared = json.loads(self.body or b"{}")
        name, match = self._query("name") or declared["name"], self._query("ifGenerationMatch")
        self.gcs.precondition(bucket, name, match)
        key = f"session-{len(self.gcs.sessions)}"
        self.gcs.sessions[key] = Session(bucket, name, match, declared)
        path = f"/resumable/upload/storage/v1/b/{bucket}/o?uploadType=resumable&upload_id={key}"
        self._answer(200, b"", {"Location": self.gcs.address + path})

    def _chunk(self, session: Session, query: bool) -> None:
        """Keep a chunk; bytes below what is kept already are ignored, as the service does after a broken
        connection.
        """
        total = self.headers["Content-Range"].split("/")[1]
        if session.finished is None and not query:
            self._keep(session, self.body)
        if session.finished is None and total != "*" and len(session.data) == int(total):
            hashes = dict(
                entry.strip().split("=", 1)
                for entry in (self.headers.get("X-Goog-Hash") or "").split(",")
                if entry
            )
            declared = session.declared | ({"crc32c": hashes["crc32c"]} if "crc32c" in hashes else {})
            session.finished = self.gcs.commit(
                session.bucket, session.name, bytes(session.data), session.match, declared
            )
        if session.finished is not None:
            self._json(resource(session.bucket, session.name, session.finished))
        else:
            self._answer(308, b"", {"Range": f"bytes=0-{len(session.data) - 1}"} if session.data else {})

    def _keep(self, session: Session, body: bytes) -> None:
        first = int(re.match(r"bytes (\d+)-", self.headers["Content-Range"])[1])  # type: ignore[index]
        if first > len(session.data):
            raise Refused(400, f"a chunk from {first}, but only {len(session.data)} bytes are kept")
        session.data += body[len(session.data) - first :]

    def _keep_prefix(self) -> None:
        self._keep(
            self.gcs.sessions[self._query("upload_id") or ""],
            self.body[: len(self.body) // QUANTUM * QUANTUM],
        )

    def _delete(self, bucket: str, name: str) -> None:
        with self.gcs.lock:
            self.gcs.object(bucket, name)
            self.gcs.precondition(bucket, name, self._query("ifGenerationMatch"))
            del self.gcs.buckets[bucket][name]
        self._answer(204, b"", {})

    # --- answers

    def _json(self, body: dict[str, Any]) -> None:
        self._answer(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def _refuse(self, status: int, reason: str) -> None:
        body = {"error": {"code": status, "message": reason, "errors": [{"message": reason}]}}
        self._answer(status, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        if self.fault and self.fault.lose_answer:
            self._hang_up()
            return
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.fault and self.fault.cut_at is not None:
            self.wfile.write(body[: self.fault.cut_at])
            self.wfile.flush()
            self._hang_up()
            return
        self.wfile.write(body)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)
