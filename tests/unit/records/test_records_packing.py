"""What becomes of neighbours in the shuffled order: full windows, and second segments of another document."""

from __future__ import annotations

import numpy as np
import pytest

from mobilebert.records import chunking, packing, shuffling
from mobilebert.records.record_format import RecordFormat
from mobilebert.settings import Records
from mobilebert.tokenization import SPECIAL
from mobilebert.tokenization.wordpiece import WordPieceTokenizer

HAN = [chr(0x4E00 + n) for n in range(400)]
TOKENIZER = WordPieceTokenizer([*SPECIAL, "。", *HAN], True)
PAD, UNK, CLS, SEP, MASK = TOKENIZER.special_ids
FORM = RecordFormat(32, TOKENIZER.size)


def documents(count: int) -> list[str]:
    """Each of one character of its own at first, so that a text tells its document."""
    random = np.random.default_rng(1)
    return [
        "".join(
            f"{''.join(random.choice(HAN[100:], size=random.integers(3, 9)))}。"
            for _ in range(random.integers(1, 20))
        )
        for _ in range(count)
    ]


def arranged(
    texts: list[str], group: int = packing.GROUP, **changed: object
) -> tuple[np.ndarray, np.ndarray]:
    """What is written, and the rows before, both in the order of their keys."""
    settings = Records(sequence_length=32, **changed)
    packed = chunking.pack([text.encode() for text in texts], TOKENIZER, FORM, settings)
    rows = np.empty(len(packed.rows), shuffling.spilled(FORM))
    rows["key"], rows["document"], rows["ids"] = (
        np.random.default_rng(2).permutation(len(rows)),
        packed.documents,
        packed.rows,
    )
    rows.sort(order="key")
    made = packing.arrangement(settings, FORM, TOKENIZER.special_ids)
    parts = [made.group(rows[at : at + group]) for at in range(0, len(rows), group)]
    return np.concatenate([*parts, made.rest()]), rows


def plain(rows: np.ndarray) -> list[list[int]]:
    return (rows & (FORM.word_start - 1)).tolist()


def text_of(row: list[int]) -> list[list[int]]:
    """The stretches between framing tokens."""
    found: list[list[int]] = [[]]
    for id in row:
        if id in (CLS, SEP, PAD):
            found.append([])
        else:
            found[-1].append(id)
    return [part for part in found if part]


@pytest.mark.parametrize("group", [7, 4096])
def test_full_windows_have_no_padding_and_lose_no_token(group: int) -> None:
    texts = documents(200)
    rows, before = arranged(texts, group, layout="full")
    kept = plain(rows)
    assert all(PAD not in row for row in kept[:-1])
    assert all(row[0] == CLS and SEP in row for row in kept)
    seen = sorted(id for row in kept for part in text_of(row) for id in part)
    assert seen == sorted(id for text in texts for id in TOKENIZER.encode(text).ids.tolist())
    assert len(rows) < 0.9 * len(before)
    # Every stretch goes on as a stretch of a document does.
    whole = ["".join(f" {id} " for id in TOKENIZER.encode(text).ids) for text in texts]
    for row in kept[:40]:
        for part in text_of(row):
            assert any("".join(f" {id} " for id in part) in text for text in whole)


def test_a_full_window_begins_with_a_word_and_separators_have_no_flag() -> None:
    rows, _ = arranged(documents(200), layout="full")
    ids = rows & (FORM.word_start - 1)
    assert (rows[:, 1] >= FORM.word_start)[ids[:, 1] != SEP].all()
    assert not (rows >= FORM.word_start)[np.isin(ids, (CLS, SEP, PAD))].any()


def test_half_of_the_second_segments_come_from_another_document_and_are_labelled() -> None:
    texts = documents(600)
    rows, before = arranged(texts, layout="pairs", next_sentence=True)
    of_document = {}
    for row, document in zip(plain(before["ids"]), before["document"].tolist(), strict=True):
        for part in text_of(row):
            of_document[tuple(part)] = document
    labels = rows[:, 0] >= FORM.word_start
    assert abs(labels.mean() - 0.5) < 5 * np.sqrt(0.25 / len(rows))
    for label, row, old in zip(labels, plain(rows), before, strict=True):
        first, second = text_of(row)
        old_first, old_second = text_of(plain(old["ids"][None])[0])
        assert first == old_first
        if not label:
            assert second == old_second[: len(second)]
        else:
            origin = [
                document for part, document in of_document.items() if list(part[: len(second)]) == second
            ]
            assert origin
            assert old["document"] not in origin or len(set(origin)) > 1
        assert row[len(first) + 1] == row[len(first) + len(second) + 2] == SEP
        assert set(row[len(first) + len(second) + 3 :]) <= {PAD}


def test_the_length_of_a_pair_does_not_tell_its_label_and_hardly_any_token_is_lost() -> None:
    rows, before = arranged(documents(3000), layout="pairs", next_sentence=True)
    labels, lengths = rows[:, 0] >= FORM.word_start, ((rows & (FORM.word_start - 1)) != PAD).sum(axis=1)
    histograms = [
        np.bincount(lengths[labels == value], minlength=33) / (labels == value).sum()
        for value in (False, True)
    ]
    assert np.abs(histograms[0] - histograms[1]).max() < 0.04
    lost = 1 - lengths.sum() / ((before["ids"] & (FORM.word_start - 1)) != PAD).sum()
    assert 0 <= lost < 0.005


def test_rows_of_one_document_never_exchange() -> None:
    rows, before = arranged(
        ["".join(HAN[:300]) + "。" + "".join(HAN[300:])], layout="pairs", next_sentence=True
    )
    assert (rows[:, 0] < FORM.word_start).all()
    assert [text_of(row)[0] for row in plain(rows)] == [text_of(row)[0] for row in plain(before["ids"])]
