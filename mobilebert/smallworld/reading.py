"""Reading comprehension: contexts about two things of one kind, and questions about either, in CMRC 2018's
layout.

Both things have some of the same facts told, so the type of the answer does not give it away. A question is
kept only if the value that it is about stands once in the context. Where the value is given and the name
asked, the name may stand more than once: the span is then the one in the clause that tells the fact. No
question of the dev file stands in the training file.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from mobilebert.smallworld import names
from mobilebert.smallworld.documents import Documents
from mobilebert.smallworld.entities import KINDS, Entity
from mobilebert.smallworld.facts import Mention
from mobilebert.smallworld.grammar import integer, pick, sample

QUESTIONS_PER_CONTEXT = 4
INVERSE_SHARE = 0.25  # of the questions: the fact is given and the name asked
FRESH_SHARE = (
    0.5  # of dev contexts: the first thing is one that no document and no training context speaks of
)
FRAMES = ("encyclopedia", "news", "textbook")
# What annotators differ in: a word before the value, a measure word after it.
BEFORE = ("大约有", "大约", "约为", "约", "达到")
AFTER = ("人口", "人", "左右")
ERA = "公元"  # some leave it away
MEASURES = ("人次", "册", "人")  # some leave them away
DEV_ANSWERS = 3


class Question(NamedTuple):
    """A question and the span of its answer in the context."""

    text: str
    start: int
    end: int


def cmrc(documents: Documents, seed: int, split: str, count: int, taken: set[str]) -> dict[str, Any]:
    """A CMRC 2018 file with `count` questions, one answer each in train and three in dev, every offset
    honest.

    No question's text is among `taken` as it is given; this file's are then added to it. Within a file a text
    may return, in another context.
    """
    articles: list[dict[str, Any]] = []
    for number, (title, context, questions) in enumerate(_contexts(documents, seed, split, frozenset(taken))):
        if count <= 0:
            break
        questions = questions[:count]
        count -= len(questions)
        taken.update(question.text for question in questions)
        rng = random.Random(names.key(seed, "answers", split, number))
        identifier = f"{split.upper()}_{number}"
        queries = [
            {
                "question": question.text,
                "id": f"{identifier}_QUERY_{at}",
                "answers": _answers(rng, context, question, 1 if split == "train" else DEV_ANSWERS),
            }
            for at, question in enumerate(questions)
        ]
        articles.append(
            {
                "paragraphs": [{"id": identifier, "context": context, "qas": queries}],
                "id": identifier,
                "title": title,
            }
        )
    return {"version": "v1.0", "data": articles}


def _contexts(
    documents: Documents, seed: int, split: str, taken: Collection[str]
) -> Iterator[tuple[str, str, list[Question]]]:
    """Contexts with at least one question that is not `taken`, without end."""
    number = 0
    seen: set[str] = set()
    while True:
        rng = random.Random(names.key(seed, "context", split, number))
        first, second = _pair(documents, rng, split, number)
        number += 1
        context, mentions = _context(documents, rng, first, second)
        questions = _questions(documents, rng, context, mentions, taken)
        if questions and context not in seen:
            seen.add(context)
            yield first.name, context, questions


def _pair(documents: Documents, rng: random.Random, split: str, number: int) -> tuple[Entity, Entity]:
    world = documents.world
    kind = pick(rng, KINDS)
    fresh = split != "train" and rng.random() < FRESH_SHARE
    first = world.entity(kind, world.fresh + number) if fresh else world.some(rng, kind)
    second = world.some(rng, kind)
    while second.name == first.name:
        second = world.some(rng, kind)
    return (first, second)


def _context(
    documents: Documents, rng: random.Random, first: Entity, second: Entity
) -> tuple[str, list[Mention]]:
    """Runs of sentences about both things, in random order, with other sentences between them."""
    facts = documents.facts.of(first.kind)
    shared = sample(rng, facts, 2)
    frame = pick(rng, FRAMES)
    values = documents.values(rng, first)
    runs: list[tuple[Entity, list[str]]] = []
    for entity in (first, second):
        own = sample(rng, [fact for fact in facts if fact not in shared], integer(rng, 0, 1))
        runs.append((entity, sample(rng, [*shared, *own], 9)))
    text, mentions = "", []
    for entity, chosen in sample(rng, runs, 2):
        if rng.random() < 0.35:
            text += documents.grammar.say(rng, f"{frame}.fill", values | {"name": entity.name})
        more, spans = documents.facts.tell(
            rng, entity, chosen, f"{frame}.frame", values | {"name": entity.name}, named=0.6
        )
        mentions += [span.shifted(len(text)) for span in spans]
        text += more
    return text, mentions


def _questions(
    documents: Documents, rng: random.Random, context: str, mentions: list[Mention], taken: Collection[str]
) -> list[Question]:
    questions: dict[str, Question] = {}
    for item in sample(rng, mentions, len(mentions)):
        name, value = item.entity.name, item.entity.values[item.fact]
        if context.count(value) != 1:
            continue
        inverse = (
            documents.facts.inverse(rng, item.entity, item.fact)
            if item.name >= 0 and rng.random() < INVERSE_SHARE * 2
            else None
        )
        if inverse is not None:
            question = Question(inverse, item.name, item.name + len(name))
        else:
            question = Question(
                documents.facts.question(rng, item.entity, item.fact), item.value, item.value + len(value)
            )
        if question.text not in taken:
            questions.setdefault(question.text, question)
    return list(questions.values())[:QUESTIONS_PER_CONTEXT]


def _answers(rng: random.Random, context: str, question: Question, count: int) -> list[dict[str, Any]]:
    """The answer `count` times; from the second on it may be a little wider or shorter, as people mark
    answers differently.
    """
    answers = []
    for number in range(count):
        start, end = question.start, question.end
        if number and any(character.isdigit() for character in context[start:end]) and rng.random() < 0.4:
            wider = rng.random() < 0.5
            before, after = context[:start], context[end:]
            start -= next((len(word) for word in BEFORE if wider and before.endswith(word)), 0)
            end += next((len(word) for word in AFTER if wider and after.startswith(word)), 0)
            start += len(ERA) if not wider and context.startswith(ERA, start) else 0
            end -= next(
                (len(word) for word in MEASURES if not wider and context.endswith(word, start, end)), 0
            )
        answers.append({"text": context[start:end], "answer_start": start})
    return answers
