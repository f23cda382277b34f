"""What dialogues can be about: kinds of venues, what users can want of them and ask about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import NamedTuple

from textenvs.data.world.entities import HOBBIES, WEEKDAYS, names, pick


@dataclass(frozen=True)
class Slot:
    """Something of a venue that a user can have a wish about: informable, in the field's terms.

    Attributes:
        name: What it is called.
        values: What it can be.
        thing: A value as what is wanted: "I would like {thing}".
        tail: A value as what follows "And", and unless it leads, as in "a hotel {tail}".
        leads: Whether a value stands before the kind's name instead: "a cheap restaurant".
    """

    name: str
    values: tuple[str, ...]
    thing: str
    tail: str
    leads: bool = False


@dataclass(frozen=True)
class Fact:
    """Something of a venue that a user can ask for: requestable, in the field's terms.

    Attributes:
        name: What it is called in a listing.
        said: What it is called in speech.
        person: Whether it is somebody.
    """

    name: str
    said: str
    person: bool = False


@dataclass(frozen=True)
class Kind:
    """A kind of venue: its name, its slots (values that stand before the name first), its facts."""

    name: str
    slots: tuple[Slot, ...]
    facts: tuple[Fact, ...]


class Venue(NamedTuple):
    """One venue: its name, a value for each slot and one for each fact of its kind."""

    name: str
    values: tuple[str, ...]
    facts: tuple[str, ...]


_PRICE = Slot(
    "price", ("cheap", "moderate", "expensive"), "something {v}", "something {v}", leads=True
)
_FOOD = Slot(
    "food",
    ("French", "Greek", "Thai", "Spanish", "Chinese", "Turkish"),
    "{v} food",
    "{v} food",
    leads=True,
)
_AREA = Slot(
    "area",
    ("north", "south", "east", "west", "centre"),
    "something in the {v}",
    "in the {v}",
)
_EXTRA = Slot("extra", ("pool", "garden", "bar", "gym"), "one with a {v}", "with a {v}")
_MUSIC = Slot(
    "music",
    ("jazz", "opera", "piano", "violin", "guitar", "organ"),
    "{v} music",
    "some {v} music",
    leads=True,
)
_DAY = Slot("day", WEEKDAYS, "something on {v}", "on {v}")
_SUBJECT = Slot("subject", HOBBIES, "a course in {v}", "a course in {v}", leads=True)
_TIME = Slot("time", ("morning", "afternoon", "evening"), "something in the {v}", "in the {v}")
_PHONE, _STREET, _COST = (
    Fact("phone", "phone number"),
    Fact("street", "street"),
    Fact("cost", "cost"),
)

KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "restaurant",
            (_PRICE, _FOOD, _AREA),
            (_PHONE, _STREET, Fact("chef", "chef", person=True)),
        ),
        Kind(
            "hotel", (_PRICE, _AREA, _EXTRA), (_PHONE, _STREET, Fact("owner", "owner", person=True))
        ),
        Kind(
            "concert",
            (_PRICE, _MUSIC, _DAY),
            (_STREET, Fact("singer", "singer", person=True), _COST),
        ),
        Kind(
            "course",
            (_SUBJECT, _DAY, _TIME),
            (_STREET, Fact("teacher", "teacher", person=True), _COST),
        ),
    )
}
"""Each kind by its name; all have as many slots, and as many facts."""

NUM_SLOTS = NUM_FACTS = 3
MAX_VENUES = 6


class Listing(NamedTuple):
    """Some venues of one kind, and the one among them that others differ from in one slot each."""

    kind: Kind
    venues: tuple[Venue, ...]
    target: int


def draw_listing(split: str, random: Random) -> Listing:
    """Five or six venues: a target, for each slot one that differs from it there alone, others.

    So whoever knows only some of the wishes that the target meets cannot tell which one it is.
    """
    kind = KINDS[pick(tuple(KINDS), random)]
    target = tuple(pick(slot.values, random) for slot in kind.slots)
    rows = [target]
    for number, slot in enumerate(kind.slots):
        other = pick([value for value in slot.values if value != target[number]], random)
        rows.append((*target[:number], other, *target[number + 1 :]))
    size = int(len(rows) + 1 + random.random() * 2)
    while len(rows) < size:
        row = tuple(pick(column, random) for column in zip(*rows, strict=True))
        if row not in rows:
            rows.append(row)
    order = random.sample(range(len(rows)), len(rows))
    titles = random.sample(_titles(split), len(rows))
    facts = zip(*(_draw_facts(fact, len(rows), split, random) for fact in kind.facts), strict=True)
    venues = tuple(
        Venue(title, rows[row], known)
        for row, title, known in zip(order, titles, facts, strict=True)
    )
    return Listing(kind, venues, order.index(0))


@cache
def _titles(split: str) -> tuple[str, ...]:
    """What venues are called."""
    known = names(split)
    return (*known.brands, *known.last)


@cache
def _people(split: str) -> tuple[str, ...]:
    return tuple(name for name, _ in names(split).first)


def _draw_facts(fact: Fact, count: int, split: str, random: Random) -> list[str]:
    """A fact of each of several venues, no two of them alike."""
    pool: Sequence[object]
    if fact is _PHONE:
        pool = range(200, 1000)
    elif fact is _COST:
        pool = range(10, 100, 5)
    elif fact is _STREET:
        return [f"{town} Road" for town in random.sample(names(split).towns, count)]
    else:
        assert fact.person
        pool = _people(split)
    return [str(value) for value in random.sample(pool, count)]
