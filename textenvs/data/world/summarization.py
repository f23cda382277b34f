"""Documents about people, firms or events of the world, with summaries."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from random import Random

from textenvs.data.examples import SummaryExample
from textenvs.data.world.cast import Cast, cast
from textenvs.data.world.entities import pick
from textenvs.data.world.prose import COMPANIONS, Fact, Mention, draw_fact, join, write
from textenvs.data.world.relations import RELATIONS, Relation
from textenvs.data.world.sequence import WorldSequence

OTHERS = ((2,), (1, 1), (2, 1), (2, 2), (2, 2))
"""How many facts a document states of each subject that it is not about."""
FACTS = 3
"""How many it states of the one that it is about."""
ALIKE_RATE = 0.75
"""How often all that is said of another subject is also said, with other values, of the first."""
FEWEST_SENTENCES = 5
PRONOUN_RATE = 0.75
"""How often a document calls a subject by a pronoun where that is clear; summaries always do."""
SUMMARIES = 3

DETAILED = frozenset(
    (
        "{s} was born in the town of {v}",
        "{s} has settled in {v}",
        "{s} is {v} by trade",
        "{s} has a degree in {v}",
        "{s} took a degree in {v}",
        "{s} looks after {v}",
        "{s} plays {v} in a band",
        "{s} has played {v} for years",
        "{s} plays {v} very well",
        "{s} has always made {v}",
        "{s} earns its money with {v}",
    )
)
"""Phrasings that say more than the others of their relation: a summary may not add it."""
PLAIN = {
    id(relation): replace(
        relation, statements=tuple(text for text in relation.leading if text not in DETAILED)
    )
    for relation in RELATIONS
}
"""The relations as summaries state them: the subject first, and nothing that not all say."""


class WorldSummarization(WorldSequence[SummaryExample]):
    """Summarization: a document of five to seven sentences, and three summaries.

    A document states facts of two or three subjects of one kind, and is about the one of which it
    states the most: three, while of each other it states one or two, mostly of the same kind. The
    subjects' facts are mixed, so that the first sentences often tell of another.

    Each summary tells the three facts in one sentence or two: in an order of its own, without
    details that a document may add, and in phrasings that neither the document nor another summary
    uses, as far as there are enough.

    The names of one split occur in no other. Training has 50,000 examples unless `size` says
    otherwise, validation and test 1,000 each.

    >>> example = WorldSummarization("train")[0]
    >>> len(example.summaries), len(set(example.summaries))
    (3, 3)
    """

    def _make(self, index: int, random: Random) -> SummaryExample:
        topic, others = _facts(cast(self.split), random)
        facts = [*topic, *others]
        random.shuffle(facts)
        sentences = join(facts, FEWEST_SENTENCES, random)
        document, mentions = write(sentences, random, avoid=set(), pronoun_rate=PRONOUN_RATE)
        told = [mention for mention in mentions if mention.fact.subject is topic[0].subject]
        return SummaryExample(f"{self.split}-{index}", document, _summaries(told, random))


def _facts(world: Cast, random: Random) -> tuple[list[Fact], list[Fact]]:
    """The facts of the subject that a document is about, and those of the others."""
    used: set[str] = set()
    relations = _relations(pick(RELATIONS, random), FACTS, random)

    def draw(relations: list[Relation]) -> list[Fact]:
        subject = world.draw(relations[0].subject, random, used)
        return [draw_fact(world, relation, subject, random, used) for relation in relations]

    topic = draw(relations)
    others: list[Fact] = []
    for count in pick(OTHERS, random):
        if random.random() < ALIKE_RATE:
            others += draw(random.sample(relations, count))
        else:
            others += draw(_relations(pick(relations, random), count, random))
    return topic, others


def _relations(first: Relation, count: int, random: Random) -> list[Relation]:
    """Relations that one subject can have together."""
    chosen = [first]
    while len(chosen) < count:
        fitting = [
            relation
            for relation in COMPANIONS[id(first)]
            if all(relation in COMPANIONS[id(other)] for other in chosen)
        ]
        chosen.append(pick(fitting, random))
    return chosen


def _summaries(told: list[Mention], random: Random) -> tuple[str, ...]:
    """Texts that state the facts, each in another order than the document's and than each other."""
    facts = [mention.fact._replace(relation=PLAIN[id(mention.fact.relation)]) for mention in told]
    used = {mention.phrasing for mention in told}
    _, *orders = permutations(facts)
    summaries = []
    for order in random.sample(orders, SUMMARIES):
        first = pick((1, 2, FACTS), random)
        sentences = [part for part in (order[:first], order[first:]) if part]
        summary, mentions = write(sentences, random, avoid=used, pronoun_rate=1.0)
        used |= {mention.phrasing for mention in mentions}
        summaries.append(summary)
    return tuple(summaries)
