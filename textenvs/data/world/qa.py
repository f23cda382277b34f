"""Passages about people, firms and events of the world, with questions that a span answers."""

from __future__ import annotations

from random import Random

from textenvs.data.examples import QAExample
from textenvs.data.world.cast import Cast, cast
from textenvs.data.world.entities import Entity, pick
from textenvs.data.world.prose import (
    COMPANIONS,
    SHORT_RATE,
    Fact,
    Mention,
    draw_fact,
    join,
    write,
)
from textenvs.data.world.relations import RELATIONS, Relation
from textenvs.data.world.sequence import WorldSequence

ARTICLES = ("a ", "an ", "the ", "The ")


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
        passage, mentions = write(join(facts, 3, random), random)
        question, part = _ask(target, random)
        spans = _answers(passage, target, part, mentions)
        return QAExample(
            id=f"{self.split}-{index}",
            passage=passage,
            question=question,
            answers=tuple(passage[start:end] for start, end in spans),
            answer_starts=tuple(start for start, _ in spans),
        )


def _facts(world: Cast, random: Random) -> list[Fact]:
    """Four or five facts; the first is asked for, and others state its relation of others."""
    relation = pick(RELATIONS, random)
    companion = pick(COMPANIONS[id(relation)], random)
    used: set[str] = set()

    def fact(relation: Relation, subject: Entity) -> Fact:
        return draw_fact(world, relation, subject, random, used)

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


def _answers(passage: str, fact: Fact, part: str, mentions: list[Mention]) -> list[tuple[int, int]]:
    """The spans that answer a question for a part, the most complete first."""
    entity = fact.parts[part]
    (mention,) = (mention for mention in mentions if mention.fact is fact)
    introduction = next(
        mention.starts["s"] for mention in mentions if mention.fact.subject is fact.subject
    )
    start = introduction if part == "s" else mention.starts[part]
    end = start + len(entity.full)
    spans = [(start, end)]
    if passage.startswith(ARTICLES, start):
        spans.append((passage.index(" ", start) + 1, end))
    if part == "s" and mention.name in entity.shorts:
        start = mention.starts["s"]
        spans.append((start, start + len(mention.name)))
    return spans
