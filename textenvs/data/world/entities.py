"""Who and what the world holds: names composed of syllables, and short lists of common words.

Every name word belongs to exactly one split, whatever it names, by a hash of its letters. The
syllables are shared, so that a model which learned to copy names copies unseen ones too.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import product
from random import Random
from typing import NamedTuple, TypeVar

from textenvs.errors import unknown

T = TypeVar("T")

SPLITS = {"train": 0, "validation": 1, "test": 2}
"""The splits, each with the number that enters its random draws."""


def _listed(text: str) -> tuple[str, ...]:
    """The words of a text; lists of words read better without quotes and commas."""
    return tuple(text.split())


FIRST_STEMS = _listed("""
    Mar Dan Jul Elv Kar Ros Vik Tor Len Adr Ber Cord Fel Gab Hels Jos Kat Lor Mel Nad Ol Pet Rom
    Sil Tam Val Wilm Zof Ard Bren Dor Em Fab Ger Iv Kir Lud Mir Nor Rad Sel Tess Ver Alm
""")
FEMALE_ENDINGS = _listed("a ia ina ella ena ita anne ika ette elle isa")
MALE_ENDINGS = _listed("o an us ek en ik or ian ius iel")

FAMILY_STEMS = _listed("""
    Hal Brack Ash Thorn Lind Wes Kel Har Mor Stan Bram Cald Dun Eck Farn Gren Hol Lang Marl Vos
    Ost Pell Quin Rav Sand Tal Und Vand Win Yar Zel Ald Birk Crom Drev Elm Gar Had Ing Jars Kold
    Lam Nett Orm Bris Rud Skar Tren Ulv Wald
""")
SURNAME_ENDINGS = _listed("""
    sen son berg ley well man gren ner more wood sky kov dal strom quist worth mann lund
""")
PLACE_ENDINGS = _listed("""
    ford ville burg port holm dale ham field mouth haven wick stead ton bury minster brook stadt
""")
PLACE_PREFIXES = _listed("Port New Upper Saint")
BRAND_ENDINGS = _listed("ora ax tek ix iva nova onic tron")
COUNTRY_ENDINGS = {"onia": "onian", "avia": "avian", "estan": "estani"}
"""How countries end, and the word for what comes from them."""

ORG_NOUNS = _listed("""
    Works Foods Group Trading Mills Motors Partners Studios Systems Press Airways Textiles
""")
EVENT_NOUNS = _listed("Cup Festival Prize Fair Rally Regatta Marathon Trophy Congress")

JOBS = _listed("""
    baker nurse teacher farmer lawyer pilot tailor carpenter plumber dentist painter librarian
    florist gardener chemist sculptor welder journalist translator surgeon potter barber miner
    fisherman photographer waiter banker clerk roofer weaver actor editor engineer architect
    electrician optician
""")
PETS = _listed("""
    dog cat parrot goat pony rabbit tortoise canary donkey hamster snake horse goose lizard ferret
    owl otter
""")
INSTRUMENTS = _listed("""
    violin piano flute guitar cello trumpet harp drums clarinet oboe banjo organ accordion
    trombone
""")
HOBBIES = _listed("""
    chess sailing painting gardening swimming cycling climbing fishing cooking dancing skiing
    pottery tennis rowing hiking knitting poetry photography opera running skating jazz archery
    fencing
""")
SUBJECTS = _listed("""
    law history physics biology chemistry medicine music geology botany philosophy economics
    geography mathematics architecture zoology statistics engineering linguistics theology
""")
PRODUCTS = _listed("""
    shoes bicycles bread glass furniture clocks pianos carpets soap candles paper toys tools boats
    cheese tea chocolate hats bricks lamps tractors cameras umbrellas mirrors
""")
MONTHS = _listed("""
    January February March April May June July August September October November December
""")
TITLE_ADJECTIVES = _listed(
    "Silent Golden Distant Broken Hidden Lost Burning Crimson Secret Frozen Quiet Open"
)
TITLE_NOUNS = _listed(
    "River Garden Mountain Letter Island Mirror Winter Harbour Road Lantern Forest Window"
)
WEEKDAYS = _listed("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
YEARS = range(1930, 2000)
"""Old enough that whoever is born in the last of them can have a profession."""

_TRIPLE = re.compile(r"(.)\1\1")
"""Stems and endings that do not go together, as in "Pell" and "lund"."""


class Entity(NamedTuple):
    """Something that a text can mention.

    Attributes:
        full: How it is introduced, such as ``"Mara Halsen"`` or ``"a baker"``.
        words: What no other entity of the same passage may share.
        shorts: Other names for it, usable once it was introduced.
        pronoun: ``"She"``, ``"He"`` or ``"It"``, or nothing where it is never a subject.
    """

    full: str
    words: tuple[str, ...]
    shorts: tuple[str, ...] = ()
    pronoun: str = ""


class Names(NamedTuple):
    """The name words of one split; those of two splits have none in common.

    Attributes:
        first: First names, each with the pronoun of its bearer.
        last: Surnames.
        towns: One-word town names.
        places: Towns as they are called, some with a prefix (``"Port Halford"``).
        brands: Invented words that organisations and events are called by.
        titles: Of books and songs, two words each.
        countries: Countries, each with the adjective for it. The adjective's own hash does not
            matter: it follows its country.
    """

    first: tuple[tuple[str, str], ...]
    last: tuple[str, ...]
    towns: tuple[str, ...]
    places: tuple[str, ...]
    brands: tuple[str, ...]
    titles: tuple[tuple[str, str], ...]
    countries: tuple[tuple[str, str], ...]


def split_of(word: str) -> str:
    """The one split that may use a name: a tenth each for test and validation.

    >>> split_of("Halford"), split_of("Mara")
    ('train', 'validation')
    """
    return {0: "test", 1: "validation"}.get(zlib.crc32(word.encode()) % 10, "train")


@cache
def names(split: str) -> Names:
    """The names of a split.

    Raises:
        OptionError: If there is no such split.
    """
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)

    def compose(stems: Iterable[str], endings: Iterable[str]) -> tuple[str, ...]:
        words = (stem + ending for stem, ending in product(stems, endings))
        return tuple(word for word in words if split_of(word) == split and not _TRIPLE.search(word))

    towns = compose(FAMILY_STEMS, PLACE_ENDINGS)
    prefixed = (
        f"{PLACE_PREFIXES[i % len(PLACE_PREFIXES)]} {town}" for i, town in enumerate(towns[::4])
    )
    return Names(
        first=(
            *((name, "She") for name in compose(FIRST_STEMS, FEMALE_ENDINGS)),
            *((name, "He") for name in compose(FIRST_STEMS, MALE_ENDINGS)),
        ),
        last=compose(FAMILY_STEMS, SURNAME_ENDINGS),
        towns=towns,
        places=(*towns, *prefixed),
        brands=compose(FAMILY_STEMS, BRAND_ENDINGS),
        titles=tuple(
            title
            for title in product(TITLE_ADJECTIVES, TITLE_NOUNS)
            if split_of(" ".join(title)) == split
        ),
        countries=tuple(
            (stem + ending, stem + COUNTRY_ENDINGS[ending])
            for stem, ending in product(FIRST_STEMS, COUNTRY_ENDINGS)
            if split_of(stem + ending) == split
        ),
    )


def with_article(noun: str) -> str:
    """A noun after its indefinite article.

    >>> with_article("owl"), with_article("baker")
    ('an owl', 'a baker')
    """
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def pick(items: Sequence[T], random: Random) -> T:
    """One of the items, at a third of the cost of `Random.choice`."""
    return items[int(random.random() * len(items))]
