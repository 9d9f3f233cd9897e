"""Compressed files as strangers have them: cut, damaged, hostile."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
from pathlib import Path

import pytest
import zstandard

from mobilebert.corpus.readers import streams
from tests.unit.corpus.strangers import cleaned, row
from tests.unit.corpus.test_corpus_pipeline import prose


def test_a_window_that_would_fill_the_memory_is_refused(tmp_path, folder):
    """A file says how much text its reader is to keep: `xz -9` 64 MB, `zstd --ultra -22` 128."""
    one, other = ((prose(number) + "\n").encode() for number in (1, 2))
    for name, dictionary, window in (("small", 1 << 26, 27), ("large", 1 << 27, 28)):
        filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": dictionary}]
        streams = [lzma.compress(text, filters=filters) for text in (one, other)]
        (folder / f"{name}.txt.xz").write_bytes((b"\0" * 4).join(streams))
        asked = zstandard.ZstdCompressionParameters.from_level(1, window_log=window, write_content_size=False)
        packer = zstandard.ZstdCompressor(compression_params=asked).compressobj()
        (folder / f"{name}.txt.zst").write_bytes(packer.compress(one) + packer.flush())
    funnel, documents = cleaned(tmp_path, folder)
    assert {document["text"] for document in documents} == {prose(0), prose(1), f"{prose(1)}\n{prose(2)}"}
    assert {Path(each["file"]).name for each in funnel["unreadable"] if "memory" in each["why"].lower()} == {
        "large.txt.xz",
        "large.txt.zst",
    }


PACK = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}


def test_truncated_and_multi_member_archives(tmp_path, folder):
    rows = "".join(
        row(prose(number) + os.urandom(50).hex(), id=f"d{number}") for number in range(400)
    ).encode()
    for suffix, pack in PACK.items():
        half = rows.index(b"\n", len(rows) // 2) + 1
        (folder / f"whole.jsonl{suffix}").write_bytes(pack(rows[:half]) + pack(rows[half:]))
        (folder / f"cut.jsonl{suffix}").write_bytes(pack(rows)[:-200])
        (folder / f"garbage.jsonl{suffix}").write_bytes(b"this was never compressed")
    funnel, _ = cleaned(tmp_path, folder)
    assert sorted(os.path.basename(entry["file"]) for entry in funnel["unreadable"]) == sorted(
        f"{kind}.jsonl{suffix}" for kind in ("cut", "garbage") for suffix in PACK
    )
    # Every whole file gives all its rows; the copies are duplicates.
    assert funnel["out"]["documents"] == 401
    assert funnel["reasons"]["exact_duplicate"] >= 3 * 400


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst"])
def test_a_damaged_end_of_a_good_archive_keeps_what_came_before(tmp_path, folder, suffix):
    (folder / f"a.jsonl{suffix}").write_bytes(PACK[suffix](row(prose(1)).encode()) + b"\1trailing garbage")
    funnel, documents = cleaned(tmp_path, folder)
    assert len(documents) == 2
    assert [os.path.basename(entry["file"]) for entry in funnel["unreadable"]] == [f"a.jsonl{suffix}"]


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize("line", [b"\n", b"0", b'{"text": "0"}\n'])
def test_decompression_bombs_are_named_and_cost_little(tmp_path, folder, monkeypatch, suffix, line):
    monkeypatch.setattr(streams, "FREE_BYTES", 300_000)
    monkeypatch.setattr(streams, "MAX_DOCUMENT_BYTES", 200_000)
    monkeypatch.setattr(streams, "MAX_EXPANSION", 20)
    (folder / f"bomb.jsonl{suffix}").write_bytes(PACK[suffix](line * (3_000_000 // len(line))))
    funnel, documents = cleaned(tmp_path, folder)
    assert len(documents) == 1
    (entry,) = funnel["unreadable"]
    assert "decompression bomb" in entry["why"] or "a line of over 0 MB" in entry["why"]
