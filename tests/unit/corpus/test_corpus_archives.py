"""Web archives: every document once at any block size, codings undone, all that is no page counted."""

from __future__ import annotations

import gzip
import zlib

import brotli
import pytest

from mobilebert.corpus import plan
from mobilebert.corpus.readers import streams
from mobilebert.corpus.readers.by_format import documents
from tests.unit.corpus.test_corpus_readers import read

PROSE = "在这个故事里，我们的主人公来到了一座没有名字的城市。他说这里的人都很好，后来他就不想走了。"


def page(number: int, encoding: str = "utf-8") -> bytes:
    body = "".join(f"<p>{PROSE}第{number}页第{part}段。</p>" for part in range(8))
    nav = "<nav><a href='/'>首页</a></nav>"
    head = "<head><meta charset='latin-1'></head>"
    return f"<html>{head}<body>{nav}<article>{body}</article></body></html>".encode(encoding)


def record(kind: str, body: bytes, name: str, media: str = "application/http; msgtype=response") -> bytes:
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: http://a.example/{name}\r\nWARC-Record-ID: "
        f"<urn:uuid:{name}>\r\n"
        f"Content-Type: {media}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body + b"\r\n\r\n"


def response(body: bytes, *headers: str, status: str = "200 OK", media: str = "text/html") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", f"Content-Type: {media}", *headers, "", ""]).encode() + body


def chunked(data: bytes, size: int = 700) -> bytes:
    parts = [data[start : start + size] for start in range(0, len(data), size)]
    return b"".join(f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in parts) + b"0\r\n\r\n"


def deflated(data: bytes, bits: int) -> bytes:
    packer = zlib.compressobj(wbits=bits)
    return packer.compress(data) + packer.flush()


def archive() -> list[bytes]:
    return [
        record("warcinfo", b"software: by hand\r\n", "info", "application/warc-fields"),
        record("request", b"GET / HTTP/1.1\r\n\r\n", "request", "application/http; msgtype=request"),
        record("response", response(page(0)), "plain"),
        record("response", response(page(1, "gb18030"), media="text/html; charset=latin-1"), "gbk"),
        record("response", response(gzip.compress(page(2)), "Content-Encoding: gzip"), "gzip"),
        record("response", response(chunked(page(3)), "Transfer-Encoding: chunked"), "chunked"),
        record(
            "response",
            response(chunked(brotli.compress(page(4))), "Transfer-Encoding: chunked", "Content-Encoding: br"),
            "br",
        ),
        record("response", response(deflated(page(5), 15), "Content-Encoding: deflate"), "deflate"),
        record("response", response(deflated(page(6), -15), "Content-Encoding: deflate"), "raw-deflate"),
        record(
            "response",
            response(page(7), "Content-Encoding: gzip", "Transfer-Encoding: chunked"),
            "headers-left-behind",
        ),
        record("resource", page(8), "resource", "text/html"),
        record("conversion", (PROSE * 3).encode(), "conversion", "text/plain"),
        record("response", response(b"\x89PNG", media="image/png"), "image"),
        record("response", response(page(0), status="404 Not Found"), "missing"),
        record("response", response(b"\x1f\x9d compress", "Content-Encoding: compress"), "unknown-coding"),
        record("response", response(b"\x1f\x8b broken", "Content-Encoding: gzip"), "broken-coding"),
        record(
            "response",
            response("한국어 텍스트입니다. 우리는 서울에 살고 있습니다.".encode("euc-kr")),
            "korean",
        ),
        record("response", response(b""), "nothing"),
        record("response", b"", "no-head"),
        record("revisit", response(b""), "revisit"),
        record("response", response(page(9)), "last"),
    ]


PAGES = [
    "plain",
    "gbk",
    "gzip",
    "chunked",
    "br",
    "deflate",
    "raw-deflate",
    "headers-left-behind",
    "resource",
    "conversion",
    "last",
]
REASONS = {
    "info": "not_a_page",
    "request": "not_a_page",
    "image": "not_a_page",
    "missing": "http_status",
    "unknown-coding": "unknown_coding",
    "broken-coding": "broken_http",
    "korean": "undecodable",
    "nothing": "empty",
    "no-head": "broken_http",
    "revisit": "not_a_page",
}


@pytest.mark.parametrize("suffix", ["", ".gz", ".one.gz", ".bz2"])
@pytest.mark.parametrize("block_bytes", [1, 500, 4000, 1 << 30])
def test_pages_of_an_archive_are_read_once_and_the_rest_is_counted(tmp_path, suffix, block_bytes):
    import bz2

    records = archive()
    path = tmp_path / f"a.warc{suffix}"
    packed = {".gz": b"".join(map(gzip.compress, records)), ".one.gz": gzip.compress(b"".join(records))}
    path.write_bytes(packed.get(suffix) or (bz2.compress if suffix else bytes)(b"".join(records)))
    found = read(path, "warc", block_bytes)
    assert [each.name for each in found if each.reason is None] == PAGES
    assert {each.name: each.reason for each in found if each.reason} == REASONS
    assert len(found) == len(records)
    for number, each in enumerate(found[2:10]):
        assert each.text.count(f"第{number}页") == 8, each.name
        assert "首页" not in each.text
    assert found[PAGES.index("conversion") + 2].text == PROSE * 3


def test_a_bomb_inside_a_page_is_counted_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "MAX_DOCUMENT_BYTES", 100_000)
    bombs = [("gzip", gzip.compress), ("br", brotli.compress), ("deflate", lambda data: deflated(data, 15))]
    path = tmp_path / "a.warc"
    records = [
        record("response", response(pack(b"0" * 5_000_000), f"Content-Encoding: {name}"), name)
        for name, pack in bombs
    ]
    records += [
        record("response", response(b"0" * 200_000), "long"),
        record("response", response(page(0)), "ok"),
    ]
    path.write_bytes(b"".join(records))
    assert [each.reason for each in read(path, "warc")] == ["oversized"] * 4 + [None]


@pytest.mark.parametrize("cut", [0.35, 0.62, 0.97])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_an_archive_that_ends_early_gives_what_is_whole_and_says_so(tmp_path, suffix, cut):
    records = [record("response", response(page(number)), f"p{number}") for number in range(10)]
    data = b"".join(map(gzip.compress, records) if suffix else records)
    path = tmp_path / f"a.warc{suffix}"
    path.write_bytes(data[: int(len(data) * cut)])
    found: list[str] = []
    with pytest.raises(streams.Unreadable, match="ends inside"):
        found.extend(
            each.name
            for each in documents(plan.FileRange("s", 0, str(path), "warc", "text", path.stat().st_size))
            if each.reason is None
        )
    assert found == [f"p{number}" for number in range(int(10 * cut))]


@pytest.mark.parametrize(
    "data", [b"no archive at all\n" * 9, b"WARC/1.0\r\nnothing", b"WARC/1.0 " + b"x" * 200_000]
)
def test_what_is_no_archive_is_unreadable(tmp_path, data, monkeypatch):
    monkeypatch.setattr(streams, "MAX_DOCUMENT_BYTES", 100_000)
    (tmp_path / "a.warc").write_bytes(data)
    with pytest.raises(streams.Unreadable):
        read(tmp_path / "a.warc", "warc")


def test_the_real_archives_give_their_pages(shared_data):
    html = read(shared_data / "corpus" / "web_sample.warc.gz", "warc", 100_000)
    text = read(shared_data / "corpus" / "web_sample.warc.wet.gz", "warc", 100_000)
    for found in (html, text):
        assert [each.reason for each in found].count(None) == 120
        assert [each.reason for each in found if each.reason] == ["not_a_page"]
    # The converted text keeps navigation and all; the main text of a page is a part of the page.
    longer = [
        len(each.text) >= len(other.text) for each, other in zip(text, html, strict=True) if not each.reason
    ]
    assert sum(longer) >= 0.9 * len(longer)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_record_that_is_longer_than_it_says_is_counted_not_cut(tmp_path, capfd, suffix):
    page = f"<html><body><article><p>{PROSE}</p><p>{PROSE}</p></article></body></html>".encode()
    records = [record("response", response(page), name) for name in ("a", "b", "c")]
    length = len(response(page))
    records[1] = records[1].replace(b"Content-Length: %d" % length, b"Content-Length: %d" % (length - 90), 1)
    path = tmp_path / f"x.warc{suffix}"
    path.write_bytes(b"".join(gzip.compress(each) if suffix else each for each in records))
    assert [found.reason for found in read(path, "warc")] == [None, "wrong_length", None]
    assert capfd.readouterr().err == ""
