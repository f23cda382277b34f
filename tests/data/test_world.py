"""The built-in world: answers that are right, splits that share no name, and enough examples."""

from __future__ import annotations

import pickle
import random
import re
from collections import Counter
from itertools import combinations, pairwise

import numpy as np
import pytest

from textenvs.data.world.build_vocabulary import build_vocabulary
from textenvs.data.world.cast import cast
from textenvs.data.world.entities import SPLITS, names, split_of
from textenvs.data.world.ner import WorldNER
from textenvs.data.world.qa import WorldQA, _facts
from textenvs.data.world.relations import RELATIONS
from textenvs.data.world.sequence import WorldSequence
from textenvs.data.world.summarization import WorldSummarization
from textenvs.data.world.templates import SLOTS, WITH_ENTITIES
from textenvs.errors import OptionError
from textenvs.tokenization.pieces import SPACE, PieceTokenizer

TOKENIZER = PieceTokenizer.builtin()
COMMON = {token.removeprefix(SPACE) for token in build_vocabulary() if token.startswith(SPACE)}
TASKS = [WorldQA, WorldNER, WorldSummarization]


@pytest.fixture(scope="module")
def qa() -> dict[str, list]:
    return {split: list(WorldQA(split, size=2_000)) for split in SPLITS}


@pytest.fixture(scope="module")
def ner() -> dict[str, list]:
    return {split: list(WorldNER(split, size=2_000)) for split in SPLITS}


def name_words(text: str) -> set[str]:
    """The capitalised words of a text that are no common words: names."""
    return {word for word in re.findall(r"[A-Z][a-z]+", text) if word not in COMMON}


@pytest.mark.parametrize("task", TASKS)
class TestSequence:
    def test_default_sizes(self, task: type[WorldSequence]) -> None:
        assert [len(task(split)) for split in SPLITS] == [50_000, 1_000, 1_000]

    def test_an_example_depends_on_seed_split_and_index_alone(
        self, task: type[WorldSequence]
    ) -> None:
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002
        before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
        data = task("train", seed=3)
        late = data[40_000]
        assert data[40_000] == task("train", seed=3, size=90_000)[40_000] == late
        assert pickle.loads(pickle.dumps(data))[40_000] == late
        assert task("train", seed=4)[40_000] != late
        assert task("test", seed=3, size=40_001)[40_000] != late
        assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # noqa: NPY002

    def test_indexing(self, task: type[WorldSequence]) -> None:
        data = task("test", size=5)
        assert data[-1] == data[4]
        assert list(data[1:5:2]) == [data[1], data[3]]
        assert len({example.id for example in data}) == 5
        for index in (5, -6):
            with pytest.raises(IndexError, match="out of range for 5"):
                data[index]

    def test_bad_arguments(self, task: type[WorldSequence]) -> None:
        with pytest.raises(OptionError, match="did you mean 'train'"):
            task("trian")
        with pytest.raises(OptionError, match="seed must be 0 or more"):
            task("train", seed=-1)
        with pytest.raises(OptionError, match="size must be 0 or more"):
            task("train", size=-1)


def test_names_of_splits_are_disjoint_and_share_their_pieces() -> None:
    words, pieces = {}, {}
    for split in SPLITS:
        known = names(split)
        towns = {place.split()[-1] for place in known.places}
        firsts, countries = dict(known.first), dict(known.countries)
        words[split] = {*firsts, *known.last, *known.towns, *towns, *known.brands}
        words[split] |= {*countries, *countries.values()}
        encodings = {word: TOKENIZER.encode(word).ids.tolist() for word in words[split]}
        assert all(2 <= len(ids) <= 3 for ids in encodings.values())
        pieces[split] = {i for ids in encodings.values() for i in ids}
        assert not words[split] & COMMON
    for one, other in combinations(SPLITS, 2):
        assert not words[one] & words[other]
        assert not set(names(one).titles) & set(names(other).titles)
    assert len(words["train"]) > 2_000
    assert pieces["validation"] | pieces["test"] <= pieces["train"]


def test_a_name_belongs_to_one_split_by_its_letters() -> None:
    assert split_of("Halford") == "train"
    with pytest.raises(OptionError, match="unknown split"):
        names("dev")


class TestQA:
    def test_distinct(self) -> None:
        examples = WorldQA("train", size=20_500)
        assert len({(example.passage, example.question) for example in examples}) > 20_400

    def test_answers_stand_where_they_are_said_to(self, qa: dict[str, list]) -> None:
        for example in (example for split in SPLITS for example in qa[split]):
            assert example.answers
            assert len(set(example.answers)) == len(example.answers)
            for answer, start in zip(example.answers, example.answer_starts, strict=True):
                passage = example.passage
                assert passage[start : start + len(answer)] == answer
                assert re.fullmatch(r"\w[\w&. ]*\w", answer)
                around = passage[start - 1 : start] + passage[start + len(answer)]
                assert not re.search(r"\w", around)

    def test_answers_are_whole_tokens(self, qa: dict[str, list]) -> None:
        for example in qa["test"]:
            starts, ends = TOKENIZER.encode(example.passage).offsets.T
            for answer, start in zip(example.answers, example.answer_starts, strict=True):
                assert start in starts
                assert start + len(answer) in ends

    def test_passages_are_short(self, qa: dict[str, list]) -> None:
        lengths = [len(TOKENIZER.encode(example.passage).ids) for example in qa["train"]]
        assert max(lengths) <= 80
        assert 35 <= np.mean(lengths) <= 60
        sentences = Counter(len(re.findall(r"\.(?: |$)", e.passage)) for e in qa["train"])
        assert set(sentences) <= {3, 4, 5}

    def test_names_and_passages_of_splits_are_disjoint(self, qa: dict[str, list]) -> None:
        found = {split: name_words(" ".join(e.passage for e in qa[split])) for split in SPLITS}
        assert all(len(found[split]) > 200 for split in SPLITS)
        for one, other in combinations(SPLITS, 2):
            assert not found[one] & found[other]
            assert not {e.passage for e in qa[one]} & {e.passage for e in qa[other]}

    def test_every_name_in_a_question_stands_in_the_passage(self, qa: dict[str, list]) -> None:
        for example in qa["validation"]:
            assert name_words(example.question) <= name_words(example.passage)

    def test_no_word_or_token_is_unknown(self, qa: dict[str, list]) -> None:
        for example in qa["test"]:
            text = f"{example.passage} {example.question}"
            assert 2 not in TOKENIZER.encode(text).ids
            words = set(re.findall(r"[A-Za-z]+", text))
            assert words - name_words(text) <= COMMON

    def test_english(self, qa: dict[str, list]) -> None:
        for example in qa["train"]:
            text = f"{example.passage} {example.question}"
            assert not re.search(r"\ban [^aeiou]|\ba [aeiou]|[Tt]he the\b|  |[{}]", text)
            assert all(s[0].isupper() for s in re.split(r"(?<=[.?]) ", text))

    def test_a_pronoun_follows_a_sentence_that_names_just_one(self, qa: dict[str, list]) -> None:
        pronouns = dict(names("train").first)
        seen = 0
        for example in qa["train"]:
            people = re.findall(r"([A-Z][a-z]+) ([A-Z][a-z]+)", example.passage)
            bearer = {name: first for first, last in people for name in (first, last)}
            sentences = [re.findall(r"\w+", text) for text in example.passage.split(". ")]
            for before, sentence in pairwise(sentences):
                if sentence[0] in ("She", "He"):
                    seen += 1
                    (first,) = {bearer[word] for word in before if bearer.get(word) in pronouns}
                    assert pronouns[first] == sentence[0]
        assert seen > 100

    def test_the_relation_alone_leaves_the_answer_open(self) -> None:
        shares = []
        for seed in range(2_000):
            target, *others = _facts(cast("train"), random.Random(seed))
            rivals = [fact for fact in others if fact.relation is target.relation]
            for part in target.relation.parts:
                values = {fact.parts[part].full for fact in (target, *rivals)}
                assert len(values) == 1 + len(rivals)
                shares.append(1 / len(values))
        assert max(shares) <= 0.5

    def test_all_kinds_of_questions_are_asked(self) -> None:
        kinds = [(relation, part) for relation in RELATIONS for part in relation.parts]
        assert len(kinds) >= 8
        for relation in RELATIONS:
            assert len(relation.statements) >= 4
            assert relation.leading
            assert all(len(set(questions)) >= 4 for questions in relation.about.values())
        firsts = Counter(e.question.split()[0] for e in WorldQA("train", size=2_000))
        assert {"Who", "Where", "When", "What", "Which", "In", "By", "Whose"} <= set(firsts)


class TestNER:
    def test_distinct(self) -> None:
        assert len({e.words for e in WorldNER("train", size=20_500)}) > 20_000

    def test_tags_are_bio(self, ner: dict[str, list]) -> None:
        for example in ner["train"]:
            assert len(example.words) == len(example.tags)
            for before, tag in zip(("O", *example.tags), example.tags, strict=False):
                assert re.fullmatch(r"O|[BI]-(PER|LOC|ORG|MISC)", tag)
                assert not tag.startswith("I-") or before[1:] == tag[1:]

    def test_lengths_and_shares(self, ner: dict[str, list]) -> None:
        examples = ner["train"]
        assert {len(example.words) for example in examples} <= set(range(6, 17))
        empty = np.mean([set(example.tags) == {"O"} for example in examples])
        assert 0.05 <= empty <= 0.08
        begun = Counter(tag for example in examples for tag in example.tags if tag[0] == "B")
        assert min(begun.values()) > 0.1 * sum(begun.values())
        assert len(begun) == 4
        assert len(WITH_ENTITIES) >= 40

    def test_names_and_sentences_of_splits_are_disjoint(self, ner: dict[str, list]) -> None:
        found = {
            split: name_words(" ".join(" ".join(e.words) for e in ner[split])) for split in SPLITS
        }
        for one, other in combinations(SPLITS, 2):
            assert not found[one] & found[other]
            assert not {e.words for e in ner[one]} & {e.words for e in ner[other]}
            assert not self._entities(ner[one]) & self._entities(ner[other])

    def test_every_name_is_tagged_and_common_words_depend_on_context(
        self, ner: dict[str, list]
    ) -> None:
        tags: dict[str, set[str]] = {}
        for example in ner["train"]:
            for word, tag in zip(example.words, example.tags, strict=True):
                tags.setdefault(word, set()).add(tag[2:] or "O")
        assert all("O" not in tags[word] for word in tags if name_words(word))
        several = [word for word in tags if len(tags[word]) > 1]
        assert {"Port", "New", "United", "Works", "Press"} <= set(several)
        assert sum(bool(name_words(word)) for word in several) > 200

    def test_entities_may_be_adjacent(self, ner: dict[str, list]) -> None:
        pairs = Counter(
            (before[2:], tag[2:])
            for example in ner["train"]
            for before, tag in zip(example.tags, example.tags[1:], strict=False)
            if before != "O" and tag.startswith("B-")
        )
        assert {("MISC", "PER"), ("LOC", "PER"), ("PER", "LOC")} <= set(pairs)

    def test_no_word_or_token_is_unknown(self, ner: dict[str, list]) -> None:
        for example in ner["test"]:
            text = " ".join(example.words)
            assert 2 not in TOKENIZER.encode(text).ids
            assert "{" not in text
            words = {word for word in example.words if re.fullmatch("[A-Za-z]+", word)}
            assert words - name_words(text) <= COMMON
            assert not re.search(r"\ban [^aeiou]|\ba [aeiou]", text)

    def test_every_slot_is_used(self) -> None:
        used = {word for template in WITH_ENTITIES for word in template if word.startswith("{")}
        assert used <= set(SLOTS)

    @staticmethod
    def _entities(examples: list) -> set[tuple[str, ...]]:
        found: set[tuple[str, ...]] = set()
        for example in examples:
            text = " ".join(t[0] for t in example.tags)
            for match in re.finditer(r"B( I)*", text):
                start, length = match.start() // 2, (match.end() - match.start() + 1) // 2
                found.add(example.words[start : start + length])
        return found
