"""Writes the vocabulary of the built-in data: ``python -m textenvs.data.world.build_vocabulary``.

Common words are one piece each; names are made of the world's stems and endings; single
characters make sure that any printable ASCII text can be written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from textenvs.data.world import entities, speech, venues
from textenvs.data.world.relations import RELATIONS
from textenvs.data.world.templates import SLOTS, WITH_ENTITIES, WITHOUT_ENTITIES
from textenvs.tokenization.pieces import SPACE, SPECIAL_TOKENS

PATH = Path(__file__).with_name("vocabulary.json")

WORD_LISTS = (
    entities.PLACE_PREFIXES,
    entities.ORG_NOUNS,
    entities.EVENT_NOUNS,
    entities.JOBS,
    entities.PETS,
    entities.INSTRUMENTS,
    entities.HOBBIES,
    entities.SUBJECTS,
    entities.PRODUCTS,
    entities.MONTHS,
    entities.WEEKDAYS,
    entities.TITLE_ADJECTIVES,
    entities.TITLE_NOUNS,
)
ENDINGS = (
    entities.FEMALE_ENDINGS,
    entities.MALE_ENDINGS,
    entities.SURNAME_ENDINGS,
    entities.PLACE_ENDINGS,
    entities.BRAND_ENDINGS,
    entities.COUNTRY_ENDINGS,
    entities.COUNTRY_ENDINGS.values(),
)


def build_vocabulary() -> list[str]:
    """The tokens by id."""
    characters = [chr(code) for code in range(33, 127)]
    tokens = [*SPECIAL_TOKENS, "\n", SPACE, *characters, *(SPACE + c for c in characters)]
    tokens += sorted({SPACE + stem for stem in (*entities.FIRST_STEMS, *entities.FAMILY_STEMS)})
    tokens += sorted({ending for endings in ENDINGS for ending in endings})
    tokens += sorted({f"{SPACE}{year // 10}" for year in entities.YEARS})  # "1987" is ▁198 and 7
    tokens += sorted({SPACE + word for word in _words()})
    return list(dict.fromkeys(tokens))


def _words() -> Iterator[str]:
    """The common words, as they stand in texts."""
    for words in WORD_LISTS:
        yield from words
    yield from ("She", "He", "It", "The", "a", "an", "the", "and", "Sons")
    for relation in RELATIONS:
        for phrasing in (*relation.statements, *(q for qs in relation.about.values() for q in qs)):
            yield from re.findall(r"[A-Za-z]+", re.sub(r"\{\w+\}", " ", phrasing))
    for sentence in (*WITH_ENTITIES, *WITHOUT_ENTITIES):
        yield from (word for word in sentence if word.isalpha())
    for _, forms in SLOTS.values():
        yield from (
            word for form in forms for word in form if word.isalpha() and not word.isupper()
        )
    for text in _dialogue_texts():
        yield from re.findall(r"[A-Za-z]+", re.sub(r"\{\w+\}", " ", text))


def _dialogue_texts() -> Iterator[str]:
    """What dialogues are written with, less the names."""
    yield "User System Road"
    yield from (*speech.GREETINGS, *speech.WISHES, *speech.all_user_sentences())
    yield from (form for forms in speech.SYSTEM_SENTENCES.values() for form in forms)
    for kind in venues.KINDS.values():
        yield kind.name
        for slot in kind.slots:
            yield from (slot.name, *slot.values)
        for fact in kind.facts:
            yield from (fact.name, fact.said)


def main() -> None:
    """Write the file that ships with the package."""
    PATH.write_text(json.dumps(build_vocabulary(), ensure_ascii=False, indent=0) + "\n", "utf-8")


if __name__ == "__main__":
    main()
