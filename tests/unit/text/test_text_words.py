"""Words by character offset."""

from __future__ import annotations

import gzip
import itertools
import json

import pytest

from mobilebert.text import words


def spans(text: str) -> list[str]:
    starts = words.boundaries(text).tolist()
    return [text[start:end] for start, end in itertools.pairwise([*starts, len(text)])]


def test_words_of_a_sentence_are_found_by_their_offsets():
    assert spans("我来到北京清华大学。") == ["我", "来到", "北京", "清华大学", "。"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "北京\n\n上海",
        "  两个 空格  ",
        "𠀀字 emoji😀👨‍👩‍👧 abc123",
        "半\ud83d角",
        "1,234.5%",
        "\ufeff零\u200b宽",
        "，。！？——……",
        "\r\n\t",
        "一个" + "a" * 300 + "长词",
    ],
)
def test_every_character_belongs_to_exactly_one_word(text):
    starts = words.boundaries(text).tolist()
    assert "".join(spans(text)) == text
    assert starts == sorted(set(starts))
    assert (starts[:1] == [0]) == bool(text)


def test_a_character_outside_the_basic_plane_counts_as_one():
    assert words.boundaries("𠀀北京").tolist() == [0, 1]


def test_offsets_cover_real_paragraphs(shared_data):
    with gzip.open(
        shared_data / "corpus" / "wiki_paragraphs_hans.jsonl.gz", "rt", encoding="utf-8"
    ) as stream:
        texts = [json.loads(next(stream))["text"] for _ in range(200)]
    for text in texts:
        assert "".join(spans(text)) == text
        assert 1.2 < len(text) / len(words.boundaries(text)) < 3


def test_long_texts_are_cut_in_pieces_as_they_would_be_whole() -> None:
    lines = [
        "我来到北京清华大学。",
        "",
        "  abc\r",
        "半\ud83d角",
        "长" * 7000,
        "小明硕士毕业于中国科学院计算所",
        "a" * 300,
        "工信处女干事",
    ]
    text = "\n".join(lines * 20) + "\n"
    whole = words.rjieba.cut(text.replace("\ud83d", "\ufffd"))
    calls = []
    starts = words.boundaries(text, lambda piece: calls.append(piece) or words.rjieba.cut(piece))
    assert starts.tolist() == [0, *itertools.accumulate(map(len, whole))][:-1]
    assert "".join(each for each in calls if not any("\ud800" <= c <= "\udfff" for c in each)).count(
        "\n"
    ) == text.count("\n")
    assert len(calls) > 20
