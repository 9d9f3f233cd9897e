"""Features worked out by hand on texts of a few characters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mobilebert.finetuning import features


def line(context: str, answer: str, start: int, question: str = "问") -> dict[str, Any]:
    return {
        "id": "1",
        "context": context,
        "question": question,
        "answers": [{"text": answer, "start": start}],
    }


def test_one_text_is_framed_and_padded(pieces: Any) -> None:
    made = features.classification([{"text": "ab", "text_pair": None, "label": 1}], pieces(), 16)
    a, b = pieces().encode("ab").ids
    assert made.ids.tolist() == [[pieces.cls, a, b, pieces.sep] + [pieces.pad] * 12]
    assert (made.first.tolist(), made.length.tolist(), made.targets["label"].tolist()) == ([4], [4], [1])
    assert made.ids.dtype == np.int32


def test_pairs_and_single_texts_keep_their_places(pieces: Any) -> None:
    lines = [
        {"text": "a", "text_pair": "bc", "label": 0},
        {"text": "d", "label": 1},
        {"text": "e", "text_pair": "f", "label": 0},
    ]
    made = features.classification(lines, pieces(), 16)
    a, b, c, d, e, f = pieces().encode("abcdef").ids
    cls, sep = pieces.cls, pieces.sep
    assert made.ids[0, :6].tolist() == [cls, a, sep, b, c, sep]
    assert made.ids[1, :4].tolist() == [cls, d, sep, pieces.pad]
    assert made.ids[2, :5].tolist() == [cls, e, sep, f, sep]
    assert (made.first.tolist(), made.length.tolist()) == ([3, 3, 3], [6, 3, 5])


def test_truncation_equals_taking_from_the_longer_text_one_by_one() -> None:
    for first in range(9):
        for second in range(9):
            for room in range(10):
                a, b = list(range(first)), list(range(second))
                while len(a) + len(b) > room:  # BERT's _truncate_seq_pair
                    (a if len(a) > len(b) else b).pop()
                found = features.truncate([np.arange(first), np.arange(second)], room)
                assert [part.tolist() for part in found] == [a, b], (first, second, room)


def test_a_long_single_text_loses_its_end(pieces: Any) -> None:
    made = features.classification([{"text": "a" * 20 + "b" * 20, "label": 0}], pieces(), 24)
    a, b = pieces().encode("ab").ids
    assert made.ids[0].tolist() == [pieces.cls] + [a] * 20 + [b] * 2 + [pieces.sep]


def test_an_answer_becomes_positions(pieces: Any) -> None:
    windows = features.reading([line("甲乙丙丁戊", "丙丁", 2)], pieces(), 16)
    row = windows.features
    # [CLS] 问 [SEP] 甲 乙 丙 丁 戊 [SEP]
    assert (row.targets["start"].tolist(), row.targets["end"].tolist()) == ([5], [6])
    assert (row.first.tolist(), row.length.tolist(), windows.offset.tolist()) == ([3], [9], [0])


def test_an_answer_at_the_end_of_the_context(pieces: Any) -> None:
    windows = features.reading([line("甲乙丙", "丙", 2)], pieces(), 16)
    assert (windows.features.targets["start"].tolist(), windows.features.targets["end"].tolist()) == (
        [5],
        [5],
    )


def test_windows_slide_and_reach_the_end(pieces: Any) -> None:
    context = "".join(chr(0x4E00 + n) for n in range(30))
    windows = features.reading([line(context, context[29], 29)], pieces(), 16, stride=5)
    room = 16 - 3 - 1
    assert windows.offset.tolist() == [0, 5, 10, 15, 20]
    assert windows.features.length.tolist() == [16, 16, 16, 16, 3 + 10 + 1]
    ids = pieces().encode(context).ids
    for row, offset in zip(windows.features.ids, windows.offset, strict=True):
        assert row[3 : 3 + min(room, 30 - offset)].tolist() == ids[offset : offset + room].tolist()


def test_an_answer_cut_by_a_window_belongs_only_to_windows_that_hold_all_of_it(pieces: Any) -> None:
    context = "".join(chr(0x4E00 + n) for n in range(30))
    windows = features.reading([line(context, context[11:14], 11)], pieces(), 16, stride=5)
    # tokens 11..13: window 0 holds 0..11 (cut), 5..16 and 10..21 whole, 15.. nothing
    assert windows.features.targets["start"].tolist() == [0, 3 + 6, 3 + 1, 0, 0]
    assert windows.features.targets["end"].tolist() == [0, 3 + 8, 3 + 3, 0, 0]


@pytest.mark.parametrize(
    ("answer", "start", "expected"),
    [
        ("丙", 2, (1, 1)),
        ("乙", 1, (1, 1)),
        ("乙丙丁", 1, (1, 2)),
        ("甲乙", 0, (0, 1)),
        ("甲乙丙丁", 0, (0, 2)),
    ],
)
def test_tokens_of_several_characters_that_cover_the_answer(
    pieces: Any, answer: str, start: int, expected: tuple[int, int]
) -> None:
    encoding = pieces("乙丙").encode("甲乙丙丁")  # 甲 | 乙丙 | 丁
    assert (
        features.answer_tokens([{"text": answer, "start": start}], encoding.starts, encoding.ends) == expected
    )


def test_tokens_without_characters_and_white_space_are_not_chosen() -> None:
    starts, ends = (
        np.array([0, 1, 1, 3]),
        np.array([1, 1, 2, 4]),
    )  # the second token is empty, character 2 is white space
    assert features.answer_tokens([{"text": "x", "start": 1}], starts, ends) == (2, 2)
    assert features.answer_tokens([{"text": " ", "start": 2}], starts, ends) is None
    assert features.answer_tokens([{"text": "x y", "start": 1}], starts, ends) == (2, 3)


def test_the_first_answer_with_a_known_place_counts() -> None:
    starts, ends = np.arange(4), np.arange(1, 5)
    answers = [{"text": "x", "start": -1}, {"text": "y", "start": 3}, {"text": "z", "start": 0}]
    assert features.answer_tokens(answers, starts, ends) == (3, 3)
    assert features.answer_tokens(answers[:1], starts, ends) is None


def test_questions_are_cut_at_64_tokens_and_below_half_the_sequence(pieces: Any) -> None:
    long = line("甲乙丙", "丙", 2, question="问" * 100)
    assert features.reading([long], pieces(), 256).features.first.tolist() == [66]
    assert features.reading([long], pieces(), 32).features.first.tolist() == [14 + 2]


@pytest.mark.parametrize(("length", "stride"), [(512, 128), (128, 32), (32, 16)])
def test_default_stride_is_a_quarter_of_the_sequence_and_at_least_16(
    pieces: Any, length: int, stride: int
) -> None:
    windows = features.reading([line("甲" * 1000, "甲", 0)], pieces(), length)
    assert set(np.diff(windows.offset)) == {stride}


def test_no_token_is_skipped_when_a_window_holds_less_than_the_stride(pieces: Any) -> None:
    windows = features.reading([line("甲" * 50, "甲", 0, question="问" * 9)], pieces(), 16)
    room = 16 - 3 - 6
    assert set(np.diff(windows.offset)) == {room}
    assert windows.offset[-1] + room >= 50


def test_training_keeps_all_windows_with_the_answer_and_as_many_without(pieces: Any) -> None:
    context = "".join(chr(0x4E00 + n) for n in range(90))
    lines = [line(context, context[20], 20), line("甲乙", "丁", -1), line("甲乙丙", "丙", 2)]
    windows = features.reading(lines, pieces(), 16, stride=4)
    chosen = features.training_rows(windows, seed=5)
    start, question = windows.features.targets["start"], windows.question
    assert set(np.flatnonzero(start > 0)) <= set(chosen)
    of_first = chosen[question[chosen] == 0]
    assert (start[of_first] > 0).sum() == (start[of_first] == 0).sum() == 3
    assert not (question[chosen] == 1).any(), "a question without an answer teaches nothing"
    assert (question[chosen] == 2).sum() == 1
    assert chosen.tolist() == features.training_rows(windows, seed=5).tolist()
    # Fixed numbers: a run that goes on after an update of NumPy must choose the same windows.
    assert chosen.tolist() == [1, 3, 4, 5, 10, 11, 22]
    assert any(chosen.tolist() != features.training_rows(windows, seed).tolist() for seed in range(4))
    taken = windows.features.take(chosen)
    assert taken.targets["start"].tolist() == start[chosen].tolist()
    assert taken.ids.tolist() == windows.features.ids[chosen].tolist()
