"""Passages about people, firms and events of the world, with questions that a span answers."""

from __future__ import annotations

import re
from functools import cache
from random import Random
from typing import NamedTuple

from textenvs.data.examples import QAExample
from textenvs.data.world.cast import Cast, cast
from textenvs.data.world.entities import Entity, pick
from textenvs.data.world.relations import RELATIONS, Relation
from textenvs.data.world.sequence import WorldSequence

PRONOUN_RATE, SHORT_RATE = 0.5, 0.5
"""How often a subject is called by a pronoun or a short name where that is clear."""
JOIN_RATE = 0.4
"""How often two facts about one subject share a sentence, as far as three sentences remain."""
ARTICLES = ("a ", "an ", "the ", "The ")

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
"""For each relation those that can stand in the same passage; with dates of two relations a person
could be employed before being born."""


class WorldQA(WorldSequence[QAExample]):
    """Reading comprehension: a passage of three to five sentences and a question about it.

    Two or three subjects of one kind share the relation that is asked for, each with a value of
    its own, so that only the name in the question tells which one is meant. The answers are the
    spans that answer it: with and without an article, a full name and the short one that stands
    in the sentence.

    The names of one split occur in no other. Training has 50,000 examples unless `size` says
    otherwise, validation and test 1,000 each.

    >>> example = WorldQA("train")[0]
    >>> example.passage[example.answer_starts[0] :].startswith(example.answers[0])
    True
    """

    def _make(self, index: int, random: Random) -> QAExample:
        facts = _facts(cast(self.split), random)
        target = facts[0]
        random.shuffle(facts)
        passage, starts = _write(_sentences(facts, random), target, random)
        question, part = _ask(target, random)
        spans = _answers(passage, target, part, starts)
        return QAExample(
            id=f"{self.split}-{index}",
            passage=passage,
            question=question,
            answers=tuple(passage[start:end] for start, end in spans),
            answer_starts=tuple(start for start, _ in spans),
        )


class Fact(NamedTuple):
    """A relation of a subject; the parts are all its entities by their letter in the phrasings."""

    relation: Relation
    subject: Entity
    parts: dict[str, Entity]


class Mentions(NamedTuple):
    """Where a passage mentions the parts of the fact that is asked for.

    Attributes:
        introduction: Where its subject is introduced by its full name.
        parts: For each part, where the fact's sentence mentions it.
        subject: How that sentence calls the subject.
    """

    introduction: int
    parts: dict[str, int]
    subject: str


def _facts(world: Cast, random: Random) -> list[Fact]:
    """Four or five facts; the first is asked for, and others state its relation of others."""
    relation = pick(RELATIONS, random)
    companion = pick(COMPANIONS[id(relation)], random)
    used: set[str] = set()

    def fact(relation: Relation, subject: Entity) -> Fact:
        parts = {"s": subject}
        for letter, kind in zip("vw", relation.values, strict=False):
            parts[letter] = world.draw(kind, random, used)
        return Fact(relation, subject, parts)

    layout = random.random()
    subjects = [world.draw(relation.subject, random, used) for _ in range(3 if layout < 0.4 else 2)]
    facts = [fact(relation, subject) for subject in subjects]
    if len(subjects) == 3:
        return [*facts, fact(companion, pick(subjects, random))]
    facts += [fact(companion, subject) for subject in subjects]
    third = pick(COMPANIONS[id(relation)], random)
    if layout < 0.6 and third in COMPANIONS[id(companion)]:
        facts.append(fact(third, pick(subjects, random)))
    return facts


def _sentences(facts: list[Fact], random: Random) -> list[list[Fact]]:
    """The facts in order, some of them joined to an earlier one about the same subject."""
    sentences: list[list[Fact]] = []
    spare = len(facts) - 3
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


def _write(sentences: list[list[Fact]], target: Fact, random: Random) -> tuple[str, Mentions]:
    """The passage, and where it mentions the parts of the target."""
    passage = ""
    introductions: dict[str, int] = {}
    clear: Entity | None = None  # what a pronoun would be understood to mean
    found: tuple[dict[str, int], str] = {}, ""
    for facts in sentences:
        subject = facts[0].subject
        name = subject.full
        if name in introductions:
            name = _name_again(subject, subject is clear, random)
        leads = len(facts) > 1 or name == subject.pronoun
        starts: dict[str, int] = {}
        sentence = ""
        for number, fact in enumerate(facts):
            segments = _segments(
                pick(fact.relation.leading if leads else fact.relation.statements, random)
            )
            if number:
                sentence += " and"
                segments = segments[2:]  # less its subject
                starts = {"s": starts["s"]}
            sentence = _fill(sentence, segments, fact, name, starts)
            if fact is target:
                found = {part: len(passage) + start for part, start in starts.items()}, name
        if subject.full not in introductions:
            introductions[subject.full] = len(passage) + starts["s"]
        clear = subject if next(iter(starts)) == "s" and name != subject.pronoun else None
        passage += f"{sentence[0].upper()}{sentence[1:]}. "
    return passage[:-1], Mentions(introductions[target.subject.full], *found)


def _name_again(subject: Entity, is_clear: bool, random: Random) -> str:
    """What to call a subject that was introduced before."""
    if is_clear and random.random() < PRONOUN_RATE:
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


def _ask(fact: Fact, random: Random) -> tuple[str, str]:
    """A question about a fact, and the letter of the part that answers it."""
    part = pick(fact.relation.parts, random)
    question = pick(fact.relation.about[part], random)
    for letter, entity in fact.parts.items():
        if letter != part:
            short = entity.shorts and random.random() < SHORT_RATE
            name = pick(entity.shorts, random) if short else entity.full
            question = question.replace(f"{{{letter}}}", name)
    return question, part


def _answers(passage: str, fact: Fact, part: str, mentions: Mentions) -> list[tuple[int, int]]:
    """The spans that answer a question for a part, the most complete first."""
    entity = fact.parts[part]
    start = mentions.introduction if part == "s" else mentions.parts[part]
    end = start + len(entity.full)
    spans = [(start, end)]
    if passage.startswith(ARTICLES, start):
        spans.append((passage.index(" ", start) + 1, end))
    if part == "s" and mentions.subject in entity.shorts:
        start = mentions.parts["s"]
        spans.append((start, start + len(mentions.subject)))
    return spans
