"""What spoils real corpora, planted with known answers: copies, wrong encodings, page furniture, other
languages, fragments.

The filters of `corpus` are not made for this dirt, and this dirt not for them.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from mobilebert.smallworld.grammar import Grammar, integer, pick

# Kind -> its weight among the dirty documents. The first two are copies and name their original in the gold
# file.
KINDS = {
    "exact_duplicate": 20,
    "near_duplicate": 22,
    "mojibake": 14,
    "boilerplate_lines": 14,
    "boilerplate_page": 8,
    "foreign": 10,
    "gibberish": 5,
    "fragment": 7,
}
COPIES = ("exact_duplicate", "near_duplicate")
EDITS = (0.005, 0.03)  # least and most share of a near-duplicate's characters that are edited
KEYS = "abcdefghijklmnopqrstuvwxyz"


class Dirt:
    """Spoils a clean text, or writes a worthless one."""

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar
        self._kinds = [kind for kind, weight in KINDS.items() for _ in range(weight)]
        self._makers: dict[str, Callable[[random.Random, str], str]] = {
            kind: getattr(self, f"_{kind}") for kind in KINDS
        }

    def kind(self, rng: random.Random) -> str:
        """A kind of dirt, by weight."""
        return pick(rng, self._kinds)

    def text(self, rng: random.Random, kind: str, clean: str) -> str:
        """The dirty text made from `clean`, or without it."""
        return self._makers[kind](rng, clean)

    def _exact_duplicate(self, rng: random.Random, clean: str) -> str:
        return clean

    def _near_duplicate(self, rng: random.Random, clean: str) -> str:
        """Characters exchanged, dropped or doubled, and a footer."""
        characters = list(clean)
        low, high = EDITS
        for _ in range(max(1, int(len(clean) * (low + (high - low) * rng.random())))):
            at = int(rng.random() * len(characters))
            how = rng.random()
            other = pick(rng, clean)
            characters[at] = (
                other if how < 0.6 and other != characters[at] else "" if how < 0.8 else characters[at] * 2
            )
        return "".join(characters) + "\n" + self.grammar.say(rng, "boilerplate.footer", {})

    def _mojibake(self, rng: random.Random, clean: str) -> str:
        how = rng.random()
        if how < 0.4:
            return clean.encode().decode("gbk", errors="replace" if rng.random() < 0.5 else "ignore")
        if how < 0.7:
            return clean.encode("gbk", errors="ignore").decode("latin-1")
        share = 0.03 + 0.3 * rng.random()
        return "".join("\ufffd" if rng.random() < share else character for character in clean)

    def _boilerplate_lines(self, rng: random.Random, clean: str) -> str:
        """A good text between the lines of a page; they stand on lines of their own."""
        lines = clean.split("\n")
        for _ in range(integer(rng, 2, 6)):
            position = (
                0
                if rng.random() < 0.4
                else len(lines)
                if rng.random() < 0.7
                else int(rng.random() * len(lines))
            )
            lines.insert(position, self._line(rng))
        return "\n".join(lines)

    def _boilerplate_page(self, rng: random.Random, clean: str) -> str:
        return "\n".join(self._line(rng) for _ in range(integer(rng, 5, 18)))

    def _foreign(self, rng: random.Random, clean: str) -> str:
        language = pick(rng, ("english", "english", "japanese", "korean"))
        space = "" if language == "japanese" else " "
        return space.join(self.grammar.say(rng, f"{language}.text", {}) for _ in range(integer(rng, 4, 14)))

    def _gibberish(self, rng: random.Random, clean: str) -> str:
        """Keys hit at random, or the characters of a text in random order."""
        if rng.random() < 0.5:
            return " ".join(
                "".join(pick(rng, KEYS) for _ in range(integer(rng, 2, 12)))
                for _ in range(integer(rng, 20, 90))
            )
        characters = list(clean)
        for at in range(len(characters) - 1, 0, -1):
            other = int(rng.random() * (at + 1))
            characters[at], characters[other] = characters[other], characters[at]
        return "".join(characters)

    def _fragment(self, rng: random.Random, clean: str) -> str:
        if rng.random() < 0.4:
            start = int(rng.random() * max(1, len(clean) - 20))
            return clean[start : start + integer(rng, 2, 18)]
        return "\n".join(self.grammar.say(rng, "fragment.text", {}) for _ in range(integer(rng, 1, 5)))

    def _line(self, rng: random.Random) -> str:
        return self.grammar.say(rng, "boilerplate.line", {})
