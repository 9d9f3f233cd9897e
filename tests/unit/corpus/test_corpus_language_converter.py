"""-{...}- by the grammar of MediaWiki's LanguageConverter."""

from __future__ import annotations

import pytest

from mobilebert.corpus.readers import language_converter, wikitext

TRADITIONAL = "這個時候他們來到東門，說國會還沒有開。"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        # Flags.
        ("-{R|zh-cn:甲}-", "zh-cn:甲"),
        ("-{N|zh-tw}-", "中文（台灣）"),
        ("-{D|zh-cn:甲;zh-tw:乙}-", "中文（中国大陆）：甲；中文（台灣）：乙；"),
        ("-{T|zh-cn:题;zh-tw:題}-文", "文"),
        ("-{zh-hans;zh-hant|文}-", "文"),
        ("-{|zh-cn:甲;zh-tw:乙}-", "甲"),
        ("-{A|zh-cn:甲;zh-tw:乙}-乙-{R|乙}-", "甲甲乙"),
        ("乙-{H|zh-cn:甲;zh-tw:乙}-乙-{-|zh-cn:甲;zh-tw:乙}-乙", "乙甲乙"),
        ("-{H|巨集=>zh-cn:宏}-巨集", "宏"),
        ("-{A|甲乙}--{H|zh-cn:丙;zh-tw:甲}-甲乙甲", "甲乙甲乙丙"),
        # Rules: which variant, and where they end.
        ("-{zh-tw:乙;zh-hans:甲}-", "甲"),
        ("-{zh-hk:丙;zh-sg:丁}-", "丁"),
        ("-{zh:戊;zh-tw:乙}-", "戊"),
        ("-{zh-tw:乙;zh-hk:丙}-", "乙"),
        ("-{zh-Hans-CN:甲;zh-Hant-TW:乙}-", "甲"),
        ("-{ zh-cn : 甲 ; zh-tw : 乙 ; }-", "甲"),
        ("-{zh-cn:甲;一;zh-tw:乙;二}-", "甲;一"),
        ("-{zh-cn:10:30;zh-tw:10點}-", "10:30"),
        ("-{zh-cn:\n甲\n;zh-tw:乙\n}-", "甲"),
        ("-{a=>zh-cn:甲;b=>zh-tw:乙}-", "甲"),
        # No rules: what stands there.
        ("-{甲乙}-", "甲乙"),
        ("-{en:x;zh-cn:甲}-", "en:x;zh-cn:甲"),
        ("-{1; 2}-", "1; 2"),
        # Nested, in links and templates, and what only looks like it.
        ("-{zh-cn:甲-{乙}-;zh-tw:丙}-", "甲乙"),
        ("-{zh-cn:甲-{H|zh-cn:己;zh-tw:庚}-;zh-tw:丙}-庚", "甲己"),
        ("[[-{zh-cn:甲;zh-tw:乙}-]]和[[页|-{R|名}-]]", "甲和名"),
        ("{{lang|en|-{R|Word}-}}", "Word"),
        ("-{zh-cn:{{lang|en|A}};zh-tw:B}-", "A"),
        ("甲}-乙{{lang|en|x}}-{{lang|en|y}}", "甲乙x-y"),
        ("{{NoteTA|G1=IT|1=zh-cn:软件;zh-tw:軟體}}軟體", "软件"),
    ],
)
def test_a_block_shows_what_a_mainland_reader_sees(source, text):
    assert wikitext.plain(source) == text


def test_a_page_in_traditional_characters_shows_the_words_of_taiwan():
    source = f"-{{A|zh-cn:网络;zh-hk:網絡;zh-tw:網路}}-网络{TRADITIONAL}"
    assert wikitext.plain(source) == f"網路網路{TRADITIONAL}"
    assert language_converter.is_traditional(TRADITIONAL)
    assert not language_converter.is_traditional("这个时候他们来到东门。")


def test_thousands_of_rules_convert_a_page():
    source = "".join(f"-{{A|zh-cn:甲{n}。;zh-tw:乙{n}。}}-乙{n}。" for n in range(3000))
    assert wikitext.plain(source) == "".join(f"甲{n}。" * 2 for n in range(3000))
