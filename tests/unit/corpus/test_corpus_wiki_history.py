"""Dumps with the history of each page."""

from __future__ import annotations

import bz2
import tracemalloc
from pathlib import Path

import pytest

from mobilebert.corpus import plan
from mobilebert.corpus.readers import byte_lines
from mobilebert.corpus.readers.by_format import documents

SITE = (
    '<mediawiki><siteinfo><namespaces><namespace key="0" case="first-letter" />'
    '<namespace key="6" case="first-letter">画像</namespace>'
    '<namespace key="110" case="first-letter">论坛</namespace></namespaces></siteinfo>\n'
)


def read(path: Path, block_bytes: int) -> list:
    entry = {"source": "s", "path": str(path), "format": "mediawiki", "text_field": "text"}
    elements = plan.elements([entry | {"size": path.stat().st_size}], block_bytes)
    return [each for element in elements for block in element.ranges for each in documents(block)]


def revision(stamp: str, text: str) -> str:
    stamp = f"<timestamp>{stamp}</timestamp>" if stamp else ""
    return f"<revision><id>7</id>{stamp}<model>wikitext</model><text>{text}</text></revision>\n"


def page(number: int, revisions: list[str], head: str = "<ns>0</ns>", title: str = "题") -> str:
    return f"<page><title>{title}</title>{head}<id>{number}</id>\n{''.join(revisions)}</page>\n"


@pytest.mark.parametrize("suffix", ["", ".bz2"])
@pytest.mark.parametrize("block_bytes", [40, 700, 1 << 20])
def test_each_page_gives_its_latest_revision_at_any_block_size(tmp_path, suffix, block_bytes):
    pages = [
        page(n, [revision(f"20{year:02}-01-01T00:00:00Z", f"第{n}页{year}") for year in order])
        for n, order in enumerate([range(9), range(8, -1, -1), [3, 8, 1], [8]])
    ]
    path = tmp_path / f"history.xml{suffix}"
    if suffix:
        path.write_bytes(b"".join(bz2.compress(each.encode()) for each in [SITE, *pages]))
    else:
        path.write_text(SITE + "".join(pages), encoding="utf-8")
    assert [each.text for each in read(path, block_bytes)] == [f"第{n}页8" for n in range(4)]


def test_revisions_without_a_timestamp_are_judged_by_their_order(tmp_path):
    path = tmp_path / "history.xml"
    path.write_text(page(1, [revision("", "一"), revision("", "二"), revision("", "三")]), encoding="utf-8")
    assert [each.text for each in read(path, 1 << 20)] == ["三"]


def test_a_page_of_many_revisions_is_not_kept_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(byte_lines, "MAX_LINE_BYTES", 3_000_000)
    many = [
        revision(f"2010-01-01T{n // 60:02}:{n % 60:02}:00Z", f"第{n}版" + "山" * 20_000) for n in range(700)
    ]
    path = tmp_path / "history.xml"
    path.write_text(SITE + page(1, many) + page(2, [revision("", "后面")]), encoding="utf-8")
    assert path.stat().st_size > 40_000_000
    tracemalloc.start()
    first, second = read(path, 1 << 30)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (first.reason, first.text[:5], second.text) == (None, "第699版", "后面")
    assert most < 10_000_000


@pytest.mark.parametrize("block_bytes", [60, 1 << 20])
def test_namespaces_are_those_that_the_dump_names(tmp_path, block_bytes):
    pages = [
        page(1, [revision("", "甲[[画像:a.jpg|图]]")]),
        page(2, [revision("", "版规")], head="", title="论坛:版规"),
        page(3, [revision("", "乙")], head="", title="模板:乙"),
        page(4, [revision("", "丙")], head="", title="Re:丙"),
    ]
    path = tmp_path / "dump.xml"
    path.write_text(SITE + "".join(pages), encoding="utf-8")
    found = read(path, block_bytes)
    assert [each.reason for each in found] == [None, "not_an_article", "not_an_article", None]
    assert [each.text for each in found if not each.reason] == ["甲", "丙"]


def test_an_impossible_character_reference_is_dropped(tmp_path):
    path = tmp_path / "dump.xml"
    path.write_text(
        page(
            1, [revision("", f"甲&#x0;乙&amp;#0;丙&#xDFFF;&#x110000;&#{'9' * 5000};丁&#x4e00;&amp;#20108;")]
        ),
        "utf-8",
    )
    assert read(path, 1 << 20)[0].text == "甲乙丙丁一二"
