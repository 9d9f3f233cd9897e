"""HTML: what shows text and what does not, tables, links, and what is done where the extractor fails."""

from __future__ import annotations

import pytest

from mobilebert.corpus.readers import document, html
from mobilebert.corpus.readers.document import RawDocument

SENTENCES = [
    "河边的磨坊早就不磨面了，木轮子上长满了青苔。",
    "冬天水小的时候，可以从石头上走到对岸去。",
    "磨坊主人的儿子在城里开了一家面包店，生意很好。",
    "他每年清明都会回来，把屋顶上的瓦检查一遍。",
]
TEXT = "\n".join(SENTENCES)


def page(body: str) -> str:
    return f"<html><head><title>磨坊</title></head><body>{body}</body></html>"


def paragraphs(sentences: list[str]) -> str:
    return "".join(f"<p>{sentence}</p>" for sentence in sentences)


@pytest.mark.parametrize(
    "noise",
    [
        "<script>var 甲 = 1;</script>",
        "<noscript>请打开脚本。</noscript>",
        "<span style='display: none'>看不见。</span>",
        "<font class='jammer'>x9 k3</font>",
        "<i hidden>看不见。</i>",
        "<select><option>甲</option></select>",
        "<!-- 注释。 -->",
        "<svg><title>图。</title></svg>",
        "&#0;&#x1f;\x08\ud800",
    ],
)
def test_what_shows_no_text_is_no_text_and_ends_no_line(noise):
    first = SENTENCES[0].replace("木轮子", f"木{noise}轮子")
    assert html.main_text(page(f"<p>{first}</p>{paragraphs(SENTENCES[1:])}")) == TEXT


def test_page_that_a_script_would_show_is_read():
    body = f"<div style='display:none'>{paragraphs(SENTENCES)}</div>"
    assert html.main_text(page(body)) == TEXT


def test_tables_of_data_are_no_main_text_and_rows_of_a_fragment_are_lines():
    table = "<table><tr><th>年</th><th>水位</th></tr><tr><td>1998</td><td>三米</td></tr></table>"
    assert html.main_text(page(f"<article>{paragraphs(SENTENCES)}{table}</article>")) == TEXT
    assert html.main_text(table) == "年 水位\n1998 三米"


def test_sentences_in_cells_are_paragraphs_even_if_all_cells_are_headings():
    cells = "".join(f"<tr><th>楼{n}</th><th>{each}</th></tr>" for n, each in enumerate(SENTENCES))
    lines = html.main_text(page(f"<table>{cells}</table>")).split("\n")
    assert [line for line in lines if line in SENTENCES] == SENTENCES


def test_words_of_buttons_and_links_stay_in_sentences_and_menus_go():
    body = paragraphs([SENTENCES[0].replace("磨坊", "<a href='/m'>磨坊</a>", 1), *SENTENCES[1:]])
    body = body.replace("石头", "<button>石头</button>")
    menu = (
        "<div><a href='/'>首页</a> | <a href='/b'>新闻</a> | <a href='/c'>论坛</a><button>登录</button></div>"
    )
    assert html.main_text(page(f"{menu}{body}{menu}")) == TEXT


def test_all_from_first_to_last_sentence_is_read_where_the_extractor_fails(monkeypatch):
    monkeypatch.setattr(html, "_main_keys", lambda tree: {html._key(SENTENCES[0])})
    footer = "<footer>版权所有，翻印必究。</footer>"
    body = f"<div>页首</div><h1>磨坊</h1>{paragraphs(SENTENCES)}<div>一楼</div>{footer}"
    assert html.main_text(page(body)) == f"磨坊\n{TEXT}"


@pytest.mark.parametrize(
    "source", ["<!doctype html>", page(""), page("<nav><a href='/'>首页</a></nav>"), "<br>", " "]
)
def test_pages_without_text_have_no_main_text_and_say_nothing(source, caplog):
    assert document.extracted(RawDocument("x", source), html.main_text).reason == document.NO_MAIN_TEXT
    assert not caplog.records


def test_too_many_preformatted_lines_are_oversized(monkeypatch):
    monkeypatch.setattr(document, "MAX_MARKS", 400)
    for text in (page("<pre>" + "山\n" * 500 + "</pre>"), "<b>山</b>" + "山\n" * 500):
        assert document.extracted(RawDocument("x", text), html.main_text).reason == document.OVERSIZED


@pytest.mark.parametrize("unit", ["<div>山。", "<table><tr><td>山。", "<ul><li>山。", "<font>山。"])
def test_nesting_loses_no_text_and_beyond_the_parsers_limit_is_oversized(unit):
    for count in (600, 5_000):
        read = document.extracted(RawDocument("x", page(unit * count)), html.main_text)
        assert read.reason == (None if count == 600 else document.OVERSIZED)
        assert read.text.count("山。") == count
