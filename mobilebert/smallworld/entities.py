"""The things of the world and their facts.

An entity is a function of (seed, kind, number): it can be made again anywhere, in any order. Only some are
kept in memory, since the famous ones come back all the time. Relations are arithmetic on numbers, so that
both ends agree: city c lies on river c // 3, and river r flows through city 3r.

Numbers from `World.fresh` on are entities that no document speaks of; task sets take their unseen entities
there.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from mobilebert.smallworld import names
from mobilebert.smallworld.grammar import Grammar, integer, pick, sample

# Entities a megabyte of documents speaks of; a document speaks of one to three, so each comes back about ten
# times.
PER_MEGABYTE = {
    "city": 18,
    "river": 6,
    "mountain": 6,
    "landmark": 12,
    "person": 30,
    "dynasty": 3,
    "book": 30,
    "school": 9,
    "company": 12,
    "product": 12,
    "dish": 18,
    "festival": 6,
    "animal": 9,
}
KINDS = tuple(PER_MEGABYTE)
KEPT = 1 << 14  # entities in memory, about 2 KB each
PRONOUNS = {
    "city": ("该市", "这座城市", "这里"),
    "river": ("该河", "这条河"),
    "mountain": ("这座山", "该山"),
    "landmark": ("这座建筑", "该建筑"),
    "dynasty": ("该王朝", "这个朝代"),
    "book": ("这本书", "该书"),
    "school": ("该校", "这所学校"),
    "company": ("该公司", "这家企业"),
    "product": ("这款产品", "该产品"),
    "dish": ("这道菜", "此菜"),
    "festival": ("这个节日", "该节日"),
    "animal": ("这种动物", "它"),
}


class Entity(NamedTuple):
    """One thing: its facts are what `values` holds, by the slot names of the phrase files."""

    kind: str
    number: int
    values: dict[str, str]

    @property
    def name(self) -> str:
        """Unique in the world."""
        return self.values["name"]


class World:
    """All entities of a seed. Making one costs about 40 microseconds."""

    def __init__(self, seed: int, megabytes: float, grammar: Grammar) -> None:
        self.seed = seed
        self.grammar = grammar
        self._sizes = {kind: int(rate * max(megabytes, 1)) for kind, rate in PER_MEGABYTE.items()}
        self._real_places = frozenset(grammar.words("real_places"))
        self.fresh = max(self._sizes.values())
        word = self._inventory
        place_names = (word("place.first"), word("place.second"))
        given_names = tuple(dict.fromkeys((*word("man"), *word("woman"))))
        inventories = {
            "city": place_names,
            "river": (place_names[0], word("river.second")),
            "mountain": place_names,
            "person": (word("surname"), given_names, (*given_names, "")),
            "company": (word("brand.first"), word("brand.second"), word("brand.third")),
            "dynasty": (word("dynasty.prefix"), word("dynasty"), (*word("dynasty"), "")),
            "book": (word("book.first"), word("book.second")),
            "animal": (word("animal.colour"), word("animal.part"), word("animal")),
        }
        self._composers = {
            kind: names.Composer(seed, kind, *inventory) for kind, inventory in inventories.items()
        }
        self.entity = lru_cache(KEPT)(self._entity)
        self._makers: dict[str, Callable[[int, random.Random], dict[str, str]]] = {
            kind: getattr(self, f"_{kind}") for kind in KINDS
        }

    def size(self, kind: str) -> int:
        """How many entities of the kind the documents speak of."""
        return self._sizes[kind]

    def _entity(self, kind: str, number: int) -> Entity:
        """The entity; any number from 0 on."""
        rng = random.Random(names.key(self.seed, "entity", kind, number))
        return Entity(kind, number, self._makers[kind](number, rng))

    def some(self, rng: random.Random, kind: str) -> Entity:
        """An entity that documents speak of; small numbers are the famous ones and come oftener."""
        return self.entity(kind, int(self._sizes[kind] * rng.random() ** 1.5))

    def name(self, kind: str, number: int) -> str:
        """The entity's name, without making its facts."""
        if kind in ("landmark", "school", "festival"):
            kinds = self.grammar.words(f"type.{kind}")
            return (
                self._place("city", number // len(kinds))
                + kinds[(number * 7 + number // len(kinds)) % len(kinds)]
            )
        if kind == "product":
            series = "ABEKMNPSTX"[number % 10]
            model = f"{series}{number % 3 * 10 + number // 3 % 10 + 10}"
            return self._brand(number // 3) + model + self._cycled("type.product", number * 7)
        if kind == "dish":
            return (
                self._place("city", number)
                + self._fixed("cooking", number)[:2]
                + self._fixed("ingredient", number)
            )
        if kind in ("city", "river", "mountain"):
            suffix = {"city": "市", "river": "河江水"[number % 3], "mountain": "山岭峰"[number % 3]}[kind]
            return self._place(kind, number) + suffix
        if kind == "company":
            return (
                f"{self._brand(number)}{self._cycled('type.company', number)}{('公司', '集团')[number % 2]}"
            )
        if kind == "dynasty":
            return self._composers[kind].name(number) + "朝"
        if kind == "book":
            return f"《{self._composers[kind].name(number)}》"
        return self._composers[kind].name(number)

    def person(self, rng: random.Random) -> str:
        """The name of some person that documents may speak of."""
        return self.name("person", int(self._sizes["person"] * rng.random()))

    def _brand(self, number: int) -> str:
        return self._composers["company"].name(number)

    def _word(self, rng: random.Random, section: str) -> str:
        return pick(rng, self.grammar.words(section))

    def _cycled(self, section: str, number: int) -> str:
        words = self.grammar.words(section)
        return words[number % len(words)]

    def _inventory(self, name: str) -> tuple[str, ...]:
        return tuple(word.replace("-", "") for word in self.grammar.words(f"name.{name}"))

    def _place(self, kind: str, number: int) -> str:
        """A place's name without its generic word, never that of a well-known place."""
        name = self._composers[kind].name(number)
        return name + "坪" if name in self._real_places else name

    def _fixed(self, section: str, number: int) -> str:
        """A word that belongs to a number, for facts that two entities share."""
        return self._cycled(section, names.key(self.seed, section, number))

    def _related(self, kind: str, number: int, own: int) -> str:
        """The name of a related entity: known entities (`own` < fresh) relate to known ones only."""
        return self.name(kind, number if own >= self.fresh else number % self._sizes[kind])

    def _near(self, rng: random.Random, kind: str, number: int) -> str:
        """The name of an entity of another kind, one that documents speak of if `number` does not
        overshoot them.
        """
        return self.name(kind, (number * 3 + int(rng.random() * 3)) % self._sizes[kind])

    def _city(self, k: int, rng: random.Random) -> dict[str, str]:
        nickname, reason = self._word(rng, "nickname").split("/")
        word = self._word
        return {
            "name": self.name("city", k),
            "province": word(rng, "province"),
            "direction": word(rng, "direction"),
            "river": self._related("river", k // 3, k),
            "year": old_year(rng),
            "population": ten_thousands(rng, 18, 980),
            "area": f"{integer(rng, 90, 2100) * 10}平方公里",
            "flower": word(rng, "flower"),
            "tree": word(rng, "tree"),
            "industry": word(rng, "industry"),
            "nickname": nickname,
            "reason": reason,
            "temperature": f"{integer(rng, 40, 240) / 10}摄氏度",
            "person": self._related("person", k, k),
            "job": self._fixed("job", k),
            "specialty": self._related("dish", k, k),
        }

    def _river(self, k: int, rng: random.Random) -> dict[str, str]:
        years = sample(rng, range(1790, 2016), 2)
        return {
            "name": self.name("river", k),
            "length": f"{integer(rng, 80, 2900)}公里",
            "source": self._related("mountain", k, k),
            "city": self._related("city", k * 3, k),
            "mouth": pick(
                rng,
                (
                    *self.grammar.words("sea"),
                    self._related("river", k + 1, k),
                    self._place("mountain", k + 7) + "湖",
                ),
            ),
            "flood": f"{min(years)}年",
            "basin": f"{integer(rng, 30, 990) * 100}平方公里",
            "dam": f"{integer(rng, 1951, 2018)}年",
            "fish": self._word(rng, "fish"),
        }

    def _mountain(self, k: int, rng: random.Random) -> dict[str, str]:
        return {
            "name": self.name("mountain", k),
            "height": f"{integer(rng, 320, 5900)}米",
            "city": self._related("city", k * 3 + 1, k),
            "plant": self._word(rng, "plant"),
            "temple": self._word(rng, "type.temple") + "寺",
            "steps": f"{integer(rng, 70, 890) * 10 + integer(rng, 1, 9)}级",
            "park": f"{integer(rng, 1956, 2019)}年",
        }

    def _landmark(self, k: int, rng: random.Random) -> dict[str, str]:
        return {
            "name": self.name("landmark", k),
            "city": self.name("city", k // len(self.grammar.words("type.landmark"))),
            "year": f"{integer(rng, 1860, 2021)}年",
            "architect": self._near(rng, "person", k),
            "height": f"{integer(rng, 12, 260)}米",
            "material": self._word(rng, "material"),
            "cost": f"{integer(rng, 3, 980)}{pick(rng, ('万', '亿'))}元",
            "visitors": ten_thousands(rng, 3, 400) + "人次",
        }

    def _person(self, k: int, rng: random.Random) -> dict[str, str]:
        birth = integer(rng, 1870, 1992)
        return {
            "name": self.name("person", k),
            "year": f"{birth}年",
            "city": self._related("city", k, k),
            "job": self._fixed("job", k),
            "school": self._near(rng, "school", k),
            "teacher": self._related("person", k + 1, k),
            "work": self._related("book", k, k),
            "award": self._word(rng, "award"),
            "moved": f"{birth + integer(rng, 18, 30)}年",
            "newcity": self._related("city", k + 5, k),
            "hobby": self._word(rng, "hobby"),
        }

    def _dynasty(self, k: int, rng: random.Random) -> dict[str, str]:
        start = integer(rng, 210, 1500)
        return {
            "name": self.name("dynasty", k),
            "founder": self._related("person", k * 7 + 3, k),
            "start": f"公元{start}年",
            "end": f"公元{start + integer(rng, 25, 310)}年",
            "capital": self._related("city", k * 2, k),
            "emperors": f"{integer(rng, 3, 24)}位",
            "craft": self._word(rng, "craft"),
            "fall": self._word(rng, "fall"),
        }

    def _book(self, k: int, rng: random.Random) -> dict[str, str]:
        return {
            "name": self.name("book", k),
            "author": self._related("person", k, k),
            "year": f"{integer(rng, 1905, 2023)}年",
            "subject": self._word(rng, "subject"),
            "pages": f"{integer(rng, 96, 890)}页",
            "city": self._related("city", k + 2, k),
            "copies": ten_thousands(rng, 1, 320) + "册",
        }

    def _school(self, k: int, rng: random.Random) -> dict[str, str]:
        return {
            "name": self.name("school", k),
            "city": self.name("city", k // len(self.grammar.words("type.school"))),
            "year": f"{integer(rng, 1880, 2012)}年",
            "founder": self._near(rng, "person", k),
            "students": f"{integer(rng, 60, 3900) * 10}人",
            "department": self._word(rng, "department"),
            "motto": self._word(rng, "motto"),
            "books": ten_thousands(rng, 2, 560) + "册",
        }

    def _company(self, k: int, rng: random.Random) -> dict[str, str]:
        return {
            "name": self.name("company", k),
            "city": self._related("city", k, k),
            "founder": self._related("person", k * 2 + 1, k),
            "year": f"{integer(rng, 1949, 2021)}年",
            "product": self._cycled("type.product", k * 3 * 7),
            "employees": f"{integer(rng, 8, 8800) * 10}人",
            "revenue": f"{integer(rng, 11, 9900) / 10}亿元",
            "manager": self._related("person", k * 2 + 2, k),
        }

    def _product(self, k: int, rng: random.Random) -> dict[str, str]:
        weight = integer(rng, 15, 990)
        return {
            "name": self.name("product", k),
            "company": self._related("company", k // 3, k),
            "year": f"{integer(rng, 2008, 2024)}年",
            "price": f"{integer(rng, 4, 690) * 10 - 1}元",
            "weight": f"{weight}克" if weight % 2 else f"{weight / 100}千克",
            "colour": self._word(rng, "colour"),
            "battery": f"{integer(rng, 5, 90)}小时",
            "warranty": self._word(rng, "warranty"),
        }

    def _dish(self, k: int, rng: random.Random) -> dict[str, str]:
        return {
            "name": self.name("dish", k),
            "city": self._related("city", k, k),
            "main": self._fixed("ingredient", k),
            "seasoning": self._word(rng, "seasoning"),
            "taste": self._word(rng, "taste"),
            "minutes": f"{integer(rng, 4, 90)}分钟",
            "inventor": self._near(rng, "person", k + 1),
            "season": self._word(rng, "season"),
        }

    def _festival(self, k: int, rng: random.Random) -> dict[str, str]:
        date = f"农历{self._word(rng, 'lunar_month')}月{self._word(rng, 'lunar_day')}"
        return {
            "name": self.name("festival", k),
            "city": self.name("city", k // len(self.grammar.words("type.festival"))),
            "date": date,
            "activity": self._word(rng, "activity"),
            "memory": self._near(rng, "person", k + 2),
            "food": self._word(rng, "snack"),
            "days": self._word(rng, "days"),
        }

    def _animal(self, k: int, rng: random.Random) -> dict[str, str]:
        return {
            "name": self.name("animal", k),
            "habitat": self._word(rng, "habitat"),
            "food": self._word(rng, "food"),
            "length": f"{integer(rng, 4, 180)}厘米",
            "lifespan": f"{integer(rng, 2, 45)}年",
            "finder": self._near(rng, "person", k + 3),
            "year": f"{integer(rng, 1780, 1995)}年",
            "enemy": self._word(rng, "enemy"),
            "count": f"{integer(rng, 3, 990) * 10}只",
        }


def old_year(rng: random.Random) -> str:
    """A year before the modern age."""
    return f"公元{integer(rng, 190, 1790)}年"


def ten_thousands(rng: random.Random, low: int, high: int) -> str:
    """A number of ten thousands (万); every third one with a decimal."""
    whole = integer(rng, low, high)
    return f"{whole}.{integer(rng, 1, 9)}万" if rng.random() < 1 / 3 else f"{whole}万"
