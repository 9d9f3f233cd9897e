"""Each rule's edge: a text just inside stays, one just outside goes, with the reason of that rule."""

from __future__ import annotations

import gzip
import json
from collections import Counter

import numpy as np
import pytest

from mobilebert.settings import Corpus
from mobilebert.text import document, filters, lines, repetition
from mobilebert.text.normalise import normalise

# Sentences without a 4-gram in common, so that no rule on repetition meets them unasked.
SENTENCES = (
    "在这个故事里，我们的主人公来到了一座没有名字的城市。",
    "他说这里什么都好，后来就不想走了，一住三十年！",
    "每天早上先去河边看看远处青山，再写几行字。",
    "晚上朋友来喝茶，大家谈起从前和将来，直到夜深。",
    "有人问为何不回家，于是沉默良久，笑而不答。",
    "窗外下雪，屋内炉火正旺，猫睡得很香。",
)


def reason(text: str, rule, **changes) -> str | None:
    dropped = rule(document.Documents([text]), Corpus.model_validate(changes))
    assert dropped.shape == (1,)
    return rule.__name__ if dropped[0] else None


def repeated(pieces, times: int) -> str:
    return "\n".join(pieces[at % len(pieces)] for at in range(times))


@pytest.mark.parametrize(
    ("rule", "changes", "inside", "outside"),
    [
        (filters.empty, {}, "一", " \n "),
        (filters.too_short, {"min_characters": 5}, "一二三四 五", "一二三四 "),
        (filters.low_han_share, {"min_han_share": 0.3}, "汉字好" + "a" * 7, "汉字好" + "a" * 8),
        (filters.other_language, {}, "汉" * 80 + "の" * 20, "汉" * 79 + "の" * 21),
        (filters.other_language, {}, "汉" * 80 + "한" * 20, "汉" * 79 + "한" * 21),
        (
            filters.uncommon_characters,
            {"max_uncommon_share": 0.25},
            "国" * 30 + "翀" * 10,
            "国" * 29 + "翀" * 11,
        ),
        (filters.broken_characters, {}, "字" * 399 + "\ufffd" * 2, "字" * 398 + "\ufffd" * 3),
        (filters.broken_characters, {}, "字" * 97 + "?字" * 3, "字" * 90 + "?字" * 4),
        (filters.few_stop_words, {"min_stop_words": 2}, "国" * 198 + "的是", "国" * 198 + "的的"),
        (filters.few_stop_words, {"min_stop_words": 2}, "国" * 199, "国" * 200),
        (
            filters.few_punctuated_lines,
            {"min_punctuated_line_share": 0.25},
            "一。\n二\n三\n四",
            "一。\n二\n三\n四\n五",
        ),
        (filters.short_lines, {"min_mean_line": 6}, "一二三四五六\n一二三四五六", "一二三四五六\n一二三四五"),
        (filters.many_symbols, {"max_symbol_share": 0.1}, "字" * 9 + "…", "字" * 8 + "…"),
        (filters.bullet_lines, {"max_bullet_line_share": 0.5}, "• 一\n• 二\n三\n四", "• 一\n• 二\n• 三\n四"),
        (
            filters.ellipsis_lines,
            {"max_ellipsis_line_share": 0.5},
            "一…\n二...\n三\n四",
            "一…\n二...\n三…\n四",
        ),
        (
            repetition.duplicate_lines,
            {"max_duplicate_line_share": 0.25},
            "甲\n乙\n丙" + "丁" * 9 + "\n甲",
            "甲\n乙" + "丁" * 9 + "\n甲",
        ),
        (
            repetition.duplicate_lines,
            {"max_duplicate_line_share": 1, "max_duplicate_line_characters": 0.22},
            "一二三\n四五六七八九\n一二三",
            "一二三\n四五六七八\n一二三",
        ),
        (
            repetition.frequent_phrase,
            {"max_phrase_share": 0.5},
            "".join(SENTENCES),
            "".join(SENTENCES[:2]) + "买手机吧" * 13,
        ),
        (repetition.repeated_ngrams, {"max_repeated_share": 0.5}, "".join(SENTENCES), "".join(SENTENCES) * 3),
    ],
)
def test_a_rule_keeps_what_is_just_inside_and_drops_what_is_just_outside(rule, changes, inside, outside):
    assert reason(inside, rule, **changes) is None
    assert reason(outside, rule, **changes) == rule.__name__


@pytest.mark.parametrize(
    ("rule", "setting", "text"),
    [
        (filters.cantonese, {"cantonese": "drop"}, "佢哋喺度食咗飯先至返屋企，啲餸好好食嘅。"),
        (filters.few_stop_words, {"min_stop_words": 3}, "国" * 198 + "的是"),
        (filters.short_lines, {"min_mean_line": 7}, "一二三四五六\n一二三四五六"),
        (filters.many_symbols, {"max_symbol_share": 0.0}, "字" * 99 + "#"),
        (filters.bullet_lines, {"max_bullet_line_share": 0.0}, "- 一\n二\n三"),
        (filters.ellipsis_lines, {"max_ellipsis_line_share": 0.0}, "一…\n二\n三\n四"),
        (repetition.frequent_phrase, {"max_phrase_share": 0.01}, "".join(SENTENCES) + SENTENCES[0]),
    ],
)
def test_the_threshold_is_the_setting(rule, setting, text):
    assert reason(text, rule) is None
    assert reason(text, rule, **setting) == rule.__name__


def test_every_rule_has_its_own_reason_and_all_run():
    names = [rule.__name__ for rule in filters.FILTERS]
    assert len(set(names)) == len(names) == 16


CANTONESE = (
    "琴日我同阿媽去咗街市買餸，見到啲菜好新鮮，就買咗兩斤菜心。\n阿媽話而家啲嘢越嚟越貴，一條魚都要成百蚊，真係食唔起。\n"
    "我話唔緊要啦，間中食好啲都好嘅，佢聽完就笑咗。\n返到屋企，我哋一齊煮飯，老豆坐喺度睇電視，乜都唔使做。"
)


@pytest.mark.parametrize(
    "text", [CANTONESE, CANTONESE.replace("買", "买").replace("見", "见"), CANTONESE[:60]]
)
def test_written_cantonese_is_chinese_that_a_setting_may_drop(text):
    documents = document.Documents([text, text + "\n" + "".join(SENTENCES)])
    assert filters.judge(documents, Corpus()) == [None, None]
    assert filters.judge(documents, Corpus(cantonese="drop"))[0] == "cantonese"


def test_a_chinese_text_with_a_cantonese_word_is_not_cantonese():
    text = "广东人把不叫作唔，把他叫作佢，这是很多人都知道的事情，北方没有多少人这样说，写文章的时候不用。"
    assert filters.judge(document.Documents([text]), Corpus(cantonese="drop")) == [None]


def test_texts_are_judged_alike_alone_and_together():
    lists = ["- 一\n- 二…\n- 三", "买手机吧" * 20]
    texts = [
        *SENTENCES,
        "",
        "".join(SENTENCES) * 2,
        "かな交じり",
        "a" * 50,
        repeated(SENTENCES, 20),
        "",
        *lists,
    ]
    together, settings = document.Documents(texts), Corpus()
    verdicts = [rule(together, settings) for rule in filters.FILTERS]
    for place, alone in enumerate(document.Documents([text]) for text in texts):
        assert [bool(rule(alone, settings)[0]) for rule in filters.FILTERS] == [
            bool(verdict[place]) for verdict in verdicts
        ]
        assert [part[0] for part in alone.counts] == [part[place] for part in together.counts]
        assert (
            alone.lines[0]
            == together.lines[place]
            == len([line for line in texts[place].split("\n") if line])
        )
        assert np.array_equal(alone.wording_of(0), together.wording_of(place))
    assert set(filters.judge(together, settings)) >= {None, "empty", "other_language", "duplicate_lines"}


@pytest.mark.parametrize(
    "text",
    [
        "".join(SENTENCES) * 2,
        repeated(SENTENCES, 20),
        "甲乙丙丁" * 9,
        "没有重复。" * 3,
        "买手机吧" * 13 + SENTENCES[0],
    ],
)
def test_shares_are_those_of_a_plain_count(text):
    """A threshold just at the share keeps a text, one just below drops it."""
    phrases = Counter(text[at : at + 4] for at in range(len(text) - 3))
    most = max(phrases.values())
    letters = "".join(filter(str.isalnum, text))
    grams = Counter(letters[at : at + 13] for at in range(len(letters) - 12))
    repeats = sum(n - 1 for n in grams.values()) / max(sum(grams.values()), 1)
    for rule, setting, share in (
        (
            repetition.frequent_phrase,
            "max_phrase_share",
            (most if most > 1 and len(text) >= 40 else 0) * 4 / len(text),
        ),
        (repetition.repeated_ngrams, "max_repeated_share", repeats),
    ):
        assert reason(text, rule, **{setting: share}) is None
        assert share == 0 or reason(text, rule, **{setting: share - 1e-9}) == rule.__name__


def test_documents_with_a_line_twice_are_candidates():
    documents = document.Documents(["甲\n乙\n丙", "甲乙\n丙\n甲乙", "", "丁\n\n丁", "甲"])
    assert repetition.candidates_of_duplicate_lines(documents).tolist() == [1, 3]


def test_wording_ignores_punctuation_case_and_script():
    both = document.Documents(
        ["漢語的後來，在Python裡發生了什麼事情？", "汉语的后来在 PYTHON 里发生了什么事情"]
    )
    assert len(both.wording_of(0))
    assert np.array_equal(both.wording_of(0), both.wording_of(1))


def test_copies_of_a_line_stay_up_to_the_most_and_lines_without_han_are_left():
    found = lines.clean("\n".join(["本章完结于此处", '"outputs": 1'] * 5), 3)
    assert Counter(found.text.split("\n")) == {"本章完结于此处": 3, '"outputs": 1': 5}
    assert found.dropped == {"repeated": (2, 2 * len("本章完结于此处".encode()))}


@pytest.mark.parametrize(
    "line", ["译者：某某", "校对：某某", "原文地址：某处", "via: 某处", "本文由 某某 原创编译，某某 荣誉推出"]
)
def test_credits_of_translated_articles_are_boilerplate(line):
    assert lines.judge(line) == "boilerplate"


def test_real_clean_text_is_unharmed(shared_data):
    """Every rule together loses at most 0.5 % of clean prose, dialogue and statutes' text, and 3 % of
    classical verse.
    """
    for name, most in (
        ("wiki_paragraphs_hans", 0.005),
        ("wiki_paragraphs_hant", 0.005),
        ("dialogue", 0.005),
        ("hant_classical_verse", 0.03),
    ):
        with gzip.open(shared_data / "corpus" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as stream:
            texts = [normalise(json.loads(line)["text"]) for line in stream]
        kept = [lines.clean(text, 3).text for text in texts]
        reasons = filters.judge(document.Documents(kept), Corpus())
        dropped = [text for text, reason in zip(kept, reasons, strict=True) if reason]
        assert sum(map(len, dropped)) <= most * sum(map(len, texts)), name
