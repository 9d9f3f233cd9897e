"""What strangers have in their folders, through the whole of list_sources and clean_corpus: all of it
named and counted, nothing hangs.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import os
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mobilebert.corpus.dedup import block_store
from mobilebert.corpus.pipeline import clean_corpus
from mobilebert.corpus.readers import byte_lines, plain, streams
from mobilebert.corpus.readers.document import MOST_CHARACTERS
from mobilebert.corpus.sources.listing import list_sources
from mobilebert.errors import UserError
from mobilebert.settings import Corpus, Source
from mobilebert.text import filters
from tests.unit.corpus.strangers import cleaned, row
from tests.unit.corpus.test_corpus_pipeline import prose

NESTED = 100_000


def test_nul_bytes_and_lone_surrogates(tmp_path, folder):
    lines = [
        row(prose(1) + "\ud83d", id="\ud800bad"),
        row(prose(2)[:40] + "\0\0" + prose(2)[40:], id="a\0b"),
        '{"text": "\\ud800\\udfff\\udc00"}\n',
        '{"text": "' + prose(3) + '\\udc00\\ud800"}\n',
    ]
    (folder / "a.jsonl").write_text("".join(lines), encoding="utf-8")
    (folder / "nul.txt").write_bytes(prose(4).encode() + b"\0")
    (folder / "surrogate.txt").write_bytes(prose(5).encode() + "\ud800".encode("utf-8", "surrogatepass"))
    (folder / "utf16.txt").write_bytes(b"\xff\xfe" + prose(6).encode("utf-16-le") + b"\x00\xd8")
    funnel, documents = cleaned(tmp_path, folder)
    texts = [document["text"] for document in documents]
    assert len(texts) == 6
    assert all(prose(number)[:40] in "".join(texts) for number in (0, 1, 2, 4, 5, 6))
    assert not any("\0" in text for text in texts)
    assert all(document["id"].isprintable() for document in documents)
    assert funnel["reasons"] == {"broken_characters": 1, "empty": 1}


def test_a_line_of_ten_megabytes(tmp_path, folder):
    pieces = [prose(number) for number in range(32_000)]
    long, other = "".join(pieces), "".join(reversed(pieces))
    assert len(long.encode()) > 10_000_000
    (folder / "a.jsonl").write_text(row(long), encoding="utf-8")
    (folder / "b.txt").write_text(other, encoding="utf-8")
    (folder / "c.jsonl").write_text('{"text": "' + "x" * 10_000_000 + "\n" + row(prose(3)), encoding="utf-8")
    funnel, documents = cleaned(tmp_path, folder)
    assert funnel["reasons"] == {"invalid_json": 1}
    parts: dict[str, list[str]] = {}
    for document in documents:
        assert len(document["text"]) <= MOST_CHARACTERS
        parts.setdefault(document["id"].rpartition("-")[0], []).append(document["text"])
    assert {long, other} < set(map("".join, parts.values()))


def test_a_line_that_is_too_long_is_counted_and_what_follows_is_read(tmp_path, folder, monkeypatch):
    monkeypatch.setattr(byte_lines, "MAX_LINE_BYTES", 50_000)
    long = "".join(prose(number) for number in range(300))
    rows = [row(prose(1)), row(long), row(prose(2)), '{"text": "' + "甲" * 40_000]  # the last one is cut off
    (folder / "a.jsonl").write_text("".join(rows), encoding="utf-8")
    (tmp_path / "lines").mkdir()
    (tmp_path / "lines" / "b.txt").write_text(
        f"{prose(3)}\n\n{prose(4)}\n{long}\n\n{prose(5)}\n", encoding="utf-8"
    )
    for place, more, read, lost in (
        (folder, {}, (0, 1, 2), 2),
        (tmp_path / "lines", {"format": "lines"}, (3, 5), 1),
    ):
        for megabytes in (2, 0.02):  # in the second case long lines reach over several elements
            funnel, documents = cleaned(tmp_path, place, source=more, block_megabytes=megabytes)
            assert funnel["reasons"] == {"oversized": lost}
            assert funnel["reasons"].get("undecodable") is None
            assert {document["text"] for document in documents} == {prose(number) for number in read}
    assert (
        funnel["in"]["bytes"]
        == sum(len(text.encode()) for text in (prose(3), prose(5), f"{prose(4)}\n{long}\n")) + 2
    )


def test_a_line_that_is_too_long_takes_nothing_with_it(tmp_path, folder, monkeypatch):
    """Wherever its beginning, which is kept, is cut off, its neighbours' encoding is found; a file that it
    begins is known for what it is; and it is no empty line if blanks begin it.
    """
    monkeypatch.setattr(byte_lines, "MAX_LINE_BYTES", 50_000)
    long = "".join(prose(number) for number in range(300))
    for number, texts in enumerate(
        ([prose(1), long, prose(2)], [prose(3), f" {long}", prose(4)], [long, prose(5)], [long, prose(6)])
    ):
        name = ("0.jsonl", "1.jsonl", "2.json", "3")[number]
        (folder / name).write_text("".join(f'{{"text": "{text}"}}\n' for text in texts), encoding="gbk")
    (tmp_path / "lines").mkdir()
    (tmp_path / "lines" / "b.txt").write_text(
        f"{prose(0)}\n\n{' ' * 20_000}{long}\n\n{prose(1)}\n", encoding="utf-8"
    )
    for place, more, read, lost in (
        (folder, {}, range(7), 4),
        (tmp_path / "lines", {"format": "lines"}, range(2), 1),
    ):
        funnel, documents = cleaned(tmp_path, place, source=more)
        assert funnel["reasons"] == {"oversized": lost}
        assert {document["text"] for document in documents} == {prose(number) for number in read}


def test_a_line_that_is_too_long_is_counted_alone(tmp_path, folder, monkeypatch):
    """Not with the lines around it in a file of text that is cut anyway; and also if blanks begin it amid
    lines of another encoding; a file that it begins is known after a byte order mark, too.
    """
    monkeypatch.setattr(byte_lines, "MAX_LINE_BYTES", 50_000)
    monkeypatch.setattr(plain, "CUT_BYTES", 60_000)
    long = "".join(prose(number) for number in range(300))
    (folder / "0.txt").write_text(f"{prose(1)}\n{long}\n{prose(2)}\n", encoding="utf-8")
    gbk = [f'{{"text": "{text}"}}\n'.encode("gbk") for text in (prose(3), long, prose(4))]
    gbk[1] = b" " * 20_000 + gbk[1]
    (folder / "1.jsonl").write_bytes(b"".join(gbk))
    (folder / "2").write_text(f"{row(long)}{row(prose(5))}", encoding="utf-8-sig")
    funnel, documents = cleaned(tmp_path, folder)
    assert funnel["reasons"] == {"oversized": 3}
    assert {document["text"] for document in documents} == {prose(number) for number in range(6)}
    lost = [f"{long}\n".encode(), gbk[1], row(long).encode("utf-8-sig")]
    read = sum(len(prose(number).encode()) for number in range(6)) + 2
    assert funnel["in"]["bytes"] == sum(map(len, lost)) + read


def test_a_hundred_thousand_nested_brackets(tmp_path, folder):
    page = "<page><title>页</title><ns>0</ns><id>{}</id><revision><text>{}</text></revision></page>"
    wiki = [
        f"{prose(60 + number)}{nest}"
        for number, nest in enumerate(["[[" * NESTED, "{{" * NESTED, "{{a|" * NESTED + "}}" * NESTED])
    ]
    hostile = {
        "a.jsonl": row(prose(1)) + '{"text": ' + "[" * NESTED + "\n" + '{"text": ' + '{"a":' * NESTED + "\n",
        "b.xml": "<mediawiki>" + "".join(page.format(number, text) for number, text in enumerate(wiki)),
        "c.html": "<html><body>" + "<div>" * NESTED + f"<p>{prose(20)}</p>" * 3 + "</div>" * NESTED,
        "d.md": ">" * NESTED + prose(30) + "\n\n" + "- " * NESTED + "\n\n" + "[" * NESTED,
        "e.rst": "- " * NESTED + prose(40),
        "f.rst": prose(41) + "\n\n" + "(" * NESTED + "*a " * NESTED + "`b " * NESTED,
        "g.txt": "（" * NESTED,
    }
    for name, text in hostile.items():
        (folder / name).write_text(text, encoding="utf-8")
    funnel, _ = cleaned(tmp_path, folder)
    assert funnel["in"]["documents"] == 1 + 3 + 3 + 5 + 1  # f.rst, of 700,000 characters, comes in two parts
    assert funnel["reasons"]["invalid_json"] == 2
    assert funnel["unreadable"] == []


def test_lines_without_a_text_end_a_file_that_is_not_what_it_is_called(tmp_path, folder, monkeypatch):
    monkeypatch.setattr(plain, "MOST_UNREAD", 50)
    good = json.dumps({"text": prose(1)}, ensure_ascii=False) + "\n"
    (folder / "a.jsonl").write_text("a\n" * 49 + good + "a\n" * 60 + good, encoding="utf-8")
    funnel, documents = cleaned(tmp_path, folder)
    assert funnel["reasons"]["invalid_json"] == 99  # a readable line starts the count anew
    assert len(documents) == 2  # the folder's own, and the one before
    assert ["50 lines in a row hold no text in 'text'" in entry["why"] for entry in funnel["unreadable"]] == [
        True
    ]


def test_a_dump_that_is_a_bomb_is_named(tmp_path, folder, monkeypatch):
    monkeypatch.setattr(streams, "FREE_BYTES", 2_000_000)
    head = b"<mediawiki><page><title>a</title><ns>0</ns><text>x</text></page>"
    (folder / "a.xml.bz2").write_bytes(bz2.compress(head + b"\n" * 30_000_000))
    funnel, _ = cleaned(tmp_path, folder)
    assert ["decompression bomb" in entry["why"] for entry in funnel["unreadable"]] == [True]


def test_a_whole_corpus_in_one_text_file_is_cut_not_lost(tmp_path, folder, monkeypatch):
    monkeypatch.setattr(plain, "CUT_BYTES", 5_000)
    text = "".join(prose(number) + "\n" for number in range(100))
    (folder / "all.txt").write_text(text, encoding="gb18030")
    (tmp_path / "lines").mkdir()
    (tmp_path / "lines" / "a.txt").write_text(text, encoding="utf-8")
    for place, more in ((folder, {}), (tmp_path / "lines", {"format": "lines"})):
        funnel, documents = cleaned(tmp_path, place, source=more)
        assert funnel["reasons"] == {}
        joined = "\n".join(document["text"] for document in documents)
        assert len(documents) > 5
        assert all(prose(number) in joined for number in range(100))


def test_of_empty_documents_and_lines_few_are_held_at_once(tmp_path, folder, monkeypatch):
    """A document without a text takes 2.4 kB while it is measured, a line of a byte 200; a few kB of
    Parquet hold millions of them.
    """
    held: list[int] = []
    judge, joined = filters.judge, plain._joined
    monkeypatch.setattr(
        filters,
        "judge",
        lambda documents, settings: held.append(len(documents.texts)) or judge(documents, settings),
    )
    monkeypatch.setattr(
        plain, "_joined", lambda first, lines: held.append(len(lines)) or joined(first, lines)
    )
    monkeypatch.setattr(plain, "CUT_BYTES", 100_000)
    monkeypatch.setattr(plain, "_MOST_LINES", 5000)
    (folder / "a.jsonl").write_text(row("") * 12_000, encoding="utf-8")
    (folder / "b.txt").write_text(prose(1) + "\n" * 100_000, encoding="utf-8")
    pq.write_table(pa.table({"text": pa.nulls(12_000, pa.string())}), folder / "c.parquet")
    funnel, documents = cleaned(tmp_path, folder)
    assert len(documents) == 2
    assert funnel["reasons"] == {"empty": 12_000 + 19, "no_text_field": 12_000}
    assert 4000 < max(held) <= 5000


def test_a_block_has_no_more_documents_than_are_looked_at_together(tmp_path, folder, monkeypatch):
    """Of texts of two characters a block of 2 MB had 333,000, whose keys took 650 MB."""
    held: list[int] = []
    monkeypatch.setattr(block_store, "TOGETHER", 100)
    monkeypatch.setattr(
        block_store,
        "write_keys",
        lambda *told, write=block_store.write_keys: held.append(len(told[3])) or write(*told),
    )
    (folder / "a.jsonl.gz").write_bytes(
        gzip.compress("".join(row(prose(number)) for number in range(450)).encode())
    )
    _, documents = cleaned(tmp_path, folder)
    assert len(documents) == 450
    assert sum(held) == 451
    assert max(held) == 100


ODD = [
    "a b.txt",
    'it\'s "x".txt',
    "{x}.txt",
    "[x]*?.txt",
    "line\nend.txt",
    "文 件.txt",
    "-rf.txt",
    "$HOME;`ls`.txt",
]


def test_odd_names_odd_files_and_what_is_left_out(tmp_path, folder):
    for number, name in enumerate(ODD):
        (folder / name).write_text(prose(10 + number), encoding="utf-8")
    (folder / "loop").symlink_to(folder)
    (folder / "self.txt").symlink_to("self.txt")
    os.mkfifo(folder / "pipe.txt")
    for name in (
        "code.py",
        "more.py",
        "notes.po",
        "x.bin",
        "manual.xml",
        ".hidden.txt",
        "empty.txt",
        "x.tar.gz",
    ):
        (folder / name).write_bytes(b"" if name == "empty.txt" else prose(99).encode())
    funnel, documents = cleaned(tmp_path, folder)
    assert len(documents) == 1 + len(ODD)
    assert {os.path.basename(entry["file"]): entry["why"] for entry in funnel["unreadable"]} == {
        "pipe.txt": "not a regular file",
        "self.txt": "Too many levels of symbolic links",
    }
    assert funnel["left_out"] == {
        "XML, but no MediaWiki dump": 1,
        "a link to a folder that is read anyway": 1,
        "an archive of files; unpack it (tar -xf NAME.tar) and name the folder": 1,
        "empty": 1,
        "hidden": 1,
        "no format is known for .bin": 1,
        "no format is known for .po": 1,
        "no format is known for .py": 2,
    }
    with pytest.raises(UserError, match=r"pipe\.txt: not a regular file; .*set corpus\.on_error to skip"):
        cleaned(tmp_path, folder, on_error="stop")


def test_a_file_that_goes_away_after_it_was_listed_is_named(tmp_path, folder):
    (folder / "gone.txt").write_text(prose(1), encoding="utf-8")
    list_sources([Source.model_validate({"name": "s", "from": str(folder)})], tmp_path / "sources", None, [])
    (folder / "gone.txt").unlink()
    clean_corpus(tmp_path / "sources", tmp_path / "corpus", Corpus(), 1)
    funnel = json.loads((tmp_path / "corpus" / "funnel.json").read_text(encoding="utf-8"))
    assert [os.path.basename(entry["file"]) for entry in funnel["sources"]["s"]["unreadable"]] == ["gone.txt"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.txt": b""}, "nothing to read for s .*empty 1"),
        ({"a.jsonl": b"\n\n\n"}, "s has no document at all in its files"),
        (
            {"a.warc.gz": gzip.compress(b"no archive")},
            r"s has no document at all .*\n.*a\.warc\.gz: no compressed stream of its format",
        ),
        ({"a.parquet": b"PAR1"}, r"s has no document at all .*\n.*a\.parquet: no readable Parquet"),
        (
            {"a.py": b"x"},
            "all 1 files there were left out .no format is known for .py 1.; if they are text, set format",
        ),
        ({"a.zip": b"PK"}, "an archive of files; unpack it .unzip NAME.zip. and name the folder"),
        ({"a.html": b"<html><script>x</script></html>"}, "nothing is left of 1 documents .*no_main_text 1"),
    ],
)
def test_a_source_without_a_document_stops_with_the_reason(tmp_path, files, message):
    (tmp_path / "in").mkdir()
    for name, data in files.items():
        (tmp_path / "in" / name).write_bytes(data)
    with pytest.raises(UserError, match=message):
        cleaned(tmp_path, tmp_path / "in")


def test_an_archive_is_refused_whatever_format_is_stated(tmp_path):
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as archive:
        info = tarfile.TarInfo("a.txt")
        info.size = len(data := prose(1).encode())
        archive.addfile(info, io.BytesIO(data))
    with pytest.raises(UserError, match=r"an archive of files; unpack it \(tar -xf NAME.tar\)"):
        cleaned(tmp_path, tmp_path / "x.tar.gz", source={"format": "text"})


def test_the_real_tree_of_mixed_files(tmp_path, shared_data):
    with tarfile.open(shared_data / "corpus" / "raw_tree.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    funnel, documents = cleaned(tmp_path, tmp_path / "raw_tree")
    assert funnel["unreadable"] == []
    left = funnel["left_out"]
    assert {why: left[why] for why in left if why.startswith(("no format", "XML"))} == {
        "XML, but no MediaWiki dump": 20,
        "no format is known for .ipynb": 6,
        "no format is known for .png": 1,
        "no format is known for .po": 6,
    }
    assert funnel["in"]["documents"] + sum(left.values()) >= 250
    assert not any("\ufffd" in document["text"] or "�" in document["text"] for document in documents)
    assert len(documents) >= 100
