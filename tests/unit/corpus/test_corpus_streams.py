"""Compressed files: whole ones are read whole, of others what comes before the damage; all that cannot be
read says why.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os

import pytest
import zstandard

from mobilebert.corpus import plan
from mobilebert.corpus.readers import streams
from mobilebert.corpus.readers.by_format import documents
from tests.unit.corpus.test_corpus_byte_lines import rows
from tests.unit.corpus.test_corpus_readers import read

COMPRESS = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("name", ["x.jsonl", "x"])
@pytest.mark.parametrize("suffix", ["", *COMPRESS])
def test_the_compression_is_known_by_name_or_content(tmp_path, name, suffix):
    path = tmp_path / (name + suffix if name == "x.jsonl" else name)
    path.write_bytes(COMPRESS.get(suffix, bytes)(b"text\n"))
    with path.open("rb") as stream:
        assert streams.compression_of(str(path), stream) == suffix
        assert stream.tell() == 0
    with streams.open_decompressed(str(path)) as stream:
        assert stream.read() == b"text\n"


@pytest.mark.parametrize("suffix", COMPRESS)
def test_compressed_files_with_several_members_are_read_whole(tmp_path, suffix):
    compress = COMPRESS[suffix]
    path = tmp_path / f"x.jsonl{suffix}"
    data = rows(60)
    path.write_bytes(compress(data[:1000]) + compress(data[1000:]))
    assert len(read(path, "jsonl", 500)) == 60


@pytest.mark.parametrize("suffix", COMPRESS)
def test_a_cut_file_gives_what_is_whole_and_then_says_why(tmp_path, suffix):
    path = tmp_path / f"x.jsonl{suffix}"
    data = "".join(json.dumps({"id": n, "text": os.urandom(30).hex()}) + "\n" for n in range(3000)).encode()
    packed = COMPRESS[suffix](data)
    path.write_bytes(packed[: len(packed) * 2 // 3])
    piece = plan.FileRange("s", 0, str(path), "jsonl", "text", path.stat().st_size)
    found: list[str] = []
    with pytest.raises(streams.Unreadable, match=r"end|EOF|truncated"):
        found.extend(each.name for each in documents(piece))
    # What the decompressor gave before the end is used, in order.
    assert len(found) > 500 or suffix == ".bz2"  # which gives blocks of 900 kB
    assert found == [str(n) for n in range(len(found))]


@pytest.mark.parametrize("name", ["x.jsonl.gz", "x.jsonl.bz2", "x.jsonl.xz", "x.jsonl.zst", "x.xml.bz2"])
def test_a_file_that_is_not_what_its_name_says_is_unreadable(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"not compressed at all" * 10)
    piece = plan.FileRange("s", 0, str(path), "mediawiki" if "xml" in name else "jsonl", "text", 210)
    with pytest.raises(streams.Unreadable):
        list(documents(piece))


def test_a_document_that_grows_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "MAX_DOCUMENT_BYTES", 100_000)
    path = tmp_path / "x.html.gz"
    path.write_bytes(gzip.compress(b"0" * 1_000_000))
    with pytest.raises(streams.Unreadable, match="over 0 MB"):
        list(documents(plan.FileRange("s", 0, str(path), "html", "text", 1)))


def test_fifos_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.txt")
    with pytest.raises(streams.Unreadable, match="not a regular file"):
        list(documents(plan.FileRange("s", 0, str(tmp_path / "x.txt"), "text", "text", 1)))
