"""Sentences that name people, places, organisations and more, with their tags."""

from __future__ import annotations

import string
from functools import cache
from random import Random

from textenvs.data.examples import NERExample
from textenvs.data.world import entities
from textenvs.data.world.entities import pick, split_of
from textenvs.data.world.sequence import WorldSequence
from textenvs.data.world.templates import SLOTS, WITH_ENTITIES, WITHOUT_ENTITIES

NO_ENTITY_RATE = 0.065
"""The share of sentences without any entity."""

_Words = tuple[str, ...]


class WorldNER(WorldSequence[NERExample]):
    """Named-entity recognition: sentences with people, places, organisations and others.

    Types are ``PER``, ``LOC``, ``ORG`` and ``MISC`` (events, works, nationalities), tags BIO. One
    name can be of several types, which the context decides, and common words of names stand in
    sentences as such, so that to know the words is not enough. About one sentence in fifteen has
    no entity.

    The names of one split occur in no other. Training has 50,000 examples unless `size` says
    otherwise, validation and test 1,000 each.

    >>> example = WorldNER("train")[0]
    >>> len(example.words) == len(example.tags)
    True
    """

    def _make(self, index: int, random: Random) -> NERExample:
        if random.random() < NO_ENTITY_RATE:
            words, tags = _fill(pick(WITHOUT_ENTITIES, random), self.split, random)
            while split_of(" ".join(words)) != self.split:  # no names keep these splits apart
                words, tags = _fill(pick(WITHOUT_ENTITIES, random), self.split, random)
        else:
            words, tags = _fill(pick(WITH_ENTITIES, random), self.split, random)
        return NERExample(f"{self.split}-{index}", tuple(words), tuple(tags))


def _fill(template: _Words, split: str, random: Random) -> tuple[list[str], list[str]]:
    """The words and tags of a template with its slots filled, all of them differently."""
    lexicon = _lexicon(split)
    words: list[str] = []
    tags: list[str] = []
    used: set[_Words] = set()
    for word in template:
        slot = SLOTS.get(word)
        if slot is None:
            words.append(word)
            tags.append("O")
            continue
        kind, forms = slot
        while (filling := _expand(pick(forms, random), lexicon, random)) in used:
            pass
        used.add(filling)
        words += filling
        if kind:
            tags.append(f"B-{kind}")
            tags += [f"I-{kind}"] * (len(filling) - 1)
        else:
            tags += ["O"] * len(filling)
    for i in range(len(words) - 1):
        if words[i] == "a" and words[i + 1][0] in "aeiou":
            words[i] = "an"
    return words, tags


def _expand(form: _Words, lexicon: dict[str, tuple[_Words, ...]], random: Random) -> _Words:
    """A form with its capitals replaced by entries of the lexicon."""
    words: _Words = ()
    for word in form:
        entries = lexicon.get(word)
        words += (word,) if entries is None else pick(entries, random)
    return words


@cache
def _lexicon(split: str) -> dict[str, tuple[_Words, ...]]:
    """What the capitals in forms stand for: the names of the split, and common words."""
    known = entities.names(split)
    lists = {
        "FIRST": (name for name, _ in known.first),
        "LAST": known.last,
        "TOWN": known.towns,
        "BRAND": known.brands,
        "COUNTRY": (country for country, _ in known.countries),
        "DEMONYM": (adjective for _, adjective in known.countries),
        "PREFIX": entities.PLACE_PREFIXES,
        "NOUN": entities.ORG_NOUNS,
        "EVENT": entities.EVENT_NOUNS,
        "JOB": entities.JOBS,
        "PET": entities.PETS,
        "PRODUCT": entities.PRODUCTS,
        "SUBJECT": entities.SUBJECTS,
        "HOBBY": entities.HOBBIES,
        "MONTH": entities.MONTHS,
        "WEEKDAY": entities.WEEKDAYS,
        "YEAR": map(str, entities.YEARS),
        "COUNT": map(str, range(2, 10)),
        "INITIAL": (f"{letter}." for letter in string.ascii_uppercase if letter not in "QXY"),
    }
    return {
        "TITLE": known.titles,
        **{capital: tuple((word,) for word in words) for capital, words in lists.items()},
    }
