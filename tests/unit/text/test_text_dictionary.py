"""A user's words: brought into the text's form, found wherever they stand whole, or refused by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from mobilebert.errors import UserError
from mobilebert.text import words
from mobilebert.text.dictionary import read_dictionary


def cut(
    folder: Path, entries: str, text: str, lowercase: bool = False, simplified: bool = False
) -> list[str]:
    path = folder / "words.txt"
    path.write_text(entries, encoding="utf-8")
    return words.cutter(read_dictionary(path, lowercase, simplified), lowercase)(text)


def test_a_users_words_stay_in_one_piece(tmp_path: Path) -> None:
    text = "我们用飞桨蒸馏器训练云计小模型"
    whole = cut(tmp_path, "\ufeff飞桨蒸馏器\n\n云计小 100 n\r\n小模型 5\n", text)
    assert "飞桨蒸馏器" in whole
    assert "云计小" in whole
    assert "飞桨蒸馏器" not in words.cutter("")(text)  # the other segmenter knows nothing of it


@pytest.mark.parametrize(
    "entry",
    [
        "史蒂夫·乔布斯",
        "宝马(进口)",
        "A/B测试",
        "24/7",
        "β-受体阻滞剂",
        "C++",
        "*ST舜船",
        "[/白眼]",
        "《留守女士》",
        "19-9",
    ],
)
def test_marks_and_letters_of_any_script_inside_an_entry_do_not_hide_it(tmp_path, entry):
    assert cut(tmp_path, entry, f"他说{entry}，好。") == [*words.cutter("")("他说"), entry, "，", "好", "。"]


@pytest.mark.parametrize("text", ["TRAIN", "mobilebert", "ai2", "OpenAI技术", "naïve", "ба"])
def test_a_latin_entry_is_not_seen_inside_other_words(tmp_path, text):
    assert cut(tmp_path, "ai\nber\nAI技术\nna\nа", text, lowercase=True) == words.cutter("")(text)


def test_a_latin_entry_ends_where_han_begin(tmp_path):
    assert cut(tmp_path, "GPT模型", "用GPT模型训练") == ["用", "GPT模型", "训练"]


def test_the_longest_entry_is_taken(tmp_path):
    assert cut(tmp_path, "A/B\nA/B测试\nA/B测试平台", "做A/B测试平台") == ["做", "A/B测试平台"]


def test_entries_take_the_form_of_the_text(tmp_path):
    assert "5G网络" in cut(tmp_path, "５Ｇ网络", "关心5G网络的发展")
    assert "5g网络" in cut(tmp_path, "５Ｇ网络", "关心5g网络的发展", lowercase=True)
    assert "5g网络" not in cut(tmp_path, "５Ｇ网络", "关心5g网络的发展")
    assert "飞桨蒸馏" in cut(tmp_path, "飛槳蒸餾", "我们用飞桨蒸馏", simplified=True)


def test_a_turkish_letter_does_not_shift_the_words_after_it(tmp_path):
    assert cut(tmp_path, "a/b测试", "İİ做A/B测试", lowercase=True)[-1] == "A/B测试"


def test_a_low_frequency_does_not_hide_a_word(tmp_path):
    assert cut(tmp_path, "我的 3", "我的") == ["我的"]


@pytest.mark.parametrize(
    "line", ["云计 x y z", "云计 1.5", "云计 n 5", "云 计 小", "New York", "云计 0", "\u200b"]
)
def test_a_dictionary_line_that_is_none_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "words.txt"
    path.write_text(f"飞桨\n{line}\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"words\.txt, line 2: "):
        read_dictionary(path, False, False)


@pytest.mark.parametrize(
    "line", ["飞桨", "飞桨 5", "飞桨 5 n", "飞桨 n", "飞桨\t5\tLOC", "GPT", "GPT 5 nz", "C++ eng"]
)
def test_jiebas_lines_are_read(tmp_path: Path, line: str) -> None:
    assert cut(tmp_path, line, f"用{line.split()[0]}的") == ["用", line.split()[0], "的"]
