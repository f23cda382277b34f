"""Built-in documents: what they are about, summaries that say it, splits that share nothing."""

from __future__ import annotations

import re
from collections import Counter
from itertools import combinations, pairwise
from random import Random

import numpy as np
import pytest

from textenvs.data.examples import SummaryExample
from textenvs.data.world import WorldSummarization
from textenvs.data.world.build_vocabulary import build_vocabulary
from textenvs.data.world.cast import cast
from textenvs.data.world.entities import SPLITS, names
from textenvs.data.world.prose import Fact, Mention, write
from textenvs.data.world.relations import RELATIONS
from textenvs.data.world.summarization import DETAILED, PLAIN, _facts, _summaries
from textenvs.metrics.rouge import rouge
from textenvs.tasks.summarization import SummarizationTask
from textenvs.tokenization.pieces import SPACE, PieceTokenizer

TOKENIZER = PieceTokenizer.builtin()
COMMON = {token.removeprefix(SPACE) for token in build_vocabulary() if token.startswith(SPACE)}


@pytest.fixture(scope="module")
def data() -> dict[str, list[SummaryExample]]:
    sizes = {"train": 2_000, "validation": 1_000, "test": 1_000}
    return {split: list(WorldSummarization(split, size=sizes[split])) for split in SPLITS}


def name_words(text: str) -> set[str]:
    """The capitalised words of a text that are no common words: names."""
    return {word for word in re.findall(r"[A-Z][a-z]+", text) if word not in COMMON}


def sentences(text: str) -> list[str]:
    return re.split(r"(?<=\.) ", text)


def told(seed: int) -> tuple[list[Mention], list[Fact], Random]:
    """What a document says of the one that it is about, and the facts of the others."""
    random = Random(seed)
    topic, others = _facts(cast("train"), random)
    facts = [*topic, *others]
    random.shuffle(facts)
    _, mentions = write([[fact] for fact in facts], random, avoid=set())
    return [m for m in mentions if m.fact.subject is topic[0].subject], others, random


def test_distinct() -> None:
    assert len({example.document for example in WorldSummarization("train", size=20_200)}) > 20_000


def test_a_document_is_about_the_one_of_which_it_says_most() -> None:
    for seed in range(1_000):
        mentions, others, _ = told(seed)
        assert len(mentions) == 3
        counts = Counter(fact.subject.full for fact in others)
        assert max(counts.values()) <= 2
        assert len(counts) in (1, 2)
        kinds = {fact.relation.subject for fact in others}
        assert kinds == {mentions[0].fact.relation.subject}


def test_its_first_sentence_often_tells_of_another(data: dict[str, list[SummaryExample]]) -> None:
    first = [
        bool(name_words(sentences(e.document)[0]) & name_words(sentences(e.summaries[0])[0]))
        for e in data["train"]
    ]
    assert 0.3 < np.mean(first) < 0.7


def test_facts_do_not_contradict_each_other() -> None:
    for seed in range(1_000):
        mentions, others, _ = told(seed)
        facts = [*(mention.fact for mention in mentions), *others]
        for subject in {fact.subject.full for fact in facts}:
            relations = [fact.relation for fact in facts if fact.subject.full == subject]
            assert len({relation.topic for relation in relations}) == len(relations)
            assert sum("year" in relation.values for relation in relations) <= 1


def test_each_summary_tells_every_fact_in_an_order_of_its_own() -> None:
    for seed in range(500):
        mentions, others, random = told(seed)
        subject = mentions[0].fact.subject
        values = [mention.fact.parts["v"].full for mention in mentions]
        orders = {tuple(values)}
        for summary in _summaries(mentions, random):
            assert subject.full.lower() in summary.lower()
            places = {value: re.search(rf"\b{value}\b", summary) for value in values}
            assert all(places.values())
            orders.add(tuple(sorted(values, key=lambda value: places[value].start())))
            others_words = {word for fact in others for word in fact.subject.words}
            assert not any(re.search(rf"\b{word}\b", summary) for word in others_words)
        assert len(orders) == 4


def test_summaries_add_no_detail() -> None:
    statements = {text for relation in RELATIONS for text in relation.statements}
    assert statements >= DETAILED
    for relation in RELATIONS:
        plain = PLAIN[id(relation)]
        assert plain.statements
        assert plain.leading == plain.statements
        assert not set(plain.statements) & DETAILED


def test_summaries_are_worded_differently(data: dict[str, list[SummaryExample]]) -> None:
    for example in data["train"]:
        assert len(set(example.summaries)) == 3
        assert {len(sentences(summary)) for summary in example.summaries} <= {1, 2}
    pairs = [pair for e in data["train"][:300] for pair in combinations(e.summaries, 2)]
    assert 0.3 < np.mean([rouge(a, [b])["rouge2"].f1 for a, b in pairs]) < 0.7


def test_names_in_a_summary_stand_in_the_document(data: dict[str, list[SummaryExample]]) -> None:
    for example in data["validation"]:
        for summary in example.summaries:
            assert name_words(summary) <= name_words(example.document)


def test_lengths(data: dict[str, list[SummaryExample]]) -> None:
    limits = SummarizationTask.builtin_limits
    documents = [len(TOKENIZER.encode(e.document).ids) for e in data["train"]]
    summaries = [len(TOKENIZER.encode(text).ids) for e in data["train"] for text in e.summaries]
    assert max(documents) + 1 <= limits.prompt
    assert max(summaries) + 1 <= limits.steps
    assert np.mean(summaries) < 28
    assert np.std(documents) > 8
    counts = Counter(len(sentences(e.document)) for e in data["train"])
    assert set(counts) == {5, 6, 7}


def test_names_and_texts_of_splits_are_disjoint(data: dict[str, list[SummaryExample]]) -> None:
    texts = {split: [(e.document, *e.summaries) for e in data[split]] for split in SPLITS}
    found = {split: name_words(" ".join(sum(texts[split], ()))) for split in SPLITS}
    assert all(len(found[split]) > 200 for split in SPLITS)
    for one, other in combinations(SPLITS, 2):
        assert not found[one] & found[other]
        assert not {text for of in texts[one] for text in of} & {
            text for of in texts[other] for text in of
        }


def test_no_word_or_token_is_unknown(data: dict[str, list[SummaryExample]]) -> None:
    for example in data["test"]:
        for text in (example.document, *example.summaries):
            ids = TOKENIZER.encode(text).ids
            assert 2 not in ids
            assert TOKENIZER.decode(ids) == text
            assert set(re.findall(r"[A-Za-z]+", text)) - name_words(text) <= COMMON


def test_english(data: dict[str, list[SummaryExample]]) -> None:
    wrong = r"\ban [^aeiou]|\ba [aeiou]|[Tt]he the\b|  |[{}]| ,|\.\."
    for example in data["train"]:
        for text in (example.document, *example.summaries):
            assert not re.search(wrong, text), text
            assert all(s[0].isupper() and s.endswith(".") for s in sentences(text))
            assert not re.search(r"(takes place|is held) in [^.]*\1", text.split(". ")[-1]), text


def test_pronouns_are_clear(data: dict[str, list[SummaryExample]]) -> None:
    """A pronoun begins a sentence, and the one before names its bearer alone."""
    pronouns = dict(names("train").first)
    seen = 0
    for example in data["train"]:
        people = re.findall(r"([A-Z][a-z]+) ([A-Z][a-z]+)", example.document)
        bearer = {name: first for first, last in people for name in (first, last)}
        for text in (example.document, *example.summaries):
            assert not re.search(r"\b(he|she|it)\b", text)
            split = [re.findall(r"\w+", sentence) for sentence in sentences(text)]
            for before, sentence in pairwise(split):
                if sentence[0] in ("She", "He"):
                    seen += 1
                    (first,) = {bearer[word] for word in before if bearer.get(word) in pronouns}
                    assert pronouns[first] == sentence[0]
    assert seen > 1_000
