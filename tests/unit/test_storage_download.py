"""Downloads against a server on this machine that breaks, lies and changes its mind."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from mobilebert.errors import UserError
from mobilebert.settings import Source
from mobilebert.storage import artifacts, download
from mobilebert.storage.download import fetch_source

BODY = bytes(range(256)) * 4000


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        state = self.server.state  # type: ignore[attr-defined]
        state.asked.append((self.path, self.headers.get("Range"), self.headers.get("If-Range")))
        if state.statuses:
            status = state.statuses.pop(0)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        asked = self.headers.get("Range")
        start = (
            int(asked.split("=")[1].rstrip("-"))
            if asked and state.ranges and self.headers.get("If-Range") == state.etag
            else 0
        )
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(state.body) - 1}/{len(state.body)}")
        self.send_header("ETag", state.etag)
        self.send_header("Content-Length", str(len(state.body) - start))
        self.end_headers()
        end = state.breaks.pop(0) if state.breaks else len(state.body)
        self.wfile.write(state.body[start:end])
        if end < len(state.body):
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch) -> Iterator[SimpleNamespace]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        state = SimpleNamespace(body=BODY, breaks=[], statuses=[], asked=[], ranges=True, etag='"one"')
        state.address = f"http://127.0.0.1:{http.server_port}"
        http.state = state  # type: ignore[attr-defined]
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield state
        http.shutdown()
        thread.join()


def fetch(server: SimpleNamespace, out, path: str = "/%E6%96%87%20one.txt?token=secret", **more) -> None:
    fetch_source(
        Source.model_validate({"name": "s", "from": server.address + path, **more}), out, pause_seconds=0
    )


def test_a_file_is_fetched_under_its_own_name(server, tmp_path):
    fetch(server, tmp_path / "s", sha256=hashlib.sha256(BODY).hexdigest())
    assert artifacts.read(tmp_path / "s", "download").counts == {"bytes": len(BODY)}
    assert (tmp_path / "s" / "文 one.txt").read_bytes() == BODY
    assert b"secret" not in (tmp_path / "s" / "manifest.json").read_bytes()
    assert not (tmp_path / "s.partial").exists()


def test_a_broken_download_goes_on_where_it_stopped(server, tmp_path):
    server.breaks = [300_000, 700_000]
    fetch(server, tmp_path / "s")
    assert (tmp_path / "s" / "文 one.txt").read_bytes() == BODY
    assert [asked[1] for asked in server.asked] == [None, "bytes=300000-", "bytes=700000-"]


def test_a_later_run_goes_on_where_a_failed_one_stopped(server, tmp_path):
    server.breaks = [100_000] + [100_000] * 5
    server.statuses = []
    with pytest.raises(UserError, match="100000 bytes are kept"):
        fetch(server, tmp_path / "s")
    assert not artifacts.exists(tmp_path / "s")
    server.asked.clear()
    fetch(server, tmp_path / "s")
    assert [asked[1] for asked in server.asked] == ["bytes=100000-"]
    assert (tmp_path / "s" / "文 one.txt").read_bytes() == BODY


def test_a_file_that_changed_meanwhile_is_fetched_anew(server, tmp_path):
    server.breaks = [100_000] * 6
    with pytest.raises(UserError):
        fetch(server, tmp_path / "s")
    server.body, server.etag = b"new" * 100_000, '"two"'
    fetch(server, tmp_path / "s")
    assert (tmp_path / "s" / "文 one.txt").read_bytes() == server.body


def test_a_server_without_ranges_starts_over(server, tmp_path):
    server.ranges, server.breaks = False, [300_000]
    fetch(server, tmp_path / "s")
    assert (tmp_path / "s" / "文 one.txt").read_bytes() == BODY


def test_a_busy_server_is_asked_again(server, tmp_path):
    server.statuses = [503, 429]
    fetch(server, tmp_path / "s")
    assert (tmp_path / "s" / "文 one.txt").read_bytes() == BODY


def test_another_digest_is_refused_and_not_kept(server, tmp_path):
    with pytest.raises(UserError, match=f"has SHA-256 {hashlib.sha256(BODY).hexdigest()}, expected 0000"):
        fetch(server, tmp_path / "s", sha256="0" * 64)
    assert not (tmp_path / "s").exists()
    assert not (tmp_path / "s.partial").exists()


def test_a_wrong_address_says_so_at_once(server, tmp_path):
    server.statuses = [404]
    with pytest.raises(UserError, match=r"/x\.txt: the server answered 404"):
        fetch(server, tmp_path / "s", path="/x.txt?token=secret")
    assert len(server.asked) == 1


def test_manifests_show_no_secret_of_an_address() -> None:
    address = "https://me:password@a.example/text.jsonl?token=secret"
    source = Source.model_validate({"name": "s", "from": address})
    assert (
        download.shown(source)["from"] == download.described(source)["from"] == "https://a.example/text.jsonl"
    )
