"""One form for the same text."""

from __future__ import annotations

import gzip
import json
import sys
import unicodedata

import pytest

from mobilebert.text.normalise import _MAY_COMPOSE, normalise, normalise_all


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("ＡＢＣ１２３ｘｙｚ", "ABC123xyz"),
        ("你好，世界。（真的？）；：“好”！", "你好，世界。（真的？）；：“好”！"),
        ("价格～￥５０％", "价格～￥50％"),
        ("一\r\n二\r三\u2028四\x85五\x0b六\x0c七", "一\n二\n三\n四\n五\n六\n七"),
        ("  一\u3000 \t二  \n\n\n 三\xa0", "一 二\n三"),
        ("零\u200b宽\ufeff连\u2060接\u00ad符\u202e向", "零宽连接符向"),
        ("空\x00字\x07符", "空字符"),
        ("e\u0301te\u0301", "été"),
        ("e\u200b\u0301", "é"),
        ("半\ud83d个", "半\ufffd个"),
        ("x² ①㎏", "x² ①㎏"),
        ("only\tascii\x01 text \r\n", "only ascii text"),
        ("⽂⽤⼈⼀⾏⽅⻚⻓⻅⼼⻢⺼", "文用人一行方页长见心马肉"),
        ("一\u1680二\u2003三", "一 二 三"),
        ("零\u200d宽\u200c连接\ufeff，１2３，２０2４年，Ａb９", "零宽连接，123，2024年，Ab9"),
        ("葛\U000e0100城❤\ufe0f", "葛城❤"),
        ("\x1b[1;32m绿\x1b[m色", "绿色"),
        ("三锟斤拷夜，锟斤拷锟斤拷", "三\ufffd\ufffd夜，\ufffd\ufffd\ufffd\ufffd"),
        ("的锟斤拷锟叫，锟斤紝", "的\ufffd\ufffd\ufffd，\ufffd紝"),
        ("嚙踝蕭，占쏙옙，錕斤拷，啮踝萧", "，".join(["\ufffd\ufffd"] * 4)),
        ("ï¿½，Ã¯Â¿Â½，ÔøΩ，∩┐╜，´┐¢", "，".join(["\ufffd"] * 5)),
        ("凉â€œ快â€\x9d，â€”", "凉\ufffd快\ufffd，\ufffd"),
        ("烫烫烫烫，屯屯屯", "\ufffd\ufffd\ufffd\ufffd，\ufffd\ufffd\ufffd"),
        ("曹锟教育，烫烫烫！屯屯，啮齿动物，钬与鈥雷射", "曹锟教育，烫烫烫！屯屯，啮齿动物，钬与鈥雷射"),
        ("", ""),
        (" \n\u3000\n", ""),
    ],
)
def test_text_takes_its_one_form(raw, expected):
    assert normalise(raw) == expected
    assert normalise(expected) == expected
    assert normalise_all([raw, expected]) == [expected, expected]


def test_every_radical_becomes_the_character_that_it_shows():
    for first, last in ((0x2E81, 0x2EF3), (0x2F00, 0x2FD5)):
        for code in range(first, last + 1):
            if unicodedata.category(chr(code)) != "Cn":
                assert "CJK UNIFIED" in unicodedata.name(normalise(chr(code))), hex(code)
    for code in (0x2E9F, 0x2EF3):  # the two that NFKC has, too
        assert normalise(chr(code)) == unicodedata.normalize("NFKC", chr(code))


def test_compatibility_ideographs_become_the_unified_ones():
    assert normalise("\uf9dc豈") == unicodedata.normalize("NFC", "\uf9dc豈")


def test_every_character_that_nfc_may_change_passes_the_gate():
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        may_change = (
            not unicodedata.is_normalized("NFC", character)
            or unicodedata.category(character) in {"Mn", "Mc"}
            or 0x1160 <= code <= 0x11FF  # Hangul vowels and finals compose with what stands before
        )
        if may_change and not 0xD800 <= code <= 0xDFFF:
            assert _MAY_COMPOSE.match(character), hex(code)


def test_real_text_is_nfc_and_stable_afterwards(shared_data):
    for name in ("wiki_paragraphs_hans", "hant_classical_verse", "subtitles_ass"):
        with gzip.open(shared_data / "corpus" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as stream:
            texts = [json.loads(line)["text"] for line, _ in zip(stream, range(300), strict=False)]
        for text in texts:
            once = normalise(text)
            assert normalise(once) == once
            assert unicodedata.is_normalized("NFC", once)
            assert "\r" not in once
            assert "\ufeff" not in once


def test_texts_do_not_depend_on_those_that_are_normalised_with_them(shared_data):
    for name in ("articles_markdown", "dialogue", "subtitles_ass", "hant_statutes"):
        with gzip.open(shared_data / "corpus" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as stream:
            raw = [json.loads(line)["text"] for line, _ in zip(stream, range(120), strict=False)]
        raw += ["", " ", "\n", raw[0]]
        assert normalise_all(raw) == list(map(normalise, raw))


def test_a_character_that_has_another_form_is_seen():
    codes = (*range(0x3400), *range(0xD7B0, 0x10000), *range(0x10000, sys.maxunicode + 1, 41))
    texts = [f"好{chr(code)}好" for code in codes]
    for at in range(0, len(texts), 10_000):
        assert normalise_all(texts[at : at + 10_000]) == list(map(normalise, texts[at : at + 10_000]))


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "一",
        " 一",
        "一 ",
        "一\n",
        "\n一",
        "一\n\n二",
        "一 \n二",
        "一\n 二",
        "一  二",
        "一\t二",
        "一 二",
        "一\n二",
    ],
)
def test_blanks_are_seen_wherever_they_stand(text):
    around = ["好", text, "", text, "好"]
    assert normalise_all(around) == list(map(normalise, around))
    assert normalise_all([]) == []
