"""Reading of tab-separated classification files."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from mobilebert.errors import UserError
from mobilebert.tasks import TASKS
from mobilebert.tasks.columns import Columns

PAIRS = Columns(
    ("text_a", "text_b", "label"), {"0": 0, "1": 1}, text="text_a", label="label", text_pair="text_b"
)


def file(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "train.tsv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def read(path: Path):
    return TASKS["chnsenticorp"].read(path, "train", training=True)


def test_quotation_marks_and_odd_line_ends_are_text(tmp_path: Path) -> None:
    split = read(file(tmp_path, 'label\ttext_a\n1\t"好\u2028吃\n0\t他说"不好\r\n'))
    assert [(example.text, example.label) for example in split.examples] == [
        ('"好\u2028吃', 1),
        ('他说"不好', 0),
    ]
    assert [example.id for example in split.examples] == ["train-2", "train-3"]


def test_the_header_may_be_absent_or_in_another_order(tmp_path: Path) -> None:
    assert [example.text for example in read(file(tmp_path, "1\t好\n0\t坏\n")).examples] == ["好", "坏"]
    assert [
        (example.text, example.label)
        for example in read(file(tmp_path, "\ufefftext_a\tlabel\n好\t1\n")).examples
    ] == [("好", 1)]


def test_bad_rows_are_left_out_counted_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    split = read(file(tmp_path, "label\ttext_a\n1\t好\n0\n1\t \n0\t一\t二\n0\t坏\n1\t好好\n0\t坏坏\n"))
    assert split.counts == {"examples": 4, "bad_rows": 3}
    assert [line for line in (3, 4, 5) if f"line {line}:" in caplog.text] == [3, 4, 5]


def test_pairs(tmp_path: Path) -> None:
    split = PAIRS.read(file(tmp_path, "text_a\ttext_b\tlabel\n甲\t乙\t1\n"), "dev", training=False)
    assert split.examples[0].to_json() == {"id": "dev-2", "text": "甲", "text_pair": "乙", "label": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("label\ttext_a\n", "no row of data"),
        ("label\ttext_a\n2\t好\n", "line 2: label '2', expected one of 0, 1"),
        ("a\tb\tc\n", "line 1: 3 tab-separated columns, expected 2: label<TAB>text_a"),
        ("标签\t文本\n1\t好\n", "line 1: '标签<TAB>文本' is neither the header"),
        ("1\t好\n1,好\n0,坏\n", "2 of 3 rows are bad"),
        (b"label\ttext_a\n1\t\xba\xc3\n", "line 2: not UTF-8"),
    ],
)
def test_refusals_say_where_and_what(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(UserError) as caught:
        read(file(tmp_path, text))
    assert message in str(caught.value)
    assert "train.tsv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read(tmp_path / "absent.tsv")


def test_all_rows_of_the_real_files(shared_data: Path) -> None:
    for split, count, positive in (("train", 6154, 3100), ("dev", 1161, 577)):
        read = TASKS["chnsenticorp"].read(
            shared_data / "tasks" / "chnsenticorp" / f"{split}.tsv", split, training=split == "train"
        )
        assert read.counts == {"examples": count}
        assert sum(example.label for example in read.examples) == positive
        assert any('"' in example.text for example in read.examples)


def test_pairs_of_the_real_files(shared_data: Path) -> None:
    assert (
        PAIRS.read(shared_data / "tasks" / "lcqmc" / "dev.txt", "dev", training=False).counts["examples"]
        == 795
    )
