"""Masks: how many, which, and what stands in their place."""

from __future__ import annotations

import numpy as np
import pytest

from mobilebert.records import counter_rng
from mobilebert.records.masking import Batch, mask
from mobilebert.settings import Masking

SPECIAL = (0, 100, 101, 102, 103)  # Google's Chinese vocabulary
VOCABULARY = 21128
UNK, CLS, SEP = 100, 101, 102


def sequences(count: int, length: int = 128, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Rows [CLS] A [SEP] (B [SEP]) [PAD]..., words of 1 to 4 tokens, now and then an unknown token."""
    random = np.random.default_rng(seed)
    ids = random.integers(200, VOCABULARY, (count, length)).astype(np.int32)
    ids[random.random((count, length)) < 0.02] = UNK
    starts = random.random((count, length)) < 0.6
    for row in range(count):
        end = int(random.integers(20, length)) if row % 2 else length - 1
        ids[row, 0], ids[row, end], ids[row, end + 1 :] = CLS, SEP, 0
        starts[row, [0, end]], starts[row, 1], starts[row, end + 1 :] = False, True, False
        if row % 3 == 0:
            ids[row, end // 2], starts[row, end // 2], starts[row, end // 2 + 1] = SEP, False, True
    return ids, starts


def drawn(
    count: int, masking: Masking, seed: int = 5, epoch: int = 0
) -> tuple[np.ndarray, np.ndarray, Batch]:
    ids, starts = sequences(count)
    return (
        ids,
        starts,
        mask(ids, starts, counter_rng.keys(seed, epoch, np.arange(count)), SPECIAL, VOCABULARY, masking),
    )


@pytest.mark.parametrize("strategy", ["wwm", "token"])
def test_the_share_of_tokens_is_exact_and_special_tokens_are_never_chosen(strategy: str) -> None:
    ids, _, batch = drawn(600, Masking(strategy=strategy, max_predictions=20))
    tokens = (~np.isin(ids, SPECIAL)).sum(axis=1)
    budget = np.minimum(20, np.maximum(1, np.rint(0.15 * tokens)))
    chosen = batch["masked_weights"].sum(axis=1)
    assert (chosen <= budget).all()
    assert (chosen == budget).mean() > (0.999 if strategy == "token" else 0.97)
    real = batch["masked_weights"] == 1
    rows = np.broadcast_to(np.arange(600)[:, None], real.shape)[real]
    assert not np.isin(ids[rows, batch["masked_positions"][real]], SPECIAL).any()
    assert (batch["masked_ids"][real] == ids[rows, batch["masked_positions"][real]]).all()
    assert not np.isin(batch["input_ids"][rows, batch["masked_positions"][real]], (0, UNK, CLS, SEP)).any()


def test_padding_is_zero_and_positions_rise() -> None:
    _, _, batch = drawn(300, Masking())
    real = batch["masked_weights"] == 1
    for name in ("masked_positions", "masked_ids", "masked_weights"):
        assert not batch[name][~real].any()
    for positions, kept in zip(batch["masked_positions"], real, strict=True):
        count = kept.sum()
        assert kept[:count].all()
        assert (np.diff(positions[:count]) > 0).all()


def test_all_that_was_not_chosen_stays() -> None:
    ids, _, batch = drawn(300, Masking())
    chosen = np.zeros(ids.shape, bool)
    real = batch["masked_weights"] == 1
    chosen[np.nonzero(real)[0], batch["masked_positions"][real]] = True
    assert (batch["input_ids"][~chosen] == ids[~chosen]).all()


def test_words_are_masked_whole() -> None:
    ids, starts, batch = drawn(600, Masking(strategy="wwm"))
    chosen = np.zeros(ids.shape, bool)
    real = batch["masked_weights"] == 1
    chosen[np.nonzero(real)[0], batch["masked_positions"][real]] = True
    seen = 0
    for row in range(len(ids)):
        word: list[int] = []
        for column in range(ids.shape[1] + 1):
            ends = column == ids.shape[1] or starts[row, column] or ids[row, column] in (CLS, SEP, 0)
            if ends and word:
                assert len({bool(chosen[row, c]) for c in word}) == 1, (row, word)
                seen += len(word) > 1 and bool(chosen[row, word[0]])
                word = []
            if column < ids.shape[1] and ids[row, column] not in SPECIAL:
                word.append(column)
    assert seen > 500


def test_single_tokens_are_masked_without_regard_to_words() -> None:
    ids, starts, batch = drawn(600, Masking(strategy="token"))
    inside = sum(
        not starts[row, p] and p - 1 not in positions.tolist() and ids[row, p - 1] not in SPECIAL
        for row, (positions, weights) in enumerate(
            zip(batch["masked_positions"], batch["masked_weights"], strict=True)
        )
        for p in positions[weights == 1]
    )
    assert inside > 500


def test_four_fifths_become_mask_a_tenth_random_a_tenth_stays() -> None:
    _, _, batch = drawn(3000, Masking())
    real = batch["masked_weights"] == 1
    rows = np.nonzero(real)[0]
    now, truth = batch["input_ids"][rows, batch["masked_positions"][real]], batch["masked_ids"][real]
    total = real.sum()
    for share, found in ((0.8, now == 103), (0.1, now == truth), (0.1, (now != 103) & (now != truth))):
        assert abs(found.sum() / total - share) < 5 * np.sqrt(share * (1 - share) / total)
    replaced = now[(now != 103) & (now != truth)]
    counts, _ = np.histogram(replaced, 8, (0, VOCABULARY))
    assert np.abs(counts - len(replaced) / 8).max() < 5 * np.sqrt(len(replaced) / 8)


def test_every_place_is_chosen_equally_often() -> None:
    ids = np.tile(np.r_[CLS, np.arange(200, 240), SEP].astype(np.int32), (4000, 1))
    starts = np.ones(ids.shape, bool)
    batch = mask(ids, starts, counter_rng.keys(1, np.arange(4000)), SPECIAL, VOCABULARY, Masking())
    counts = np.bincount(batch["masked_positions"][batch["masked_weights"] == 1], minlength=42)
    assert counts[0] == counts[41] == 0
    assert np.abs(counts[1:41] - 600).max() < 5 * np.sqrt(600)


def test_segments_and_mask_follow_from_the_ids() -> None:
    ids = np.array([[CLS, 200, 201, SEP, 202, SEP, 0, 0], [CLS, 200, 201, 202, 203, SEP, 0, 0]], np.int32)
    batch = mask(
        ids,
        np.ones(ids.shape, bool),
        counter_rng.keys(1, np.arange(2)),
        SPECIAL,
        VOCABULARY,
        Masking(max_predictions=2),
    )
    assert batch["segment_ids"].tolist() == [[0, 0, 0, 0, 1, 1, 0, 0], [0] * 8]
    assert batch["input_mask"].tolist() == [[1] * 6 + [0] * 2] * 2


def test_a_mask_depends_on_its_record_alone() -> None:
    ids, starts = sequences(40)
    keys = counter_rng.keys(5, 2, np.arange(40))
    whole = mask(ids, starts, keys, SPECIAL, VOCABULARY, Masking())
    part = mask(ids[7:9], starts[7:9], keys[7:9], SPECIAL, VOCABULARY, Masking())
    assert all((whole[name][7:9] == part[name]).all() for name in whole)
    other = mask(ids, starts, counter_rng.keys(5, 3, np.arange(40)), SPECIAL, VOCABULARY, Masking())
    assert (other["masked_positions"] != whole["masked_positions"]).any(axis=1).all()


def chosen_places(ids: np.ndarray, batch: Batch) -> np.ndarray:
    """(B, S) bool."""
    made = np.zeros(ids.shape, bool)
    real = batch["masked_weights"] == 1
    made[np.nonzero(real)[0], batch["masked_positions"][real]] = True
    return made


def test_a_choice_takes_one_to_four_words_as_often_as_in_macbert() -> None:
    ids = np.tile(np.r_[CLS, np.arange(200, 700), SEP].astype(np.int32), (6000, 1))
    # Two predictions of 500: the first choice takes one word in 40 % of the rows, and then the second is
    # hardly ever its neighbour.
    pairs = mask(ids, np.ones(ids.shape, bool), counter_rng.keys(3, np.arange(6000)), SPECIAL, VOCABULARY,
                 Masking(strategy="ngram_wwm", share=0.9, max_predictions=2))  # fmt: skip
    apart = np.diff(pairs["masked_positions"], axis=1) > 1
    assert abs(apart.mean() - 0.4) < 5 * np.sqrt(0.24 / 6000)
    # Of all runs in a long row with little chosen, few of which touch, the lengths are those of the choices.
    found = mask(ids, np.ones(ids.shape, bool), counter_rng.keys(4, np.arange(6000)), SPECIAL, VOCABULARY,
                 Masking(strategy="ngram_wwm", share=0.02, max_predictions=10))  # fmt: skip
    edges = np.diff(chosen_places(ids, found).astype(np.int8), axis=1)
    lengths = np.nonzero(edges == -1)[1] - np.nonzero(edges == 1)[1]
    shares = np.bincount(lengths, minlength=5)[1:5] / len(lengths)
    assert shares == pytest.approx(
        [0.4, 0.3, 0.2, 0.1], abs=0.06
    )  # the last choice of a row is cut to the room left


def test_n_grams_are_whole_words_and_fill_the_share() -> None:
    ids, starts, batch = drawn(600, Masking(strategy="ngram_wwm"))
    frame = np.isin(ids, (0, CLS, SEP))
    chosen = chosen_places(ids, batch)
    word = np.cumsum(starts | frame, axis=1)
    for row in range(len(ids)):
        real = ~np.isin(ids[row], SPECIAL)
        assert not set(word[row][chosen[row]]) & set(word[row][real & ~chosen[row]])
    tokens = (~np.isin(ids, SPECIAL)).sum(axis=1)
    assert (chosen.sum(axis=1) <= np.clip(np.rint(0.15 * tokens), 1, 20)).all()
    assert (chosen.sum(axis=1) == np.clip(np.rint(0.15 * tokens), 1, 20)).mean() > 0.97


def test_the_share_is_rounded_as_pythons_round_does() -> None:
    for tokens in range(1, 120):
        ids = np.r_[CLS, np.arange(200, 200 + tokens), SEP].astype(np.int32)[None]
        batch = mask(
            ids,
            np.ones(ids.shape, bool),
            counter_rng.keys(1, 1),
            SPECIAL,
            VOCABULARY,
            Masking(strategy="token", share=0.25),
        )
        assert batch["masked_weights"].sum() == min(20, max(1, round(tokens * 0.25)))


@pytest.mark.parametrize(("strategy", "share"), [("wwm", 0.15), ("wwm", 0.6), ("token", 0.3)])
def test_words_are_taken_in_random_order_as_long_as_they_fit(strategy: str, share: float) -> None:
    ids, starts = sequences(80)
    keys = counter_rng.keys(5, np.arange(80))
    options = Masking(strategy=strategy, share=share, max_predictions=30)
    found = chosen_places(ids, mask(ids, starts, keys, SPECIAL, VOCABULARY, options))
    for row in range(80):
        words: list[list[int]] = []
        for place, id in enumerate(ids[row].tolist()):
            free = id not in SPECIAL
            if id in (0, CLS, SEP) or starts[row, place] or (strategy == "token" and free):
                words.append([])
            words[-1] += [place] if free else []
        words = [word for word in words if word]
        halves = (
            counter_rng.bits(keys[row], np.arange(-(-len(words) // 2))).view("<u4")[: len(words)].tolist()
        )
        left = min(30, max(1, round(share * sum(map(len, words)))))
        expected = np.zeros(ids.shape[1], bool)
        for _, number in sorted((half, number) for number, half in enumerate(halves)):
            if len(words[number]) <= left:
                expected[words[number]] = True
                left -= len(words[number])
        assert np.array_equal(found[row], expected)
