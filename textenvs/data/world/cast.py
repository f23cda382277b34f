"""Draws the people, firms, events and values of a passage from the names of one split."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from itertools import product
from random import Random

from textenvs.data.world.entities import (
    EVENT_NOUNS,
    HOBBIES,
    INSTRUMENTS,
    JOBS,
    MONTHS,
    ORG_NOUNS,
    PETS,
    PRODUCTS,
    SUBJECTS,
    YEARS,
    Entity,
    Names,
    names,
    pick,
    with_article,
)


class Cast:
    """Everything that a passage of one split can be about, by kind."""

    def __init__(self, split: str) -> None:
        self._names = names(split)
        self._listed = {
            "place": tuple(Entity(place, (place.split()[-1],)) for place in self._names.places),
            "firm": _firms(self._names),
            "event": _events(self._names),
            "job": _entities(map(with_article, JOBS)),
            "pet": _entities(map(with_article, PETS)),
            "instrument": _entities(f"the {name}" for name in INSTRUMENTS),
            "hobby": _entities(HOBBIES),
            "subject": _entities(SUBJECTS),
            "product": _entities(PRODUCTS),
            "month": _entities(MONTHS),
            "year": _entities(map(str, YEARS)),
        }

    def draw(self, kind: str, random: Random, used: set[str]) -> Entity:
        """An entity of a kind that shares no word with those drawn before, which `used` keeps."""
        while True:
            entity = self._person(random) if kind == "person" else pick(self._listed[kind], random)
            if used.isdisjoint(entity.words):
                used.update(entity.words)
                return entity

    def _person(self, random: Random) -> Entity:
        (first, pronoun), last = pick(self._names.first, random), pick(self._names.last, random)
        return Entity(f"{first} {last}", (first, last), (first, last), pronoun)


@cache
def cast(split: str) -> Cast:
    """The cast of a split."""
    return Cast(split)


def _entities(texts: Iterable[str]) -> tuple[Entity, ...]:
    return tuple(Entity(text, (text,)) for text in texts)


def _firms(known: Names) -> tuple[Entity, ...]:
    """Firms called by a brand and what they do, or by the family that owns them."""
    branded = (
        Entity(f"{brand} {noun}", (brand,), (brand,), "It")
        for brand, noun in product(known.brands, ORG_NOUNS)
    )
    return (*branded, *(Entity(f"{last} & Sons", (last,), (), "It") for last in known.last))


def _events(known: Names) -> tuple[Entity, ...]:
    return tuple(
        Entity(f"the {word} {noun}", (word,), (), "It")
        for word, noun in product((*known.brands, *known.last), EVENT_NOUNS)
    )
