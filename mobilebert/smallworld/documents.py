"""Documents in several styles, each a function of (world, number)."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

from mobilebert.smallworld import names
from mobilebert.smallworld.entities import KINDS, Entity, World
from mobilebert.smallworld.facts import Facts
from mobilebert.smallworld.grammar import Grammar, integer, pick, sample
from mobilebert.smallworld.reviews import Reviews


class Style(NamedTuple):
    """How a style mixes its sentences: facts and fillers a paragraph, paragraphs, and the kinds it speaks
    of.
    """

    name: str
    weight: int
    paragraphs: tuple[int, int]
    facts: tuple[int, int]
    fillers: tuple[int, int]
    kinds: tuple[str, ...]


SEEN = ("city", "river", "mountain", "landmark", "festival", "dish", "school")
STYLES = (
    Style("encyclopedia", 30, (2, 4), (2, 4), (0, 2), KINDS),
    Style(
        "news",
        15,
        (2, 4),
        (1, 2),
        (1, 3),
        ("city", "company", "landmark", "river", "product", "school", "animal", "festival"),
    ),
    Style("travel", 13, (2, 4), (1, 2), (2, 4), SEEN),
    Style("letter", 8, (2, 3), (1, 2), (2, 3), ("city", "person", "book", "festival", "school", "dish")),
    Style(
        "textbook",
        9,
        (2, 3),
        (2, 3),
        (1, 2),
        ("city", "river", "mountain", "dynasty", "animal", "person", "festival"),
    ),
    Style("forum", 8, (2, 4), (1, 2), (1, 3), KINDS),
    Style("story", 8, (3, 5), (0, 1), (2, 4), ("city", "person", "book", "river", "landmark")),
)
DIALOGUE, REVIEW = 12, 12  # weights of the two styles that are built otherwise
REVIEWED = {
    "product": "laptop",
    "book": "book",
    "dish": "restaurant",
    "landmark": "hotel",
}  # kind -> domain of its reviews
COMMON_SHARE = 0.3  # of the fillers: a sentence that any style may carry
SECOND_ENTITY = 0.5  # share of documents with a paragraph about another entity of the same kind


class Documents:
    """The clean documents of a world; number n always gives the same text."""

    def __init__(self, world: World, grammar: Grammar) -> None:
        self.world = world
        self.grammar = grammar
        self.facts = Facts(grammar)
        self.reviews = Reviews(grammar)
        self._writers: list[Callable[[random.Random], str]] = []
        for style in STYLES:
            self._writers += [self._writer(style)] * style.weight
        self._writers += [self._dialogue] * DIALOGUE + [self._review] * REVIEW

    def text(self, number: int) -> str:
        """The clean text of document `number`."""
        rng = random.Random(names.key(self.world.seed, "document", number))
        return pick(rng, self._writers)(rng)

    def _writer(self, style: Style) -> Callable[[random.Random], str]:
        return lambda rng: self._prose(rng, style)

    def values(self, rng: random.Random, topic: Entity) -> dict[str, str]:
        """The slots that belong to a document: its people, a town, a date, and the topic's name."""
        person = self.world.person
        return {
            "name": topic.name,
            "author": person(rng),
            "friend": person(rng),
            "friend2": person(rng),
            "town": self.world.some(rng, "city").name,
            "now": str(integer(rng, 2001, 2024)),
            "month": str(integer(rng, 1, 12)),
            "day": str(integer(rng, 1, 28)),
        }

    def _prose(self, rng: random.Random, style: Style) -> str:
        topic = self.world.some(rng, pick(rng, style.kinds))
        values = self.values(rng, topic)
        facts = sample(rng, self.facts.of(topic.kind), 99)
        lines = [self.grammar.say(rng, f"{style.name}.title", values)] if rng.random() < 0.7 else []
        fillers = self._fillers(rng, style, values)
        for number in range(integer(rng, *style.paragraphs)):
            count = integer(rng, *style.facts)
            chosen, facts = facts[:count], facts[count:]
            sentences = [next(fillers) for _ in range(integer(rng, *style.fillers))]
            if chosen:
                sentences.insert(
                    int(rng.random() * (len(sentences) + 1)),
                    self.facts.tell(rng, topic, chosen, f"{style.name}.frame", values)[0],
                )
            if number == 0:
                sentences.insert(0, self.grammar.say(rng, f"{style.name}.open", values))
            if sentences:
                lines.append("".join(sentences))
        if rng.random() < SECOND_ENTITY and style.name != "story":
            lines.append(self._aside(rng, style, topic, values))
        if rng.random() < 0.6:
            lines.append(self.grammar.say(rng, f"{style.name}.close", values))
        if style.name == "textbook":
            lines.append(self._exercises(rng, topic))
        return "\n".join(lines)

    def _fillers(self, rng: random.Random, style: Style, values: dict[str, str]) -> Iterator[str]:
        """Sentences without facts; none of a document's come from one template until all have been used."""
        own, common = (
            self.grammar.cycle(rng, section, values) for section in (f"{style.name}.fill", "common.fill")
        )
        while True:
            yield next(common if rng.random() < COMMON_SHARE else own)

    def _aside(self, rng: random.Random, style: Style, topic: Entity, values: dict[str, str]) -> str:
        """A paragraph about another entity of the same kind, or of a kind that the style speaks of."""
        kind = topic.kind if rng.random() < 0.6 else pick(rng, style.kinds)
        other = self.world.some(rng, kind)
        facts = sample(rng, self.facts.of(kind), integer(rng, 2, 3))
        return self.facts.tell(rng, other, facts, f"{style.name}.frame", values | {"name": other.name})[0]

    def _exercises(self, rng: random.Random, topic: Entity) -> str:
        facts = sample(rng, self.facts.of(topic.kind), integer(rng, 1, 3))
        return "\n".join(
            f"{number}. {self.facts.question(rng, topic, fact)}" for number, fact in enumerate(facts, 1)
        )

    def _dialogue(self, rng: random.Random) -> str:
        """Two people; questions of the kinds that the reading task asks, and their answers."""
        topic = self.world.some(rng, pick(rng, KINDS))
        speakers = sample(rng, self.grammar.words("speaker"), 2)
        values = self.values(rng, topic) | {"a": speakers[0], "b": speakers[1]}
        lines = [self.grammar.say(rng, f"dialogue.{section}", values) for section in ("open", "agree")]
        for fact in sample(rng, self.facts.of(topic.kind), integer(rng, 2, 5)):
            react = self.grammar.say(rng, "dialogue.react", values) if rng.random() < 0.4 else ""
            lines.append(f"{values['a']}：{react}{self.facts.question(rng, topic, fact)}")
            lines.append(
                f"{values['b']}：{self.facts.tell(rng, topic, [fact], 'dialogue.answer', values)[0]}"
            )
        lines += [self.grammar.say(rng, "dialogue.chat", values) for _ in range(integer(rng, 0, 4))]
        lines.append(self.grammar.say(rng, "dialogue.close", values))
        return "\n".join(lines)

    def _review(self, rng: random.Random) -> str:
        """A review of a thing of the world, with some of its facts."""
        topic = self.world.some(rng, pick(rng, tuple(REVIEWED)))
        values = self.values(rng, topic)
        lines = [self.grammar.say(rng, "review.title", values)]
        facts = sample(rng, self.facts.of(topic.kind), integer(rng, 1, 3))
        lines.append(self.facts.tell(rng, topic, facts, "forum.frame", values)[0])
        for _ in range(integer(rng, 2, 5)):
            lines.append(self.reviews.text(rng, int(rng.random() < 0.5), REVIEWED[topic.kind]))
        return "\n".join(lines)
