"""Reading of tab-separated classification files."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas
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


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_file_that_pandas_wrote_is_read_as_pandas_reads_it(tmp_path: Path, end: str) -> None:
    texts = [
        "房间很好\n早餐也不错",
        '房间很好，"真的"不错',
        "好\t吃",
        '"',
        "不好",
        '"全句都在引号里。"',
        '住过""一次',
        "好\n不\t好\n0 分",
    ]
    frame = pandas.DataFrame({"label": [1, 0] * 4, "text_a": texts})
    frame.to_csv(tmp_path / "train.tsv", sep="\t", index=False, lineterminator=end)
    split = read(tmp_path / "train.tsv")
    assert [example.text for example in split.examples] == texts
    assert [example.label for example in split.examples] == list(frame["label"])
    assert [example.id for example in split.examples[:3]] == ["train-2", "train-4", "train-5"]


def test_a_file_with_every_field_quoted_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    split = read(file(tmp_path, '"label"\t"text_a"\n"1"\t"很好"\n"0"\t"一般\n\n再说"\n'))
    assert [(example.text, example.label) for example in split.examples] == [("很好", 1), ("一般\n\n再说", 0)]
    assert caplog.text == ""


@pytest.mark.parametrize(
    "rows",
    [
        '1\t"好吃\n0\t不好吃\n1\t还行"\n',  # two rows that begin and end with a mark are no field
        '1\t"老店"的味道\n',
        '1\t他说"不错"\n',
        '1\t"好"吃"\n',
    ],
)
def test_marks_of_a_file_without_quoting_stay_as_they_are(tmp_path: Path, rows: str) -> None:
    split = read(file(tmp_path, f"label\ttext_a\n{rows}"))
    assert [f"{example.label}\t{example.text}" for example in split.examples] == rows.splitlines()


def test_quoted_fields_among_single_marks_are_taken_as_text_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    split = read(file(tmp_path, 'label\ttext_a\n1\t"他说""好"""\n0\t说"不好\n'))
    assert [example.text for example in split.examples] == ['"他说""好"""', '说"不好']
    assert "1 fields begin and end with a quotation mark" in caplog.text


def test_bad_rows_of_a_quoted_file_are_named_by_their_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    split = read(file(tmp_path, 'label\ttext_a\n1\t"一\n二"\n0\n\n0\t"三"\n1\t四\n0\t五\n'))
    assert split.counts == {"examples": 4, "bad_rows": 2}
    assert [number for number in range(2, 9) if f"line {number}:" in caplog.text] == [4, 5]


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
