"""The rule fetch_source: an address in, its file out, though the connection breaks once."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

from mobilebert.storage import artifacts


class BreaksOnce(SimpleHTTPRequestHandler):
    broken: list[bool]

    def __init__(self, *args: object, broken: list[bool], **more: object) -> None:
        self.broken = broken
        super().__init__(*args, **more)  # type: ignore[arg-type]

    def copyfile(self, source, outputfile) -> None:
        if not self.broken:
            self.broken.append(True)
            outputfile.write(source.read(10_000))
            self.close_connection = True
        else:
            super().copyfile(source, outputfile)


def test_a_file_arrives_whole(root, tmp_path):
    body = os.urandom(200_000)
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "a.txt").write_bytes(body)
    broken: list[bool] = []
    handler = functools.partial(BreaksOnce, directory=str(tmp_path / "served"), broken=broken)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        settings = json.dumps(
            {"sources": [{"name": "one", "from": f"http://127.0.0.1:{http.server_port}/a.txt"}]}
        )
        command = [
            sys.executable,
            "-m",
            "scripts.fetch_source",
            "--settings",
            settings,
            "--out",
            str(tmp_path / "one"),
        ]
        subprocess.run(command, cwd=root, check=True, env={**os.environ, "no_proxy": "127.0.0.1"})
        http.shutdown()
    assert broken
    artifacts.read(tmp_path / "one", "download")
    assert (tmp_path / "one" / "a.txt").read_bytes() == body
