"""Soft line ends become what CSS makes of them, and lines cut at a width are known."""

from __future__ import annotations

import pytest

from mobilebert.text.soft_breaks import cut_at_a_width, join_cut_lines, join_lines


@pytest.mark.parametrize(
    ("wrapped", "joined"),
    [
        ("智\n能", "智能"),
        ("智，\n能", "智，能"),
        ("智 \n\t 能", "智能"),
        ("deep\nlearning", "deep learning"),
        ("用\nPython 写", "用 Python 写"),
        ("Python\n写", "Python 写"),
        ("写完。\nPython", "写完。Python"),
        ("Python\n（语言）", "Python（语言）"),
        ("他说\n“好”\n就走", "他说“好”就走"),
        ("word\n“quote”", "word “quote”"),
        ("等了——\n很久……\n才来", "等了——很久……才来"),
        ("カタ\nカナ", "カタカナ"),
        ("한국\n어", "한국 어"),
        ("漢\n한국", "漢 한국"),
        ("\n 首尾 \n", "首尾"),
        ("", ""),
    ],
)
def test_line_ends_inside_a_paragraph(wrapped, joined):
    assert join_lines(wrapped) == joined


LINE = "山里的路走了一天也没有走完，天黑以前到了一个只有三户人家的小村子" * 2


def test_lines_of_one_width_are_cut_but_before_empty_and_indented_ones():
    lines = [
        LINE[:33],
        LINE[3:36],
        LINE[7:40],
        "到了。",
        "",
        LINE[:33],
        LINE[5:38],
        "　　" + LINE[9:38],
        "完。",
    ]
    assert cut_at_a_width(lines) == [True, True, True, False, False, True, False, True, False]


@pytest.mark.parametrize(
    "lines",
    [
        ["床前明月光，", "疑是地上霜。", "举头望明月，", "低头思故乡。"],
        [LINE[:30] + "。", LINE[3:33] + "。", LINE[6:36] + "。"],
        [LINE[:12], LINE[:25], LINE[:33], LINE[:18], LINE[:21]],
        [LINE[:33], LINE[3:36]],
        ["short", "words", "", "of", "English"],
        [],
    ],
    ids=["verse", "sentences", "titles", "two lines", "words", "none"],
)
def test_lines_that_end_where_their_author_ended_them_stay(lines):
    assert not any(cut_at_a_width(lines))


def test_a_wider_heading_or_table_hides_no_width():
    lines = [LINE, LINE[:33], LINE[3:36], LINE[7:40], "到了。"]
    assert cut_at_a_width(lines) == [False, True, True, True, False]


def test_an_address_ends_its_line():
    address = "网址：https://example.cn/" + "a" * 42
    assert cut_at_a_width([address, LINE[:33], LINE[3:36], LINE[7:40], "到了。"])[0] is False


def test_a_text_without_lines_of_one_width_stays_as_it_is():
    text = "床前明月光，\r\n疑是地上霜。\r\n举头望明月，\r\n低头思故乡。"
    assert join_cut_lines(text) is text
