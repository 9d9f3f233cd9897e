"""Bytes to text: right, or refused with a reason."""

from __future__ import annotations

import hashlib
import json

import pytest

from mobilebert.text.decode import decode, wide_encoding

SIMPLIFIED = (
    "在这个故事里，我们的主人公来到了一座没有名字的城市。"
    "他说：“这里的人都很好。”后来他就不想走了，一住就是三十年。\n"
)
TRADITIONAL = (
    "在這個故事裡，我們的主人公來到了一座沒有名字的城市。"
    "他說：「這裡的人都很好。」後來他就不想走了，一住就是三十年。\n"
)
KOREAN = (
    "대한민국은 동아시아의 한반도 남부에 위치한 민주공화국이다. "
    "서쪽으로는 서해를 사이에 두고 중화인민공화국이 있다."
)
JAPANESE = (
    "日本国は、東アジアに位置し、日本列島および南西諸島などから成る島国である。"
    "首都は東京都。国土の多くは山地である。"
)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (SIMPLIFIED, name)
        for name in (
            "utf-8",
            "utf-8-sig",
            "gb2312",
            "gbk",
            "gb18030",
            "utf-16",
            "utf-16-le",
            "utf-16-be",
            "utf-32",
            "utf-32-be",
            "utf-7",
            "hz",
        )
    ]
    + [(TRADITIONAL, name) for name in ("utf-8", "big5", "cp950", "big5hkscs", "gb18030", "utf-16-le")]
    + [("plain English, nothing else\n", "ascii"), ("a+b-c+d", "ascii"), ("", "utf-8")],
)
def test_chinese_text_is_read_in_its_encoding(text, encoding):
    assert decode(text.encode(encoding)).text == text


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (KOREAN.encode("euc-kr"), "undecodable"),
        (JAPANESE.encode("euc-jp"), "undecodable"),
        (JAPANESE.encode("shift_jis"), "undecodable"),
        ("Россия — большое государство в Восточной Европе".encode("koi8-r", "replace"), "undecodable"),
        ("Ça coûte très cher à côté de l'hôtel".encode("latin-1"), "undecodable"),
        (SIMPLIFIED.encode()[:-2], "undecodable"),
        (SIMPLIFIED.encode().replace("城".encode(), b"\xff"), "undecodable"),
        (b"\xff\xfe" + SIMPLIFIED.encode("utf-16-le")[:-1], "undecodable"),
        (bytes(range(256)) * 8, "binary"),
    ],
)
def test_what_is_not_chinese_text_is_refused_rather_than_guessed(data, reason):
    found = decode(data)
    assert found.text is None
    assert found.reason == reason


def test_a_short_gbk_word_that_is_valid_utf8_is_not_taken_for_it():
    data = "没么模".encode("gbk")
    assert data.decode("utf-8") == "ûôģ"
    assert decode(data).text is None


def test_a_stray_nul_byte_does_not_hide_utf8():
    assert decode((SIMPLIFIED * 2).encode() + b"\0").encoding == "utf-8"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"])
def test_wide_encodings_show_in_the_first_bytes(encoding):
    found = wide_encoding((SIMPLIFIED * 20).encode(encoding)[:1023])
    assert found is not None
    assert found.startswith(encoding[:6])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "big5"])
def test_narrow_encodings_are_not_wide(encoding):
    assert wide_encoding((TRADITIONAL * 20).encode(encoding)[:1023]) is None


def test_real_files_are_right_or_refused(shared_data):
    """The index gives the SHA-256 of the right text; issue 3 asks for none wrong and 51 of 53 right."""
    folder = shared_data / "corpus" / "encodings"
    right, wrong = 0, []
    for entry in json.loads((folder / "index.json").read_text(encoding="utf-8")):
        text = decode((folder / entry["file"]).read_bytes()).text
        if text is not None:
            same = hashlib.sha256(text.encode()).hexdigest() == entry["utf8_sha256"]
            right += same
            wrong += [] if same else [entry["file"]]
    assert wrong == []
    assert right >= 51
