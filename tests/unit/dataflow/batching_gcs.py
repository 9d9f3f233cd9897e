"""The loopback bucket with what Beam needs beside: batch requests (by which it deletes) and tokens for a
service account.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import unquote

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests import loopback_gcs


class Handler(loopback_gcs._Handler):
    """Serves POST /token, and POST /batch/storage/v1 with DELETE requests inside; the rest as it was."""

    def do_POST(self) -> None:
        if not self.path.startswith(("/batch/", "/token")):
            super().do_POST()
            return
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.fault = None
        if self.path == "/token":
            self._json({"access_token": "made up", "expires_in": 3600, "token_type": "Bearer"})
            return
        answers = []
        for bucket, name in re.findall(rb"DELETE \S*/b/([^/\s]+)/o/([^\s?]+)", body):
            with self.gcs.lock:
                there = self.gcs.bucket(bucket.decode()).pop(unquote(name.decode()), None)
            answers.append(
                "HTTP/1.1 204 No Content\r\n\r\n"
                if there
                else "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}"
            )
        parts = "".join(f"--part\r\nContent-Type: application/http\r\n\r\n{answer}\r\n" for answer in answers)
        self._answer(200, f"{parts}--part--".encode(), {"Content-Type": "multipart/mixed; boundary=part"})


def service_account(address: str, path: Path) -> None:
    """Write the key file of an account that this server knows; Beam asks for credentials whatever its
    options say.
    """
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    body = {"type": "service_account", "project_id": "test", "private_key_id": "1",
            "private_key": pem.decode(), "client_id": "1",
            "client_email": "made-up@test.invalid", "token_uri": f"{address}/token"}  # fmt: skip
    path.write_text(json.dumps(body), encoding="utf-8")
