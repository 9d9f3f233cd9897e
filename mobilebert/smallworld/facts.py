"""Facts told in sentences, with the place of every value, and the questions that they answer."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from mobilebert.smallworld.entities import PRONOUNS, Entity
from mobilebert.smallworld.grammar import Grammar, pick

PRONOUN_SHARE = 0.55  # of the mentions after the first in a run of sentences about one entity


class Mention(NamedTuple):
    """A fact in a text: the character offset of its value, and of the entity's name if the clause names
    it, else -1.
    """

    entity: Entity
    fact: str
    value: int
    name: int

    def shifted(self, by: int) -> Mention:
        """The same, in a text that has `by` more characters in front."""
        return self._replace(value=self.value + by, name=self.name + by if self.name >= 0 else -1)


class Clause(NamedTuple):
    """A statement of one fact without its full stop."""

    text: str
    mention: Mention


class Facts:
    """What can be said of entities and asked about them."""

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar
        self._women = frozenset(grammar.words("name.woman"))
        self._of: dict[str, tuple[str, ...]] = {}
        for section in grammar.sections:
            kind, _, fact = section.partition(".")
            if kind in PRONOUNS or kind == "person":
                known = self._of.get(kind, ())
                self._of[kind] = known if fact[-1] in "?!" else (*known, fact)

    def of(self, kind: str) -> tuple[str, ...]:
        """The facts of a kind; each is also the slot of its value."""
        return self._of[kind]

    def clause(self, rng: random.Random, entity: Entity, fact: str, subject: str) -> Clause:
        """The fact in one of its wordings, about `subject` (the name, or a word that stands for it)."""
        text, marks = self.grammar.say_marked(rng, f"{entity.kind}.{fact}", entity.values | {"s": subject})
        named = marks["s"] if subject == entity.name and "s" in marks else -1
        return Clause(text, Mention(entity, fact, marks[fact], named))

    def question(self, rng: random.Random, entity: Entity, fact: str) -> str:
        """A question whose answer is the fact."""
        return self.grammar.say(rng, f"{entity.kind}.{fact}?", entity.values)

    def inverse(self, rng: random.Random, entity: Entity, fact: str) -> str | None:
        """A question whose answer is the entity's name, if there is one for this fact."""
        section = f"{entity.kind}.{fact}!"
        return self.grammar.say(rng, section, entity.values) if section in self.grammar.sections else None

    def tell(
        self,
        rng: random.Random,
        entity: Entity,
        facts: Sequence[str],
        frame: str,
        values: Mapping[str, str],
        *,
        named: float = 1 - PRONOUN_SHARE,
    ) -> tuple[str, list[Mention]]:
        """Sentences that tell the facts in this order, and where each stands.

        Args:
            frame: section of sentence frames, with `{c}` for a clause and `{d}` for a second one.
            values: the document's own slots.
            named: share of the later clauses that name the entity; the first always does.
        """
        out: list[str] = []
        mentions: list[Mention] = []
        length = 0
        left = list(facts)
        slots = dict(values)
        while left:
            first = self.clause(
                rng,
                entity,
                left[0],
                entity.name if not out or rng.random() < named else self.pronoun(rng, entity),
            )
            second = self.clause(rng, entity, left[1], self.pronoun(rng, entity)) if len(left) > 1 else None
            slots["c"], slots["d"] = first.text, second.text if second else ""
            sentence, marks = self.grammar.say_marked(rng, frame, slots)
            if "d" in marks and second is None:
                sentence, marks = first.text + "。", {"c": 0}
            mentions.append(first.mention.shifted(length + marks["c"]))
            if "d" in marks and second is not None:
                mentions.append(second.mention.shifted(length + marks["d"]))
            left = left[2 if "d" in marks else 1 :]
            out.append(sentence)
            length += len(sentence)
        return "".join(out), mentions

    def pronoun(self, rng: random.Random, entity: Entity) -> str:
        """A word that stands for the entity."""
        if entity.kind == "person":
            return "她" if entity.name[1] in self._women else "他"
        return pick(rng, PRONOUNS[entity.kind])
