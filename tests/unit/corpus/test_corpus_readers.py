"""Readers: every document exactly once, whatever the block size, compression and encoding; what cannot be
read says why.
"""

from __future__ import annotations

import bz2
import gzip
import json
from pathlib import Path

import pytest

from mobilebert.corpus import plan
from mobilebert.corpus.readers import byte_lines, document, markup, multistream, streams, wikitext
from mobilebert.corpus.readers.by_format import documents
from mobilebert.corpus.readers.document import RawDocument

PROSE = "在这个故事里，我们的主人公来到了一座没有名字的城市。他说这里的人都很好。"
COMPRESS = {"": bytes, ".bz2": bz2.compress, ".gz": gzip.compress}


def read(path: Path, format: str, block_bytes: int = 1 << 30, **more: object) -> list[RawDocument]:
    entry = {
        "source": "s",
        "path": str(path),
        "format": format,
        "text_field": "text",
        "size": path.stat().st_size,
        **more,
    }
    return [
        found
        for element in plan.elements([entry], block_bytes)
        for piece in element.ranges
        for found in documents(piece)
    ]


def test_broken_json_lines_are_told_apart(tmp_path):
    path = tmp_path / "x.jsonl"
    lines = [
        b'{"text": "\xe5\xa5\xbd"}',
        b"{no json",
        b'{"other": "x"}',
        b'["list"]',
        b'{"text": 5}',
        b"",
        b'{"text": "\\ud83d x"}',
        b"[" * 100_000,
        b'{"text": "\xff\xfe"}',
    ]
    path.write_bytes(b"\xef\xbb\xbf" + b"\n".join(lines))
    assert [found.reason for found in read(path, "jsonl")] == [
        None,
        "invalid_json",
        "no_text_field",
        "no_text_field",
        "no_text_field",
        None,
        "invalid_json",
        "undecodable",
    ]


def test_the_named_field_is_read(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"content": "好", "text": "坏", "id": 7}', encoding="utf-8")
    assert [(found.name, found.text) for found in read(path, "jsonl", text_field="content")] == [("7", "好")]


def test_an_empty_file_has_no_document(tmp_path):
    for format in ("text", "lines", "jsonl", "html", "markdown", "mediawiki"):
        (tmp_path / "x").write_bytes(b"")
        assert read(tmp_path / "x", format) == []


def test_markdown_gives_its_prose():
    source = (
        "---\ntitle: 题目\n---\n# 标题\n\n第一段有[链接](http://a.b)和`代码`，\n换行。\n\n"
        "```python\nprint('不要')\n```\n\n    缩进的代码\n\n"
        "- 列表项一\n- 列表项二\n\n![图](x.png)\n\n<div>块里的字<script>不要()</script></div>\n\n"
        "| 甲 | 乙 |\n|---|---|\n| 丙 | 丁 |\n"
    )
    lines = [line.strip() for line in markup.prose(source).split("\n") if line.strip()]
    assert lines == [
        "标题",
        "第一段有链接和代码，换行。",
        "列表项一",
        "列表项二",
        "块里的字",
        "甲 乙",
        "丙 丁",
    ]


def test_html_gives_its_main_text(tmp_path):
    page = (
        "<?xml version='1.0' encoding='gb2312'?><html><head><meta "
        "charset='gb2312'><title>题</title><script>var a;</script></head>"
        "<body>"
        "<nav><a href='/'>首页</a><a href='/b'>新闻</a></nav>"
        f"<article><h1>题目</h1>{''.join(f'<p>{PROSE}{n}。</p>' for n in range(8))}</article>"
        "<footer>版权所有</footer></body></html>"
    )
    path = tmp_path / "x.html"
    path.write_bytes(page.encode())  # the declaration lies
    (found,) = read(path, "html")
    assert found.reason is None
    assert found.text.count(PROSE) == 8
    assert "var a" not in found.text
    assert "新闻" not in found.text


def test_wikitext_gives_its_prose():
    raw = (
        "{{NoteTA|G1=IT}}\n{{Infobox|name=甲|x={{small|乙}}}}\n[[File:A.jpg|thumb|说明[[链接]]]]\n"
        "'''城市'''（{{lang|en|City}}）位于[[河流|河]]边<ref>{{cite|t}}</ref>，"
        "有-{zh-hans:软件;zh-hant:軟體}-和-{H|zh-cn:a;zh-tw:b}-<nowiki>人</nowiki>。<!-- 注 -->\n\n"
        '{| class="w"\n| 表格\n|}\n== 历史 ==\n* 第一条\n从前&nbsp;有山（）。\n'
        "== 参考文献 ==\n* [http://a.b 链接]\n{{reflist}}\n此处有一段话。\n== 参见 ==\n* "
        "[[别的]]\n[[Category:城市]]\n[[en:City]]"
    )
    lines = [line.replace("\xa0", " ").strip() for line in wikitext.plain(raw).split("\n") if line.strip()]
    assert lines == ["城市（City）位于河边，有软件和人。", "第一条", "从前 有山。", "此处有一段话。"]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("[[a|" * 20_000, None),
        ("{{a|" * 20_000, None),
        ("<ref>" * 20_000, document.NO_MAIN_TEXT),
        ("{{a|" * 20_000 + "}}" * 20_000, document.NO_MAIN_TEXT),
        ("-{" * 20_000, document.NO_MAIN_TEXT),
        ("'''''" * 10_000, None),
        ("[" * 100_000, document.NO_MAIN_TEXT),
        ("*" * 50_000, document.NO_MAIN_TEXT),
        ("<br " * 50_000, None),
        ("<b a='" * 50_000 + ">", document.OVERSIZED),
        ("-{" * 50_000 + "}-" * 50_000, document.NO_MAIN_TEXT),
        ("{{a|" * 100_000 + "}}" * 100_000, document.NO_MAIN_TEXT),
        ("<ref>" * 50_000 + "</ref>" * 50_000, document.NO_MAIN_TEXT),
        ("-{zh-cn:" + ";" + " " * 500_000 + "x}-", None),
        ("-{" + "a=>" * 40_000 + "}-", None),
        ("甲" + "\n" * 500_000 + "<math>\\a</math>" + "。" * 500_000 + "乙", None),
        ("（甲" + "， " * 300_000 + "乙", None),
        ("&#" + "9" * 100_000 + ";", None),
    ],
)
def test_hostile_wikitext_is_read_or_refused_with_a_reason(raw, reason):
    """A parser that took quadratic time would take hours."""
    assert document.extracted(RawDocument("hostile", raw), wikitext.plain).reason == reason


@pytest.mark.parametrize(
    ("extract", "unit"),
    [
        *((wikitext.plain, unit) for unit in ("[[山]]", "http://a.example 山", "山\n----")),
        (markup.main_text, "<b>山</b>"),
        *((markup.prose, unit) for unit in ("- 山\n", "- 山\r", "\\!")),
        *(
            (markup.rst_prose, unit)
            for unit in ("- 山\n", "- 山\r", "- 山\u2028", "|山|\n\n", "http://a.example\n\n")
        ),
    ],
)
def test_a_text_with_too_many_marks_for_a_parser_is_oversized(monkeypatch, extract, unit):
    monkeypatch.setattr(document, "MAX_MARKS", 400)
    prose = "从前有一座山，山里有一座庙。" * 100
    assert document.extracted(RawDocument("few", prose + unit * 50), extract).reason != document.OVERSIZED
    found = RawDocument("many", prose + unit * 500)
    assert document.extracted(found, extract) == found._replace(reason=document.OVERSIZED)


def test_a_block_of_many_addresses_is_read():
    addresses = "见 http://a.example/b?c=1 和 a@b.example 。" * 2000
    assert markup.rst_prose(f"{PROSE}\n\n{addresses}\n") == f"{PROSE}\n{addresses}"


PAGE = (
    "<page>\n<title>{title}</title>\n<ns>{ns}</ns>\n<id>{id}</id>{redirect}\n"
    "<revision><id>9{id}</id><model>wikitext</model><text>{text}</text></revision>\n</page>\n"
)


def dump(count: int) -> list[str]:
    pages = []
    for n in range(count):
        kind = n % 5
        pages.append(
            PAGE.format(
                id=n,
                title="城 (消歧义)" if kind == 3 else f"城&amp;{n}",
                ns=10 if kind == 1 else 0,
                redirect='<redirect title="x" />' if kind == 2 else "",
                text=f"第{n}页，&lt;b&gt;内容&lt;/b&gt;很多。" * 5,
            )
        )
    return pages


@pytest.mark.parametrize("block_bytes", [50, 333, 4000, 1 << 20])
@pytest.mark.parametrize("suffix", ["", ".bz2", ".gz"])
def test_pages_of_a_dump_are_read_once_at_any_block_size(tmp_path, block_bytes, suffix):
    pages = dump(60)
    path = tmp_path / f"dump.xml{suffix}"
    if suffix == ".bz2":
        # Streams that begin in the middle of a page, as parallel packers leave them.
        data = "".join(pages).encode()
        path.write_bytes(
            b"".join(bz2.compress(data[start : start + 1777]) for start in range(0, len(data), 1777))
        )
    else:
        path.write_bytes(COMPRESS[suffix]("".join(pages).encode()))
    found = read(path, "mediawiki", block_bytes)
    assert [each.name for each in found] == [str(n) for n in range(60)]
    assert [each.reason for each in found[:5]] == [None, "not_an_article", "redirect", "disambiguation", None]
    assert found[4].text == "第4页，内容很多。" * 5


@pytest.mark.parametrize("suffix", ["", ".bz2", ".gz"])
@pytest.mark.parametrize("block_bytes", [333, 1 << 20])
def test_a_dump_that_ends_inside_a_page_says_so_and_keeps_the_others(tmp_path, suffix, block_bytes):
    # The compression itself is whole, as where a program was killed that wrote the dump.
    path = tmp_path / f"dump.xml{suffix}"
    path.write_bytes(COMPRESS[suffix]("".join(dump(10)).encode()[:-30]))
    entry = {
        "source": "s",
        "path": str(path),
        "format": "mediawiki",
        "text_field": "text",
        "size": path.stat().st_size,
    }
    names, failures = [], []
    for element in plan.elements([entry], block_bytes):
        for piece in element.ranges:
            try:
                for found in documents(piece):
                    names.append(found.name)
            except streams.Unreadable as error:
                failures.append(str(error))
    assert len(failures) == 1
    assert "inside a page" in failures[0]
    assert names == [str(n) for n in range(9)]


@pytest.mark.parametrize("suffix", ["", ".bz2", ".gz"])
@pytest.mark.parametrize("block_bytes", [50_000, 1 << 30])
def test_a_page_that_is_too_large_is_counted_and_those_after_it_are_read(
    tmp_path, monkeypatch, suffix, block_bytes
):
    monkeypatch.setattr(byte_lines, "MAX_LINE_BYTES", 100_000)
    monkeypatch.setattr(multistream, "_READ", 7_000)
    pages = dump(30)
    for number, text in ((4, "山" * 33_000), (9, "山" * 500_000)):
        pages[number] = PAGE.format(id=number, title="城", ns=0, redirect="", text=text)
    path = tmp_path / f"dump.xml{suffix}"
    path.write_bytes(COMPRESS[suffix]("".join(pages).encode()))
    found = read(path, "mediawiki", block_bytes)
    assert [each.name for each in found] == [str(n) for n in range(30)]
    assert [number for number, each in enumerate(found) if each.reason == document.OVERSIZED] == [9]
    assert found[9].size == len(pages[9].encode()) - 1
    assert len(found[4].text) == 33_000


@pytest.mark.parametrize("tag", ["<title>", "<text>", "<text x=", "<model>", "<ns>", "<id>1", "<page"])
def test_a_page_of_tags_without_an_end_is_one_page(tmp_path, tag):
    path = tmp_path / "x.xml"
    path.write_text(f"<mediawiki><page>{tag * 200_000}</page>{''.join(dump(5))}", encoding="utf-8")
    assert len(read(path, "mediawiki")) == 6


def test_the_real_dump_is_kept_and_skipped_as_its_answers_say(shared_data):
    path = shared_data / "corpus" / "wiki_dump_sample.xml.bz2"
    with gzip.open(
        shared_data / "corpus" / "wiki_dump_sample.gold.jsonl.gz", "rt", encoding="utf-8"
    ) as stream:
        gold = {str(row["id"]): row["keep"] for row in map(json.loads, stream)}
    found = read(path, "mediawiki", 200_000)
    assert len(found) == len(gold)
    agree = sum((each.reason is None and bool(each.text)) == gold[each.name] for each in found)
    assert agree >= 0.99 * len(gold)


def test_texts_of_a_jsonl_file_may_be_markdown(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "text": "---\ntitle: 题\n---\n# 城市\n\n有**山**有[水](x)。\n\n```\ncode\n```\n"},
        {"id": "b", "text": "```\ncode\n```\n"},
        {"id": "c"},
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    piece = plan.FileRange("s", 0, str(path), "jsonl", "text", path.stat().st_size, text_format="markdown")
    found = list(documents(piece))
    assert found[0].text.split() == ["城市", "有山有水。"]
    assert [each.reason for each in found] == [None, "no_main_text", "no_text_field"]


def test_long_documents_come_in_parts_that_hold_all_of_them_and_none_is_a_scrap():
    most = document.MOST_CHARACTERS
    whole = document.RawDocument("name", "文" * most)
    assert list(document.split_long(whole)) == [whole]
    refused = document.RawDocument("name", "x" * (most + 1), "invalid_json", 7)
    assert list(document.split_long(refused)) == [refused]
    for unit, end in (("一行。又一句\n", "\n"), ("一句。再一句，", "。"), ("无", "无"), ("\r\n", "\n")):
        for size in (most + 1, 2 * most, 2 * most + 1, 7 * most + 13):
            text = "題\n" + (unit * (size // len(unit) + 1))[:size]
            parts = list(document.split_long(document.RawDocument("name", text)))
            assert "".join(part.text for part in parts) == text
            assert [part.name for part in parts] == [f"name-{number}" for number in range(len(parts))]
            assert all(most // 4 < len(part.text) <= most for part in parts)
            assert all(part.text.endswith(end) for part in parts[:-1])
