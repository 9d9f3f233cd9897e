"""Sentences of Chinese text."""

from __future__ import annotations

import gzip
import json
import re

import pytest

from mobilebert.text import sentences


def split(text):
    return [text[start:end] for start, end in sentences.spans(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("今天下雨。我们不去了！好吗？好；行。", ["今天下雨。", "我们不去了！", "好吗？", "好；", "行。"]),
        ("他说：“你好。我走了。”然后走了。再见！", ["他说：“你好。我走了。”然后走了。", "再见！"]),
        ("“你好。”“你也好。”他笑了……然后？！不。", ["“你好。”", "“你也好。”他笑了……", "然后？！", "不。"]),
        ("（真的。）下一句。", ["（真的。）", "下一句。"]),
        ("「走吧。」他說。", ["「走吧。」他說。"]),
        ("真的?是!好", ["真的?", "是!", "好"]),
        ("若a!=b则打开x?y=1的页面。完", ["若a!=b则打开x?y=1的页面。", "完"]),
        ("标题\n正文没有句号\n\n 第二段。", ["标题", "正文没有句号", "第二段。"]),
        ("“没有闭合的引号。下一句。", ["“没有闭合的引号。", "下一句。"]),
        ("", []),
        ("\n \n", []),
    ],
)
def test_sentences_end_where_a_reader_would_end_them(text, expected):
    assert split(text) == expected


def test_a_long_quotation_is_split_inside():
    quotation = "“" + "这是一个很长的句子里的一个分句。" * 6 + "”"
    assert len(split(quotation)) == 6


def test_no_character_but_white_space_is_lost(shared_data):
    with gzip.open(shared_data / "corpus" / "articles_markdown.jsonl.gz", "rt", encoding="utf-8") as stream:
        texts = [json.loads(line)["text"] for line, _ in zip(stream, range(150), strict=False)]
    for text in texts:
        assert "".join("".join(split(text)).split()) == "".join(text.split())


@pytest.mark.parametrize(
    "text", ["“" * 100_000, "？a" * 100_000, "!" * 100_000, "“a”" * 50_000, "! " * 100_000, "。" * 100_000]
)
def test_no_character_of_hostile_text_is_lost(text):
    assert "".join("".join(split(text)).split()) == "".join(text.split())


def test_no_quantifier_of_the_pattern_backtracks():
    """So the time it takes is linear."""
    pattern = re.sub(r"#.*|\[[^]]*\]", "", sentences._SENTENCE.pattern)
    assert re.findall(r"(?:[*+?]|(?<=[^?(])\{[\d,]+\})(?!\+)(?<!\+)(?<!\(\?)", pattern) == []
