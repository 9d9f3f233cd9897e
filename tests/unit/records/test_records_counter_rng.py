"""Random numbers and permutations by computation."""

from __future__ import annotations

import numpy as np
import pytest

from mobilebert.records import counter_rng


def test_numbers_are_those_of_splitmix64() -> None:
    # Output for seed 1234567 as published at https://rosettacode.org/wiki/Pseudo-random_numbers/Splitmix64
    expected = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert counter_rng.bits(np.array([1234567], np.uint64), np.arange(5)).tolist() == expected


@pytest.mark.parametrize("count", [1, 2, 3, 7, 64, 1000, 4097])
def test_every_epoch_is_another_permutation(count: int) -> None:
    orders = [counter_rng.permuted(np.arange(count), count, counter_rng.keys(3, epoch)) for epoch in range(3)]
    for order in orders:
        assert sorted(order.tolist()) == list(range(count))
    if count >= 64:
        assert len({tuple(order.tolist()) for order in orders}) == 3
        for order in orders:  # neither order nor neighbourhood is left
            assert abs(np.corrcoef(np.arange(count), order)[0, 1]) < 0.4
            assert (np.abs(np.diff(order)) == 1).mean() < 0.2


@pytest.mark.parametrize("count", [1, 127, 128, 2048, 2049, 4096 + 300, 10_000])
def test_a_span_is_whole_blocks_and_what_comes_last_differs(count: int) -> None:
    lasts = []
    for epoch in range(3):
        order = counter_rng.shuffled(np.arange(count), count, counter_rng.keys(3, epoch))
        assert sorted(order.tolist()) == list(range(count))
        for first in range(0, count - counter_rng.SPAN + 1, counter_rng.SPAN):
            assert (
                len(set((order[first : first + counter_rng.SPAN] // counter_rng.NEIGHBOURS).tolist())) == 16
            )
        assert (
            counter_rng.shuffled(np.arange(count // 3, count), count, counter_rng.keys(3, epoch))
            == order[count // 3 :]
        ).all()
        lasts.append(set(order[count // counter_rng.SPAN * counter_rng.SPAN :].tolist()))
    if (
        count == 10_000
    ):  # 14 of 78 blocks and 16 things more: three times by chance as good as never all the same
        assert len(lasts[0] & lasts[1] & lasts[2]) < 1000
        assert set(range(count // 128 * 128, count)) < lasts[0] & lasts[1] & lasts[2]


def test_keys_of_different_things_differ() -> None:
    made = {
        int(counter_rng.keys(seed, epoch, record)[0])
        for seed in range(5)
        for epoch in range(5)
        for record in range(50)
    }
    assert len(made) == 1250


def test_chances_are_even() -> None:
    drawn = counter_rng.uniform(counter_rng.keys(1, np.arange(200))[:, None], np.arange(500))
    assert drawn.min() >= 0
    assert drawn.max() < 1
    counts, _ = np.histogram(drawn, 20, (0, 1))
    assert np.abs(counts - 5000).max() < 5 * np.sqrt(5000)
