"""Names composed from inventories (`phrases/names.txt`), so that a world of any size never runs out and never
names two things alike.

The k-th name of a kind is a function of (seed, kind, k): k is sent through a permutation of all combinations,
so names need not be remembered to be unique.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from math import gcd


def key(seed: int, *names: str | int) -> int:
    """A 64-bit number from the seed and names; equal arguments give equal numbers on every machine."""
    text = "/".join(map(str, (seed, *names)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


class Composer:
    """Unique names: the k-th combination of the inventories, in an order that the seed decides."""

    def __init__(self, seed: int, kind: str, *inventories: Sequence[str]) -> None:
        self.inventories = inventories
        self.size = 1
        for inventory in inventories:
            if len(set(inventory)) < len(inventory):
                raise ValueError(f"{kind}: an entry stands twice in an inventory, names would not be unique")
            self.size *= len(inventory)
        self.offset = key(seed, "name", kind) % self.size
        # A multiplier near the golden section spreads neighbours, and being coprime makes it a permutation.
        self.factor = int(self.size * 0.618) | 1
        while gcd(self.factor, self.size) > 1:
            self.factor += 2

    def words_of(self, index: int) -> tuple[int, list[str]]:
        """How many times the combinations were used up before this index, and the index's parts."""
        round_, rest = divmod(index, self.size)
        rest = (rest * self.factor + self.offset) % self.size
        words = []
        for inventory in self.inventories:
            rest, at = divmod(rest, len(inventory))
            words.append(inventory[at])
        return round_, words

    def name(self, index: int) -> str:
        """The name; after all combinations are used up the first inventory marks the round, so names stay
        unique.
        """
        round_, words = self.words_of(index)
        while round_:
            round_, at = divmod(round_ - 1, len(self.inventories[0]))
            words.insert(0, self.inventories[0][at])
        return "".join(words)
