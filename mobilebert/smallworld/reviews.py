"""Reviews whose label lies in what is said, not in how.

Both labels are drawn from the same shapes, aspects, remarks and degree words, and each pair of opposite
words has two words of equal length, so a text and its counterpart with the other label have the same
length and the same punctuation. Negation turns a word's polarity ("不算狭小" is praise), contrast and
concession bring in the opposite opinion ("虽然……，但是……"), and where opinions are mixed, the verdict or the
last word decides.
"""

from __future__ import annotations

import random

from mobilebert.smallworld import names
from mobilebert.smallworld.grammar import Grammar, pick, sample

NEGATED_SHARE = 0.25  # of the opinions: a negated word of the other polarity
LABELS = ("0", "1")  # negative, positive: as ChnSentiCorp has them


class Reviews:
    """Writes reviews from the sections `review.*`."""

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar
        self._domains = list(grammar.words("review.domains"))
        self._aspects = {
            domain: [
                section.removesuffix(".noun")
                for section in grammar.sections
                if section.startswith(f"review.{domain}.") and section.endswith(".noun")
            ]
            for domain in self._domains
        }

    def text(self, rng: random.Random, label: int, domain: str = "") -> str:
        """A review of the label, about some domain if none is given; the random choices made do not depend
        on the label.
        """
        domain = domain or pick(rng, self._domains)
        aspects = sample(rng, self._aspects[domain], 99)
        # The wanted polarity for x, y, z; the opposite for u, v.
        slots = {
            slot: self._opinion(rng, aspects[at % len(aspects)], label if slot in "xyz" else 1 - label)
            for at, slot in enumerate("xyuvz")
        }
        slots["w"] = self._word(rng, "review.verdict.pair", label)
        slots["t"] = self.grammar.say(rng, "review.whole", {}) + "，" if rng.random() < 0.5 else ""
        slots["p"] = self.grammar.say(rng, f"review.{domain}.note", {})
        return self.grammar.say(rng, "review.shape", slots)

    def _opinion(self, rng: random.Random, aspect: str, polarity: int) -> str:
        noun = self.grammar.say(rng, f"{aspect}.noun", {})
        good, bad = pick(rng, self.grammar.words(f"{aspect}.pair")).split("/")
        wanted, other = (good, bad) if polarity else (bad, good)
        section = "review.negated" if rng.random() < NEGATED_SHARE else "review.plain"
        return self.grammar.say(rng, section, {"n": noun, "g": wanted, "b": other})

    def _word(self, rng: random.Random, section: str, label: int) -> str:
        return pick(rng, self.grammar.words(section)).split("/")[1 - label]


def review_rows(
    reviews: Reviews, seed: int, split: str, count: int, taken: set[str]
) -> list[tuple[int, str]]:
    """`count` rows (label, text), half of each label, no text twice nor one of `taken`, which is added to."""
    rows: list[tuple[int, str]] = []
    attempt = 0
    while len(rows) < count:
        rng = random.Random(names.key(seed, "review", split, attempt))
        attempt += 1
        # Pairs of rows hold both labels in random order, so a file of any length is balanced.
        first = random.Random(names.key(seed, "label", split, len(rows) // 2)).random() < 0.5
        label = int(first) if len(rows) % 2 == 0 else 1 - int(first)
        text = reviews.text(rng, label)
        if text not in taken:
            taken.add(text)
            rows.append((label, text))
    return rows


def to_tsv(rows: list[tuple[int, str]]) -> str:
    """ChnSentiCorp's layout: header `label<TAB>text_a`, one row a line, never quoted."""
    return "label\ttext_a\n" + "".join(f"{LABELS[label]}\t{text}\n" for label, text in rows)
