"""Dumps of wikis: what the corpus holds is what a reader of the wiki sees."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

TAIL = "每年春天，许多人从城里坐船过来，在河边的茶馆里听老人讲从前的事情，直到天黑才慢慢地走回家去。"


def revision(text: str, timestamp: str = "") -> str:
    stamp = f"<timestamp>{timestamp}</timestamp>" if timestamp else ""
    return (
        f"<revision><id>5</id>{stamp}<model>wikitext</model>"
        f'<text xml:space="preserve">{escape(text)}</text></revision>'
    )


def page(number: int, *revisions: str, title: str = "题", extra: str = "") -> str:
    return f"<page><title>{title}</title><ns>0</ns><id>{number}</id>{extra}{''.join(revisions)}</page>\n"


@pytest.fixture
def shown(tmp_path: Path, clean: Callable) -> Callable[[str], str]:
    """What the corpus holds of a page of this source, followed by `TAIL`."""

    def run(source: str) -> str:
        path = tmp_path / "zhwiki.xml"
        path.write_text(f"<mediawiki>\n{page(1, revision(source + TAIL))}</mediawiki>\n", encoding="utf-8")
        return clean(path).text.removesuffix(TAIL)

    return run


def test_the_latest_revision_of_a_page_is_read(tmp_path, clean):
    old, new = "旧的版本里有很多错字，" + TAIL, "新的版本已经改好了，" + TAIL
    path = tmp_path / "history.xml"
    path.write_text(
        "<mediawiki>"
        + page(1, revision(old), revision(new))
        + page(2, revision(new * 2, "2020-01-01T00:00:00Z"), revision(old, "2005-01-01T00:00:00Z"))
        + page(3, revision("#重定向 [[题]]"), revision(TAIL))
        + page(4, revision(old * 2), revision("#REDIRECT [[题]]"), extra='<redirect title="题" />')
        + "</mediawiki>",
        encoding="utf-8",
    )
    cleaned = clean(path)
    assert list(cleaned.texts.values()) == [new, new * 2, TAIL]
    assert cleaned.funnel["total"]["reasons"]["redirect"]["documents"] == 1


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (
            "这座山高{{convert|1600|m|ft}}，山下住着{{formatnum:12300}}人。",
            "这座山高1600m，山下住着12300人。",
        ),
        ("他回信说：{{cquote|路还很长，慢慢走。}}我记住了。", "他回信说：路还很长，慢慢走。我记住了。"),
        ("{{Nihongo|京都塔|京都タワー|Kyōto tawā}}很高。", "京都塔很高。"),
        ("水（{{chem|H|2|O}}）由<chem>H2</chem>烧成。", "水（H2O）由H2烧成。"),
        (r"设<math>x</math>为数，则<math>\sqrt{x}</math>存在。", "设x为数，则[公式]存在。"),
        ("他到过{{link-en|波特兰|Portland, Oregon}}和{{tsl|en|Salem|塞勒姆}}。", "他到过波特兰和塞勒姆。"),
        ("{{ruby|渡|dù}}口的<ruby>船<rp>(</rp><rt>chuán</rt><rp>)</rp></ruby>很旧。", "渡口的船很旧。"),
    ],
)
def test_a_template_in_a_sentence_leaves_no_hole(shown, source, text):
    assert shown(source) == text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("[[:en:Ada Lovelace|阿达]]写过程序。", "阿达写过程序。"),
        ("见[[:Category:渡口|渡口]]和[[:File:a.jpg|照片]]。", "见渡口和照片。"),
        ("《[[Re:从头来过]]》和《[[BBC:新闻|新闻]]》。", "《Re:从头来过》和《新闻》。"),
        ("《[[UFO：来客]]》。[[Category:渡口]][[en:Ferry]][[文件:a.jpg|thumb|图]]", "《UFO：来客》。"),
    ],
)
def test_links_are_shown_as_the_wiki_shows_them(shown, source, text):
    assert shown(source) == text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("-{zh-cn:[[软件|软件业]];zh-tw:[[軟體|軟體業]]}-很大。", "软件业很大。"),
        ("-{H|zh-cn:网络;zh-tw:網路}-这是網路。", "这是网络。"),
        ('-{zh-hans:<b style="color:red;">甲&nbsp;乙</b>;zh-hant:丙&nbsp;丁}-说。', "甲 乙说。"),
        ("-{函式=>zh-cn:函数;}-写短了。", "函数写短了。"),
    ],
)
def test_language_conversion_shows_the_mainland_variant(shown, source, text):
    assert shown(source) == text


def test_a_tag_that_asks_for_disambiguation_drops_no_article(tmp_path, clean):
    path = tmp_path / "zhwiki.xml"
    pages = [
        *(page(n, revision(f"渡口{n}{{{{{name}}}}}{TAIL}")) for n, name in enumerate(INLINE)),
        *(page(50 + n, revision(f"渡口可以指：{{{{{name}}}}}{TAIL}")) for n, name in enumerate(WHOLE)),
    ]
    path.write_text(f"<mediawiki>{''.join(pages)}</mediawiki>", encoding="utf-8")
    cleaned = clean(path)
    assert len(cleaned.texts) == len(INLINE)
    assert cleaned.funnel["total"]["reasons"]["disambiguation"]["documents"] == len(WHOLE)


INLINE = ["需要消歧义|日期=2020年", "消歧义需求", "Disambiguation needed|date=May 2020", "dn", "請求消歧義"]
WHOLE = [
    "disambig",
    "消歧义",
    "消歧義頁",
    "人名消歧义",
    "地名消歧義",
    "hndis|陈",
    "Airport disambiguation",
    "消含糊",
]


def test_an_impossible_character_reference_leaves_no_trace(tmp_path, clean):
    path = tmp_path / "zhwiki.xml"
    source = page(1, revision("渡口" + TAIL)).replace("渡口", "渡&#x0;口&amp;#xD800;有&#1114112;船&#12290;")
    path.write_text(f"<mediawiki>{source}</mediawiki>", encoding="utf-8")
    assert clean(path).text == "渡口有船。" + TAIL
