"""Markdown as Chinese authors write it."""

from __future__ import annotations

import pytest

from mobilebert.corpus.readers.markup import prose


def test_emphasis_beside_chinese_marks_leaves_no_asterisk(tmp_path, clean):
    path = tmp_path / "page.md"
    path.write_text(
        "机器启动以前**先检查油位。**油不够的时候指示灯会亮，**注意：**灯亮了就不要再开。*“慢速”*是新手用的，"
        "**（一档）****（二档）**都可以；老师傅用**《操作手册》**里写的第三档。\n",
        encoding="utf-8",
    )
    assert clean(path).text == (
        "机器启动以前先检查油位。油不够的时候指示灯会亮，注意：灯亮了就不要再开。“慢速”是新手用的，"
        "（一档）（二档）都可以；老师傅用《操作手册》里写的第三档。"
    )


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("***重要。***请看", "重要。请看"),
        ("`**不动。**`是代码", "**不动。**是代码"),
        (r"\*\*原样。\*\*后", "**原样。**后"),
        ("2 * 3 * 4 和 a*b，他**的", "2 * 3 * 4 和 a*b，他**的"),
        ("文件_名_称 snake_case_name", "文件_名_称 snake_case_name"),
        ("[**链接。**](http://a.example)字", "链接。字"),
        ("使用**“GPU”**API", "使用“GPU”API"),
        ("|甲|乙|\n|-|-|\n|**一。**二|三|", "甲 乙 \n一。二 三 "),
        ("第一行  \n第二行<br>第三行", "第一行\n第二行\n第三行"),
        ("<ruby>漢<rt>hàn</rt></ruby>字", "漢字"),
        ("<div>用 <code>x</code> 命令<pre>code</pre><p>段落</p></div>", "用 x 命令\n段落"),
    ],
)
def test_marks_that_are_no_emphasis_stay(source, text):
    assert prose(source).rstrip("\n") == text
