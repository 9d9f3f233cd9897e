"""Files with bad bytes, in encodings of the web, in two encodings, and with the marks that damage leaves."""

from __future__ import annotations

import gzip
import io
import json

import pytest
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

HANS = (
    "山脚下有一个小村子，村里的人都姓李，他们种地、打鱼，过着平静的日子。\n"
    "有一年春天，来了一位画家，说要在这里住上三个月，把山和水都画下来。\n"
    "孩子们每天跟着他，看他怎样用几种颜色就画出天亮时候的样子。\n"
)
HANT = (
    "山腳下有一個小村子，村裡的人都姓李，他們種地、打魚，過著平靜的日子。\n"
    "有一年春天，來了一位畫家，說要在這裡住上三個月，把山和水都畫下來。\n"
    "孩子們每天跟著他，看他怎樣用幾種顏色就畫出天亮時候的樣子。\n"
)
BAD = "\ufffd"
LOOSE = {  # texts that repeat themselves are kept
    "max_line_repeats": 10,
    "max_repeated_share": 1,
    "max_duplicate_line_share": 1,
    "max_duplicate_line_characters": 1,
    "max_phrase_share": 1,
}


def stray(text: str, encoding: str, at: int = 30) -> bytes:
    """The text with 0xFF before its character `at`."""
    return text[:at].encode(encoding) + b"\xff" + text[at:].encode(encoding)


@pytest.mark.parametrize(("text", "encoding"), [(HANS, "utf-8"), (HANS, "gbk"), (HANT, "big5")])
def test_one_bad_byte_costs_one_character(clean, tmp_path, text, encoding):
    path = tmp_path / "a.txt"
    path.write_bytes(stray(text, encoding))
    found = clean(path)
    assert found.text == f"{text[:30]}{BAD}{text[30:]}".strip()
    assert found.funnel["total"]["replaced"] == {"documents": 1, "characters": 1}


@pytest.mark.parametrize(
    ("text", "encoding"), [(HANS, "utf-8"), (HANS, "gb18030"), (HANT, "cp950"), (HANS, "utf-16")]
)
def test_a_download_cut_in_a_character_keeps_all_but_it(clean, tmp_path, text, encoding):
    path = tmp_path / "a.txt"
    path.write_bytes(text.strip().encode(encoding)[:-1])
    assert clean(path).text == text.strip()[:-1] + BAD


def test_the_limit_on_broken_characters_judges_what_is_too_damaged(clean, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text(HANS, encoding="utf-8")
    data = HANS.encode()
    for at in range(30, 120, 30):
        data = data[:at] + b"\xff" + data[at:]
    (tmp_path / "in" / "b.txt").write_bytes(data)
    found = clean(tmp_path / "in")
    assert found.text == HANS.strip()
    assert found.funnel["total"]["reasons"]["broken_characters"]["documents"] == 1
    assert found.funnel["total"]["replaced"] == {"documents": 1, "characters": 3}


@pytest.mark.parametrize("encoding", ["utf-8", "gbk"])
def test_a_long_file_of_text_loses_one_character(clean, tmp_path, encoding):
    path = tmp_path / "a.txt"
    lines = [f"第{number}回。{line}\n" for number in range(60_000) for line in HANS.split("\n")[:1]]
    data = "".join(lines).encode(encoding)
    assert len(data) > 4_000_000
    at = data.index("第30000回".encode(encoding))
    path.write_bytes((data[:at] + b"\xff" + data[at:]) * (1 if encoding == "utf-8" else 2))
    found = clean(path, LOOSE)
    assert found.funnel["total"]["reasons"] == {}
    assert found.funnel["total"]["replaced"]["characters"] == (1 if encoding == "utf-8" else 2)


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "utf-16"])
def test_json_lines_with_a_bad_byte_are_read(clean, tmp_path, encoding):
    path = tmp_path / "a.jsonl"
    rows = [
        json.dumps({"id": f"d{n}", "text": f"第{n}篇。{HANS}"}, ensure_ascii=False) + "\n" for n in range(9)
    ]
    data = "".join(rows).encode(encoding)
    at = data.index("姓李".encode(encoding.replace("utf-16", "utf-16-le")))
    extra = b"\xff" if encoding != "utf-16" else b"\x00\xdc"
    path.write_bytes(data[:at] + extra + data[at:])
    found = clean(path)
    assert len(found.texts) == 9
    assert found.texts["d0"] == f"第0篇。{HANS.replace('姓李', BAD + '姓李')}".strip()


@pytest.mark.parametrize("encoding", ["utf-8", "gbk"])
def test_a_page_with_a_cut_character_is_read(clean, tmp_path, encoding):
    paragraphs = "".join(f"<p>{line}</p>" for line in HANS.strip().split("\n"))
    page = f"<html><head><title>村子</title></head><body><h1>村子</h1>{paragraphs}</body></html>"
    data = page.encode(encoding).replace("。</p></body>".encode(encoding), b"\xa1</p></body>")
    (tmp_path / "a.html").write_bytes(data)
    assert HANS.split("\n")[1] in clean(tmp_path / "a.html").text
    archive = io.BytesIO()
    writer = WARCWriter(archive, gzip=True)
    head = StatusAndHeaders("200 OK", [("Content-Type", "text/html")], protocol="HTTP/1.1")
    writer.write_record(
        writer.create_warc_record("http://a.cn/", "response", io.BytesIO(data), http_headers=head)
    )
    (tmp_path / "a.warc.gz").write_bytes(archive.getvalue())
    assert HANS.split("\n")[1] in clean(tmp_path / "a.warc.gz").text


def test_gbk_is_read_as_browsers_read_it(clean, tmp_path):
    path = tmp_path / "a.txt"
    data = b"".join(b"\xa3\xa0\xa3\xa0" + line.encode("gbk") + b"\r\n" for line in HANS.strip().split("\n"))
    path.write_bytes(data + "画一张要".encode("gbk") + b"\x80" + "三十，有人觉得太贵了。".encode("gbk"))
    assert clean(path).text == HANS + "画一张要€三十，有人觉得太贵了。"


def test_files_written_by_one_program_and_gone_on_with_by_another(clean, tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(HANS.encode("utf-8-sig") + HANT.encode("gbk") + HANS.encode())
    assert clean(path, LOOSE).text == (HANS + HANT + HANS).strip()


def test_two_encodings_that_cannot_be_told_by_line_are_named(clean, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text(HANS, encoding="utf-8")
    (tmp_path / "in" / "b.txt").write_bytes(HANS.encode("gbk") * 3 + HANT.encode("big5") * 3)
    found = clean(tmp_path / "in")
    assert found.text == HANS.strip()
    (reject,) = found.rejects
    assert (reject["reason"], reject["detail"]) == ("mixed_encodings", "big5+gb18030")


def test_json_lines_of_several_encodings_are_read_each_by_itself(clean, tmp_path):
    path = tmp_path / "a.jsonl"
    rows = [("a", HANS, "utf-8"), ("b", "甲" + HANS, "gbk"), ("c", HANT, "big5"), ("d", "乙" + HANS, "utf-8")]
    path.write_bytes(
        b"".join(
            json.dumps({"id": name, "text": text}, ensure_ascii=False).encode(encoding) + b"\n"
            for name, text, encoding in rows
        )
    )
    assert clean(path).texts == {name: text.strip() for name, text, _ in rows}


def test_compressed_text_with_a_bad_byte_is_read(clean, tmp_path):
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(stray(HANS, "gbk")))
    assert clean(path).text.count(BAD) == 1


def test_mojibake_of_replacement_characters_counts_as_what_it_was(clean, tmp_path):
    path = tmp_path / "a.jsonl"
    lost = HANS.replace("，", "锟斤拷"), HANS.replace("的", "ï¿½"), HANT.replace("的", "嚙踝蕭")
    rows = [*lost, HANS * 5 + "后来画锟斤拷家走了。"]
    path.write_text("".join(json.dumps({"id": str(n), "text": text}) + "\n" for n, text in enumerate(rows)))
    found = clean(path, LOOSE)
    assert list(found.texts) == ["3"]
    assert found.texts["3"].count(BAD) == 2
    assert found.funnel["total"]["reasons"]["broken_characters"]["documents"] == 3


def test_text_of_a_pdf_has_characters_instead_of_radicals(clean, tmp_path):
    path = tmp_path / "a.txt"
    table = str.maketrans("山人月水用大日子", "⼭⼈⽉⽔⽤⼤⽇⼦")
    path.write_text(HANS.translate(table).replace("长", "⻓"), encoding="utf-8")
    assert clean(path).text == HANS.strip()


def test_personal_data_in_full_width_is_masked(clean, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(
        HANS
        + HANT
        + "电话是（０１０）６２３４　５６７８，或＋８６　１３９１２３４５６７８，ｈｕａ＠１６３．ｃｏｍ。",
        encoding="utf-8",
    )
    found = clean(path, {"mask_sensitive": True})
    assert found.text == HANS + HANT + "电话是00000000000，或00000000000，email@example.com。"
    assert found.funnel["total"]["masked"] == {"phone": 2, "email": 1}


def test_written_cantonese_is_kept_and_counted_or_dropped(clean, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text(HANT, encoding="utf-8")
    text = "琴日我同阿媽去咗街市買餸，見到啲菜好新鮮，就買咗兩斤菜心。佢話啲嘢越嚟越貴，食唔起。"
    (tmp_path / "in" / "b.txt").write_bytes(text.encode("big5hkscs"))
    kept = clean(tmp_path / "in")
    assert text in kept.texts.values()
    assert kept.funnel["total"]["cantonese"]["documents"] == 1
    dropped = clean(tmp_path / "in", {"cantonese": "drop"})
    assert dropped.text == HANT.strip()
    assert dropped.funnel["total"]["reasons"]["cantonese"]["documents"] == 1


def test_an_article_of_a_dump_with_a_bad_byte_is_read(clean, tmp_path):
    page = f"<page><title>村子</title><ns>0</ns><id>7</id><revision><text>{HANS}</text></revision></page>"
    data = f"<mediawiki>{page}</mediawiki>".encode()
    at = data.index("李".encode()) + 1
    (tmp_path / "a.xml").write_bytes(data[:at] + b"\xff" + data[at:])
    found = clean(tmp_path / "a.xml")
    assert "画下来" in found.texts["7"]
    assert found.texts["7"].count(BAD) == 1


def rows_of(name: str) -> str:
    """Nine rows as a file of that name has them, each with an indentation and a price."""
    texts = [f"　　第{n}篇。{HANS.replace(chr(10), '')}一张画要€三十。" for n in range(9)]
    if name.endswith(".csv"):
        return "text,id\n" + "".join(f'"{text}",{n}\n' for n, text in enumerate(texts))
    indent = 1 if name == "indented.json" else None
    return json.dumps([{"text": text} for text in texts], ensure_ascii=False, indent=indent)


@pytest.mark.parametrize("name", ["a.csv", "a.json", "indented.json"])
def test_tables_and_arrays_in_gbk_are_read_as_browsers_read_it(clean, tmp_path, name):
    data = rows_of(name).encode("gb18030")
    spaces, euro = "　".encode("gb18030"), "€".encode("gb18030")
    (tmp_path / name).write_bytes(data.replace(spaces, b"\xa3\xa0").replace(euro, b"\x80"))
    found = clean(tmp_path / name, LOOSE | {"near_duplicates": False})
    assert len(found.texts) == 9
    assert found.texts[next(iter(found.texts))] == f"第0篇。{HANS.replace(chr(10), '')}一张画要€三十。"


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
@pytest.mark.parametrize("name", ["a.csv", "a.json", "indented.json"])
def test_a_bad_byte_costs_a_table_or_an_array_one_character(clean, tmp_path, name, encoding):
    data = rows_of(name).encode(encoding)
    at = data.index("画家".encode(encoding)) + 1
    (tmp_path / name).write_bytes(data[:at] + b"\xff" + data[at:])
    found = clean(tmp_path / name, LOOSE)
    assert len(found.texts) == 9
    assert found.funnel["total"]["replaced"] == {"documents": 1, "characters": 1}


@pytest.mark.parametrize("name", ["a.csv", "a.json"])
def test_a_table_or_an_array_in_two_encodings_is_left_out_with_both_named(clean, tmp_path, name):
    (tmp_path / "good.txt").write_text(HANS, encoding="utf-8")
    data = rows_of("indented.json" if name == "a.json" else name)
    half = data.index("第5篇")
    (tmp_path / name).write_bytes(data[:half].encode() + data[half:].encode("gb18030"))
    found = clean(tmp_path)
    assert found.text == HANS.strip()
    (entry,) = found.funnel["total"]["unreadable"]
    assert "two encodings (utf-8+gb18030)" in entry["why"]
