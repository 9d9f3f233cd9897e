"""Pieces of records: shorter sequences for a phase of a training, and a host's share of a batch."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from mobilebert.errors import UserError
from mobilebert.records import crops
from mobilebert.records.dataset import RecordSet, shard_name
from mobilebert.records.record_format import RecordFormat
from mobilebert.settings import Masking
from mobilebert.storage import artifacts

PAD, UNK, CLS, SEP, MASK = SPECIAL = 0, 1, 2, 3, 4
FORM = RecordFormat(64, 300)
FLAG = FORM.word_start
MASKING = Masking(max_predictions=10)


def row(*segments: list[int]) -> np.ndarray:
    """(1, 64): [CLS] A [SEP] B [SEP] [PAD] ..., every other token the first of a word."""
    ids = [CLS, *(id for segment in segments for id in (*[one | FLAG * (one % 2) for one in segment], SEP))]
    return np.array([ids + [PAD] * (64 - len(ids))], FORM.dtype)


def texts(made: np.ndarray) -> list[list[int]]:
    """The ids between [CLS] and the last [SEP] of each piece, which must be framed."""
    found = []
    for ids in (made & ~FORM.dtype.type(FLAG)).tolist():
        end = len(ids) - ids[::-1].index(SEP) - 1
        assert ids[0] == CLS
        assert set(ids[end + 1 :]) <= {PAD}
        assert PAD not in ids[:end]
        found.append(ids[1:end])
    return found


def test_a_record_falls_into_windows_and_every_chance_meets_one() -> None:
    text = list(range(100, 162))
    chances = np.linspace(0, 0.999, 60)
    made = crops.cut(row(text).repeat(60, axis=0), 24, chances, FORM, SPECIAL, paired=False)
    assert made.shape == (60, 24)
    found = texts(made)
    assert [list(one) for one in sorted({tuple(one) for one in found})] == [
        text[0:22],
        text[22:44],
        text[44:62],
    ]
    counts = [found.count(one) for one in (text[0:22], text[22:44], text[44:62])]
    assert min(counts) >= 19
    assert (made[:, 1] >= FLAG).all(), "a word that is cut goes on as a word"
    assert (made[0, 2:23] >= FLAG).tolist() == [one % 2 == 1 for one in text[1:22]]


def test_a_short_rest_is_no_piece_and_a_short_record_is_taken_whole() -> None:
    chances = np.linspace(0, 0.999, 20)
    assert {
        len(one)
        for one in texts(
            crops.cut(row(list(range(100, 129))).repeat(20, axis=0), 24, chances, FORM, SPECIAL, paired=False)
        )
    } == {22}
    assert texts(crops.cut(row([7, 8, 9]), 24, np.array([0.9]), FORM, SPECIAL, paired=False)) == [[7, 8, 9]]


def test_pieces_of_labelled_pairs_hold_the_end_of_one_and_the_begin_of_the_other() -> None:
    chances = np.linspace(0, 0.999, 40)
    for first, second in ((30, 25), (1, 50), (50, 1), (5, 4)):
        a, b = list(range(100, 100 + first)), list(range(200, 200 + second))
        rows = row(a, b).repeat(40, axis=0)
        rows[:, 0] |= FLAG  # the label stays with the record
        made = crops.cut(rows, 24, chances, FORM, SPECIAL, paired=True)
        assert (made[:, 0] == CLS | FLAG).all()
        found = texts(made)
        for one in found:
            middle = one.index(SEP)
            left, right = one[:middle], one[middle + 1 :]
            assert left
            assert left == a[-len(left) :]
            assert right
            assert right == b[: len(right)]
            assert len(one) == min(22, first + second + 1)
        if min(first, second) > 20:
            assert len({tuple(one) for one in found}) > 10


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> RecordSet:
    """50 training records with 5 to 62 tokens."""
    folder = tmp_path_factory.mktemp("records")
    random = np.random.default_rng(1)
    rows = np.concatenate(
        [row(random.integers(5, 300, length).tolist()) for length in random.integers(5, 63, 52)]
    )
    with artifacts.writing(folder, "records") as writer:
        writer.path(shard_name("train", 0, 1)).write_bytes(FORM.pack(rows[:50]))
        writer.path(shard_name("heldout", 0, 1)).write_bytes(FORM.pack(rows[50:]))
        special = dict(zip(("pad", "unk", "cls", "sep", "mask"), SPECIAL, strict=True))
        body = {
            "sequence_length": 64,
            "vocabulary_size": 300,
            "train": [50],
            "heldout": [2],
            "unigram_accuracy": 0.1,
            "vocabulary": "x",
        }
        writer.path("records.json").write_text(json.dumps(body | special), encoding="utf-8")
    return RecordSet(folder)


def test_batches_of_pieces_follow_the_order_of_the_records_from_any_step_on(records: RecordSet) -> None:
    from mobilebert.records import reader

    def batches(
        start: int, length: int | None = 24, share: tuple[int, int] = (0, 1)
    ) -> list[dict[str, np.ndarray]]:
        dataset = reader.train_batches(records, MASKING, 8, 3, start, length, share)
        return [
            {name: value.numpy() for name, value in batch.items()} for batch in itertools.islice(dataset, 20)
        ]

    whole, through = batches(0, None), batches(0)
    assert {name: value.shape for name, value in through[0].items()} == {
        "input_ids": (8, 24),
        "segment_ids": (8, 24),
        "input_mask": (8, 24),
        "masked_positions": (8, 4),
        "masked_ids": (8, 4),
        "masked_weights": (8, 4),
    }
    for name in through[0]:
        assert all(
            (one[name] == other[name]).all() for one, other in zip(through[7:], batches(7), strict=False)
        ), name
        halves = zip(batches(5, share=(0, 2)), batches(5, share=(1, 2)), strict=True)
        assert all(
            (np.concatenate([a[name], b[name]]) == one[name]).all()
            for (a, b), one in zip(halves, through[5:], strict=False)
        ), name

    def unmasked(batch: dict[str, np.ndarray], row: int) -> list[int]:
        ids = batch["input_ids"][row].copy()
        count = int(batch["masked_weights"][row].sum())
        ids[batch["masked_positions"][row, :count]] = batch["masked_ids"][row, :count]
        return ids[1 : batch["input_mask"][row].sum() - 1].tolist()

    for one, other in zip(through, whole, strict=True):
        for place in range(8):
            piece, text = unmasked(one, place), unmasked(other, place)
            assert any(text[at : at + len(piece)] == piece for at in range(len(text)))


def test_records_that_cannot_be_cut_are_refused_before_anything_is_read(
    records: RecordSet, tmp_path: Path
) -> None:
    from mobilebert.records import reader

    with pytest.raises(UserError, match="a phase asks for sequences of 64 tokens, and the records have 64"):
        reader.train_batches(records, MASKING, 8, 3, 0, 64)
