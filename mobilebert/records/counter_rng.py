"""Random numbers and permutations by computation: no state, the same for any batch size, order or machine.

SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014): number n of the
stream with key k is mixed(k + (n + 1) * GAMMA).

numpy.random.Philox counts too, but takes one key an object: 20 numbers of each of 12,288 keys (the records of
32 steps of 384) take it 40 times as long (516 ms against 13 on one core), so every batch would wait for it.
"""

from __future__ import annotations

import numpy as np

from mobilebert.splitmix import mixed

GAMMA = np.uint64(0x9E3779B97F4A7C15)
# of the Feistel network; four already make a strong permutation of a good round function (Luby, Rackoff 1988)
ROUNDS = 6
SPAN, NEIGHBOURS = 2048, 128  # of `shuffled`


def keys(seed: int, *numbers: np.ndarray | int) -> np.ndarray:
    """Keys, at least (1,) uint64, from a seed and any numbers that name the thing: epoch, record, ..."""
    made = mixed(np.atleast_1d(np.asarray(seed, np.uint64)) + GAMMA)
    for number in numbers:
        made = mixed(made + GAMMA * (np.atleast_1d(number).astype(np.uint64) + np.uint64(1)))
    return made


def bits(key: np.ndarray, number: np.ndarray | int) -> np.ndarray:
    """Number `number` of the stream of each key, uint64; shapes broadcast."""
    return mixed(key + GAMMA * (np.atleast_1d(number).astype(np.uint64) + np.uint64(1)))


def uniform(key: np.ndarray, number: np.ndarray | int) -> np.ndarray:
    """As `bits`, float64 in [0, 1)."""
    return (bits(key, number) >> np.uint64(11)) * 2.0**-53


def permuted(positions: np.ndarray, count: int, key: np.ndarray) -> np.ndarray:
    """Where each position goes in the permutation of 0 .. count-1 that its key names.

    A Feistel network on as many bits as `count` needs (its halves may differ by one bit); what falls outside
    goes through again (cycle walking), less than twice on average. It needs no memory.

    Args:
        positions: (n,) int64 in 0 .. count-1.
        count: number of things.
        key: (n,) or (1,) uint64.
    """
    low_bits = (count - 1).bit_length() // 2
    high_mask = np.uint64((1 << (count - 1).bit_length() - low_bits) - 1)
    low_mask, shift = np.uint64((1 << low_bits) - 1), np.uint64(low_bits)
    key = np.broadcast_to(key, positions.shape)
    made = positions.astype(np.uint64)
    outside = np.arange(len(made))
    while outside.size:
        high, low, inner = made[outside] >> shift, made[outside] & low_mask, key[outside]
        for turn in range(0, ROUNDS, 2):
            high ^= bits(inner + low, turn) & high_mask
            low ^= bits(inner + high, turn + 1) & low_mask
        made[outside] = high << shift | low
        outside = outside[made[outside] >= np.uint64(count)]
    return made.astype(np.int64)


def shuffled(positions: np.ndarray, count: int, key: np.ndarray) -> np.ndarray:
    """As `permuted`, but 2,048 positions in a row lead to 16 blocks of 128 neighbours, so that a reader who
    must inflate whole blocks inflates each once. Which blocks come together, and which of them in what is
    left at the end, differs from epoch to epoch; only the last count % 128 things are always among that rest.

    The things lie in random order themselves.
    """
    span = positions // SPAN
    key = np.broadcast_to(key, positions.shape)
    inner = np.empty_like(positions)
    rest = positions >= count // SPAN * SPAN
    for here, size in ((~rest, SPAN), (rest, count % SPAN)):
        if here.any():
            inner[here] = permuted(positions[here] - span[here] * SPAN, size, keys(1, key[here], span[here]))
    block, offset = np.divmod(span * SPAN + inner, NEIGHBOURS)
    whole = block < count // NEIGHBOURS
    if whole.any():
        block[whole] = permuted(block[whole], count // NEIGHBOURS, key[whole])
    return block * NEIGHBOURS + offset
