"""The phrase files and how a template becomes text.

A phrase file holds sections. `## name` starts one and every following line is a template; `## name *` starts
a word list, its words separated by white space. In a section named `kind.fact` a line that starts with `? `
is a question whose answer is the fact, and `! ` one whose answer is the entity's name. Lines starting with
`//` are notes.

Templates: `{slot}` is a value of the text being written, `[a|b|c]` one of several wordings (also an empty
one), `<name>` a template or word drawn from another section, `<#3-12>` a whole number. They nest.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from itertools import accumulate
from typing import NamedTuple, TypeVar

T = TypeVar("T")


class Slot(NamedTuple):
    """A value given by the writer of the text."""

    name: str


class Draw(NamedTuple):
    """A template drawn from another section."""

    section: str


class Number(NamedTuple):
    """A whole number, both ends included."""

    low: int
    high: int


class Choice(NamedTuple):
    """One of several wordings."""

    options: tuple[tuple[Part, ...], ...]


Part = str | Slot | Draw | Number | Choice
Template = tuple[Part, ...]


def pick(rng: random.Random, items: Sequence[T]) -> T:
    """One item, each equally likely.

    Only `rng.random()` is used anywhere here: its values are the same in every Python.
    """
    return items[int(rng.random() * len(items))]


def integer(rng: random.Random, low: int, high: int) -> int:
    """A whole number, both ends included."""
    return low + int(rng.random() * (high - low + 1))


def sample(rng: random.Random, items: Iterable[T], count: int) -> list[T]:
    """`count` different items (all of them, if there are fewer) in random order."""
    pool = list(items)
    return [pool.pop(int(rng.random() * len(pool))) for _ in range(min(count, len(pool)))]


class Grammar:
    """All sections of the phrase files, compiled."""

    def __init__(self, sections: Mapping[str, Sequence[str]]) -> None:
        self.sections: dict[str, tuple[Template, ...]] = {}
        self._words = {name: tuple(lines) for name, lines in sections.items()}
        for name, lines in sections.items():
            for prefix, suffix in (("? ", "?"), ("! ", "!"), ("", "")):
                chosen = [
                    line
                    for line in lines
                    if line.startswith(prefix) and (prefix or line[:2] not in ("? ", "! "))
                ]
                if chosen:
                    self.sections[name + suffix] = tuple(
                        compile_template(line.removeprefix(prefix)) for line in chosen
                    )

    def words(self, section: str) -> tuple[str, ...]:
        """The entries of a word list."""
        return self._words[section]

    def say(self, rng: random.Random, section: str, values: Mapping[str, str]) -> str:
        """A text from a random template of the section."""
        out: list[str] = []
        self._expand(pick(rng, self.sections[section]), rng, values, out, {})
        return "".join(out)

    def say_marked(
        self, rng: random.Random, section: str, values: Mapping[str, str]
    ) -> tuple[str, dict[str, int]]:
        """As `say`, and the character offset at which each slot's value stands (the last one, if it stands
        there twice).
        """
        out: list[str] = []
        marks: dict[str, int] = {}
        self._expand(pick(rng, self.sections[section]), rng, values, out, marks)
        starts = [0, *accumulate(map(len, out))]
        return "".join(out), {slot: starts[index] for slot, index in marks.items()}

    def cycle(self, rng: random.Random, section: str, values: Mapping[str, str]) -> Iterator[str]:
        """Texts from all templates of the section in random order, again and again."""
        templates: list[Template] = []
        while True:
            templates = templates or list(self.sections[section])
            out: list[str] = []
            self._expand(templates.pop(int(rng.random() * len(templates))), rng, values, out, {})
            yield "".join(out)

    def _expand(
        self,
        template: Template,
        rng: random.Random,
        values: Mapping[str, str],
        out: list[str],
        marks: dict[str, int],
    ) -> None:
        for node in template:
            kind = type(node)
            if kind is str:
                out.append(node)  # type: ignore[arg-type]
            elif kind is Slot:
                marks[node[0]] = len(out)  # type: ignore[index]
                out.append(values[node[0]])  # type: ignore[index]
            elif kind is Number:
                out.append(str(integer(rng, *node)))  # type: ignore[misc]
            else:
                options: tuple[Template, ...]
                options = node[0] if kind is Choice else self.sections[node[0]]  # type: ignore
                chosen = options[int(rng.random() * len(options))]
                if len(chosen) == 1 and type(chosen[0]) is str:
                    out.append(chosen[0])
                elif chosen:
                    self._expand(chosen, rng, values, out, marks)


def load() -> Grammar:
    """The grammar of all phrase files that are shipped with this package."""
    sections: dict[str, list[str]] = {}
    folder = resources.files(__package__) / "phrases"
    for entry in sorted(folder.iterdir(), key=lambda item: item.name):
        if entry.name.endswith(".txt"):
            for name, lines in parse(entry.read_text(encoding="utf-8")).items():
                if name in sections:
                    raise ValueError(f"{entry.name}: section {name} stands in two places")
                sections[name] = lines
    return Grammar(sections)


def parse(text: str) -> dict[str, list[str]]:
    """Sections of a phrase file: name -> its lines, or its words."""
    sections: dict[str, list[str]] = {}
    current: list[str] = []
    words = False
    for line in text.split("\n"):
        if line.startswith("## "):
            name, _, star = line[3:].strip().partition(" ")
            if name in sections:
                raise ValueError(f"section {name} stands there twice")
            current, words = sections.setdefault(name, []), star == "*"
        elif line.strip() and not line.startswith("//"):
            current.extend(line.split() if words else [line.strip()])
    return sections


def compile_template(text: str) -> Template:
    """The parts of a template; ValueError if its brackets do not match."""
    template, end = _sequence(text, 0, "")
    if end != len(text):
        raise ValueError(f"{text}: a bracket closes that was never opened")
    return template


def _sequence(text: str, at: int, stops: str) -> tuple[Template, int]:
    nodes: list[Part] = []
    literal = ""
    while at < len(text) and text[at] not in stops:
        character = text[at]
        if character not in "[{<":
            literal, at = literal + character, at + 1
            continue
        if literal:
            nodes.append(literal)
            literal = ""
        node, at = _choice(text, at + 1) if character == "[" else _named(text, at)
        nodes.append(node)
    if literal:
        nodes.append(literal)
    return tuple(nodes), at


def _choice(text: str, at: int) -> tuple[Choice, int]:
    options = []
    while True:
        option, at = _sequence(text, at, "|]")
        options.append(option)
        if at >= len(text):
            raise ValueError(f"{text}: a bracket is not closed")
        at += 1
        if text[at - 1] == "]":
            return Choice(tuple(options)), at


def _named(text: str, at: int) -> tuple[Part, int]:
    closing = "}" if text[at] == "{" else ">"
    end = text.index(closing, at)
    name = text[at + 1 : end]
    if closing == "}":
        return Slot(name), end + 1
    if name.startswith("#"):
        low, high = name[1:].split("-")
        return Number(int(low), int(high)), end + 1
    return Draw(name), end + 1
