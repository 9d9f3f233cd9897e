"""The forms in which text is kept: archives of the web, tables, JSON of other programs; and what is said of
each file.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from pathlib import Path

import brotli
import pytest
import zstandard

from mobilebert.corpus import file_report
from mobilebert.errors import UserError

TEXTS = [
    "老渡口的船夫每天撑船过河，从早上到晚上，不管刮风还是下雨，他都等着最后一个要回家的人。",
    "我们在山顶上看到了日出，太阳从云海里慢慢地升起来，大家都不说话，只听见风的声音。",
    "这座图书馆是一百年前修的，里面的木楼梯已经磨得发亮，走在上面会发出轻轻的响声。",
]


def page(texts: list[str]) -> bytes:
    body = "".join(f"<p>{text}</p>" for text in texts)
    return f"<!DOCTYPE html><html><body><article>{body}</article></body></html>".encode()


def record(number: int, body: bytes, *headers: str) -> bytes:
    head = "\r\n".join(["HTTP/1.1 200 OK", "Content-Type: text/html; charset=utf-8", *headers, "", ""])
    content = head.encode() + body
    return (
        f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:uuid:r{number}>\r\n"
        f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(content)}\r\n\r\n"
    ).encode() + content + b"\r\n\r\n"  # fmt: skip


def deflated(data: bytes, bits: int) -> bytes:
    packer = zlib.compressobj(wbits=bits)
    return packer.compress(data) + packer.flush()


def chunked(data: bytes) -> bytes:
    pieces = [data[start : start + 50] for start in range(0, len(data), 50)]
    return b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in pieces) + b"0\r\n\r\n"


def in_halves(pack, data: bytes) -> bytes:
    return pack(data[: len(data) // 2]) + pack(data[len(data) // 2 :])


ZSTD = zstandard.ZstdCompressor().compress
CODINGS = {
    "gzip": lambda data: in_halves(gzip.compress, data),
    "x-gzip": gzip.compress,
    "zstd": lambda data: in_halves(ZSTD, data),
    "deflate": lambda data: deflated(data, 15),
    "br": brotli.compress,
}


@pytest.mark.parametrize("coding", [*CODINGS, "raw deflate", "taken away", "gzip, br"])
@pytest.mark.parametrize("transfer", [False, True])
def test_the_codings_of_pages_are_undone(tmp_path, clean, coding, transfer):
    pack = CODINGS.get(coding, lambda data: deflated(data, -15))
    if coding == "taken away":
        pack = bytes
    elif coding == "gzip, br":
        pack = lambda data: brotli.compress(gzip.compress(data))  # noqa: E731
    name = {"raw deflate": "deflate", "taken away": "zstd"}.get(coding, coding)
    body, headers = pack(page(TEXTS)), [f"Content-Encoding: {name}"]
    if transfer:
        body, headers = chunked(body), [*headers, "Transfer-Encoding: chunked"]
    (tmp_path / "x.warc").write_bytes(record(1, body, *headers))
    assert clean(tmp_path / "x.warc").text == "\n".join(TEXTS)


def with_dictionary(records: list[bytes], packed: bool) -> bytes:
    """As the IIPC's WARC-Zstandard has it: a skippable frame with the dictionary, a frame a record."""
    content = b"".join(records) * 4
    trained = zstandard.train_dictionary(1024, [content[n : n + 200] for n in range(0, len(content), 50)])
    stored = ZSTD(trained.as_bytes()) if packed else trained.as_bytes()
    pack = zstandard.ZstdCompressor(dict_data=trained).compress
    head = (0x184D2A5D).to_bytes(4, "little") + len(stored).to_bytes(4, "little") + stored
    return head + b"".join(map(pack, records))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ["x.warc.zst", "x"])
def test_a_zstandard_archive_brings_its_dictionary(tmp_path, clean, packed, name):
    records = [record(number, page([text])) for number, text in enumerate(TEXTS)]
    (tmp_path / name).write_bytes(with_dictionary(records, packed))
    assert list(clean(tmp_path / name).texts.values()) == TEXTS


def test_skippable_frames_between_records_are_skipped(tmp_path, clean):
    frames = [ZSTD(record(number, page([text]))) for number, text in enumerate(TEXTS)]
    skipped = (0x184D2A50).to_bytes(4, "little") + (3).to_bytes(4, "little") + b"abc"
    (tmp_path / "x.warc.zst").write_bytes(skipped + skipped.join(frames))
    assert list(clean(tmp_path / "x.warc.zst").texts.values()) == TEXTS


def test_a_table_of_excel_on_chinese_windows_is_read(tmp_path, clean):
    table = io.StringIO()
    rows = [[n, "小城", f"“{text}”, 他说。\n{TEXTS[0]}"] for n, text in enumerate(TEXTS)]
    csv.writer(table).writerows([["编号", "标题", "正文"], *rows])
    (tmp_path / "导出.csv").write_bytes(table.getvalue().encode("gb18030"))
    cleaned = clean(tmp_path / "导出.csv", text_field="正文")
    assert cleaned.texts == {f"导出.csv#{2 * n + 2}": row[2] for n, row in enumerate(rows)}
    assert "\tcsv\tgb18030\t3\t3\t" in (cleaned.folder / file_report.TABLE).read_text(encoding="utf-8")


def test_instructions_of_several_fields_are_one_text(tmp_path, clean):
    rows = [{"instruction": TEXTS[0], "input": "", "output": TEXTS[1]}]
    (tmp_path / "x.json").write_text(json.dumps(rows, indent=4), encoding="utf-8")
    assert clean(tmp_path / "x.json", text_field=["instruction", "input", "output"]).texts == {
        "x.json#0": "\n".join(TEXTS[:2])
    }


def test_what_every_file_gave_is_listed_and_adds_up(tmp_path, clean, caplog):
    folder = tmp_path / "in" / "子"
    folder.mkdir(parents=True)
    (folder / "good.txt").write_text("\n".join(TEXTS), encoding="gb18030")
    lines = [{"text": TEXTS[0]}, {"text": TEXTS[0]}, {"text": "短。"}, {"content": "x", "likes": 1}]
    (folder / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    (folder / "b.jsonl").write_text((json.dumps(lines[3]) + "\n") * 150, encoding="utf-8")
    (folder / "c.csv").write_text("1,2\n3,4\n", encoding="utf-8")
    (folder / "d.docx").write_bytes(b"PK\3\4")
    (folder / "e.txt").write_bytes(b"")
    with caplog.at_level("INFO"):
        cleaned = clean(tmp_path / "in")
    table = (cleaned.folder / file_report.TABLE).read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(table), delimiter="\t", quoting=csv.QUOTE_NONE))
    assert [tuple(row.values())[1:7] for row in rows] == [
        ("子/a.jsonl", "jsonl", "utf-8", "4", "1", "exact_duplicate 1, no_text_field 1, too_short 1"),
        ("子/b.jsonl", "jsonl", "utf-8", "150", "0", "no_text_field 150"),
        ("子/c.csv", "csv", "", "0", "0", ""),
        ("子/d.docx", "", "", "0", "0", ""),
        ("子/e.txt", "", "", "0", "0", ""),
        ("子/good.txt", "text", "gb18030", "1", "1", ""),
    ]
    notes = [row["note"] for row in rows if row["note"]]
    assert "its first line names no column 'text' (but 1, 2)" in notes[0]
    assert notes[1:] == [
        "left out: .docx is not read; convert it: pandoc -t plain NAME.docx -o NAME.txt",
        "left out: empty",
    ]
    total = cleaned.funnel["total"]
    assert sum(int(row["documents"]) for row in rows) == total["in"]["documents"]
    assert sum(int(row["kept"]) for row in rows) == total["out"]["documents"] == len(cleaned.texts)
    warnings = [each.message for each in caplog.records if each.levelname == "WARNING"]
    said = "source x: 子/b.jsonl: 150 of 150 lines have no field 'text' (they have content, likes)"
    assert said in warnings
    assert any("x: d.docx: .docx is not read; convert it: pandoc" in each for each in warnings)
    page_of = (cleaned.folder / file_report.PAGE).read_text(encoding="utf-8")
    assert "| no_text_field   |       151 | 97.4% |" in page_of
    assert "| kept            |         2 |  1.3% |" in page_of
    assert caplog.records[-1].message.endswith(page_of)


def test_a_file_without_the_field_is_said_though_nothing_is_left(tmp_path, clean, caplog):
    (tmp_path / "x.jsonl").write_text('{"content": "好"}\n' * 3, encoding="utf-8")
    with pytest.raises(UserError, match="no_text_field 3"):
        clean(tmp_path / "x.jsonl")
    assert "x.jsonl: 3 of 3 lines have no field 'text' (they have content)" in caplog.text


@pytest.mark.parametrize("name", ["a.pdf", "a.epub", "a.doc", "a.xlsx", "a.rar", "a.mobi", "a.caj", "a.srt"])
def test_a_file_of_another_program_is_named_with_its_command(tmp_path, clean, name):
    (tmp_path / name).write_bytes(b"x")
    command = {"a.rar": "unrar x NAME.rar", "a.pdf": "pdftotext NAME.pdf"}.get(name, f"NAME.{name[2:]}")
    with pytest.raises(UserError, match="(convert it: |unpack it .).*" + command):
        clean(tmp_path / name, format="text")


@pytest.mark.parametrize("megabytes", [0.0005, 0.002, 2])
def test_ids_do_not_depend_on_the_size_of_blocks(tmp_path, clean, megabytes):
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        lines = [
            json.dumps({"text": f"{name}{n}，{TEXTS[n % 3]}"}, ensure_ascii=False) + "\n" for n in range(9)
        ]
        (tmp_path / "in" / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    offsets = [0, *(sum(len(line.encode()) for line in lines[:n]) for n in range(1, 9))]
    cleaned = clean(tmp_path / "in", corpus={"block_megabytes": megabytes})
    assert list(cleaned.texts) == [f"{name}.jsonl#{offset}" for name in ("a", "b") for offset in offsets]


def test_what_spark_leaves_beside_its_files_is_left_out(tmp_path: Path, clean):
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = tmp_path / "table" / "dt=2023-05-01"
    folder.mkdir(parents=True)
    nested = [
        {"title": "渡口", "body": TEXTS[0]},
        None,
        {"title": None, "body": TEXTS[1]},
        {"title": "空", "body": None},
    ]
    table = pa.table({"id": [1, 2, 3, 4], "doc": nested, "lines": [TEXTS[:2], None, [None, TEXTS[2]], []]})
    pq.write_table(table, folder / "part-00000-c000.snappy.parquet")
    pq.write_metadata(table.schema, folder.parent / "_metadata")
    (folder / ".part-00000-c000.snappy.parquet.crc").write_bytes(b"crc")
    (folder.parent / "_SUCCESS").write_bytes(b"")
    cleaned = clean(folder.parent, text_field="doc.body")
    assert cleaned.texts == {"1": TEXTS[0], "3": TEXTS[1]}
    assert cleaned.funnel["total"]["reasons"]["no_text_field"]["documents"] == 2
    assert cleaned.funnel["total"]["left_out"] == {
        "a mark of the program that wrote the folder": 2,
        "hidden": 1,
    }
    lines = clean(folder.parent, text_field="lines", corpus={"min_characters": 5})
    assert lines.texts == {"1": "\n".join(TEXTS[:2]), "3": TEXTS[2]}
    with pytest.raises(
        UserError, match=r"column doc has fields; set text_field to one of doc\.title, doc\.body"
    ):
        clean(folder.parent, text_field="doc")
