"""The loopback bucket with batch requests, by which Beam deletes: several requests in one multipart body."""

from __future__ import annotations

import re
from urllib.parse import unquote

from tests import loopback_gcs


class Handler(loopback_gcs._Handler):
    """Serves POST /batch/storage/v1 with DELETE requests inside; the rest as it was."""

    def do_POST(self) -> None:
        if not self.path.startswith("/batch/"):
            super().do_POST()
            return
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answers = []
        for bucket, name in re.findall(rb"DELETE \S*/b/([^/\s]+)/o/([^\s?]+)", body):
            with self.gcs.lock:
                there = self.gcs.bucket(bucket.decode()).pop(unquote(name.decode()), None)
            answers.append("HTTP/1.1 204 No Content\r\n\r\n" if there else "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}")
        parts = "".join(f"--part\r\nContent-Type: application/http\r\n\r\n{answer}\r\n" for answer in answers)
        self.fault = None
        self._answer(200, f"{parts}--part--".encode(), {"Content-Type": "multipart/mixed; boundary=part"})
