"""Hard-wrapped lines are joined by one rule in HTML, Markdown and reStructuredText."""

from __future__ import annotations

import textwrap

import pytest

SENTENCE = (
    "老船工在渡口等了一个上午，直到雾气散去，对岸的人才把货物一件一件地搬到船上来，"
    "他说今年的水比往年都要大，要小心。"
)
MIXED = "这家店的菜单用 Python 和 Rust 写成，“可以自己改”，他们说：source code is on the wall——谁都能看。"
WRITTEN = {"rst": "{}\n", "md": "{}\n", "html": "<html><body><article><p>{}\n</p></article></body></html>"}


@pytest.mark.parametrize("suffix", WRITTEN)
def test_wrapped_paragraph_is_one_line(tmp_path, clean, suffix):
    path = tmp_path / f"page.{suffix}"
    path.write_text(WRITTEN[suffix].format("\n".join(textwrap.wrap(SENTENCE, 20))), encoding="utf-8")
    assert clean(path).text == SENTENCE


@pytest.mark.parametrize("suffix", WRITTEN)
def test_spaces_stay_between_words_and_none_come_beside_han_and_marks(tmp_path, clean, suffix):
    wrapped = MIXED.replace(" ", "\n").replace("，", "，\n").replace("——", "——\n").replace("菜单", "菜\n单")
    path = tmp_path / f"page.{suffix}"
    path.write_text(WRITTEN[suffix].format(wrapped), encoding="utf-8")
    assert clean(path).text == MIXED


def test_text_of_a_pdf_has_its_paragraphs_back_across_pages(tmp_path, clean):
    paragraphs = [f"第{number}次去的时候，{SENTENCE * 3}" for number in "一二三"]
    pages = ["\n".join(textwrap.wrap(text, 30, initial_indent="    ")) for text in paragraphs]
    path = tmp_path / "report.txt"
    path.write_text("\n\n\f".join(pages).replace("\n", "\r\n"), encoding="utf-8", newline="")
    assert clean(path, {"max_repeated_share": 1, "max_phrase_share": 1}).text == "\n".join(paragraphs)
