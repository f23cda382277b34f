"""Sentences that state facts of the world, which passages and documents are made of."""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from functools import cache
from random import Random
from typing import NamedTuple

from textenvs.data.world.cast import Cast
from textenvs.data.world.entities import Entity, pick
from textenvs.data.world.relations import RELATIONS, Relation

PRONOUN_RATE, SHORT_RATE = 0.5, 0.5
"""How often a subject is called by a pronoun or a short name where that is clear."""
JOIN_RATE = 0.4
"""How often two facts about one subject share a sentence, as far as sentences remain."""

COMPANIONS = {
    id(relation): tuple(
        other
        for other in RELATIONS
        if other.subject == relation.subject
        and other.topic != relation.topic
        and not ("year" in other.values and "year" in relation.values)
    )
    for relation in RELATIONS
}
"""For each relation those that can stand in the same text; with dates of two relations a person
could be employed before being born."""


class Fact(NamedTuple):
    """A relation of a subject; the parts are all its entities by their letter in the phrasings."""

    relation: Relation
    subject: Entity
    parts: dict[str, Entity]


class Mention(NamedTuple):
    """How a text states a fact.

    Attributes:
        fact: The fact.
        phrasing: The phrasing of its relation.
        name: What the text calls the subject.
        starts: For each part where the text mentions it.
    """

    fact: Fact
    phrasing: str
    name: str
    starts: dict[str, int]


def draw_fact(
    world: Cast, relation: Relation, subject: Entity, random: Random, used: set[str]
) -> Fact:
    """A fact about a subject, with values that share no word with those drawn before."""
    parts = {"s": subject}
    for letter, kind in zip("vw", relation.values, strict=False):
        parts[letter] = world.draw(kind, random, used)
    return Fact(relation, subject, parts)


def join(facts: Sequence[Fact], fewest: int, random: Random) -> list[list[Fact]]:
    """The facts in order, some of them joined to an earlier one about the same subject.

    Args:
        facts: The facts, in the order of the text.
        fewest: How many sentences at least remain.
        random: What decides.
    """
    sentences: list[list[Fact]] = []
    spare = len(facts) - fewest
    for fact in facts:
        host = None
        if spare and random.random() < JOIN_RATE:
            host = next(
                (s for s in sentences if len(s) == 1 and s[0].subject is fact.subject), None
            )
        if host is None:
            sentences.append([fact])
        else:
            host.append(fact)
            spare -= 1
    return sentences


def write(
    sentences: Sequence[Sequence[Fact]],
    random: Random,
    avoid: Set[str] | None = None,
    pronoun_rate: float = PRONOUN_RATE,
) -> tuple[str, list[Mention]]:
    """A text that states some facts a sentence, and its mentions of them in turn.

    Args:
        sentences: The facts of each sentence, which are about one subject.
        random: What chooses phrasings and names.
        avoid: Phrasings that other texts use. If given, as far as there are others none of them
            is used, and none twice, which counts for more.
        pronoun_rate: How often a subject is called by a pronoun where that is clear.
    """
    text = ""
    introduced: set[str] = set()
    mentions: list[Mention] = []
    clear: Entity | None = None  # what a pronoun would be understood to mean
    for facts in sentences:
        subject = facts[0].subject
        name = subject.full
        if name in introduced:
            rate = pronoun_rate if subject is clear else 0.0
            name = _name_again(subject, rate, random)
        introduced.add(subject.full)
        leads = len(facts) > 1 or name == subject.pronoun
        starts: dict[str, int] = {}
        sentence = ""
        for number, fact in enumerate(facts):
            known = fact.relation.leading if leads else fact.relation.statements
            if avoid is not None:
                known = _without(_without(known, {m.phrasing for m in mentions}), avoid)
            phrasing = pick(known, random)
            segments = _segments(phrasing)
            if number:
                sentence += " and" if number == len(facts) - 1 else ","
                segments = segments[2:]  # less its subject
                starts = {"s": starts["s"]}
            sentence = _fill(sentence, segments, fact, name, starts)
            places = {part: len(text) + start for part, start in starts.items()}
            mentions.append(Mention(fact, phrasing, name, places))
        clear = subject if next(iter(starts)) == "s" and name != subject.pronoun else None
        text += f"{sentence[0].upper()}{sentence[1:]}. "
    return text[:-1], mentions


def _without(phrasings: tuple[str, ...], others: Set[str]) -> tuple[str, ...]:
    """The phrasings less some others, unless none is left."""
    return tuple(phrasing for phrasing in phrasings if phrasing not in others) or phrasings


def _name_again(subject: Entity, pronoun_rate: float, random: Random) -> str:
    """What to call a subject that was introduced before."""
    if pronoun_rate and random.random() < pronoun_rate:
        return subject.pronoun
    if subject.shorts and random.random() < SHORT_RATE:
        return pick(subject.shorts, random)
    return subject.full


@cache
def _segments(phrasing: str) -> list[str]:
    """A phrasing as text and the letters of its parts in turn."""
    return re.split(r"\{(\w)\}", phrasing)


def _fill(sentence: str, segments: list[str], fact: Fact, name: str, starts: dict[str, int]) -> str:
    """The sentence with a phrasing put behind it; notes in `starts` where each part stands."""
    sentence += segments[0]
    for part, text in zip(segments[1::2], segments[2::2], strict=True):
        starts[part] = len(sentence)
        sentence += (name if part == "s" else fact.parts[part].full) + text
    return sentence
