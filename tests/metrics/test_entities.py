from __future__ import annotations

import random
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics import classification_report
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB2

from textenvs.data.conll import read_conll, to_bio
from textenvs.errors import DatasetWarning
from textenvs.metrics.entities import entities, entity_scores, entity_types, transition_tables

LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "I-creative-work"]
tags = st.lists(st.sampled_from(LABELS), min_size=1, max_size=12)
sentence_pairs = st.lists(
    st.integers(1, 8).flatmap(
        lambda n: st.tuples(*[st.lists(st.sampled_from(LABELS), min_size=n, max_size=n)] * 2)
    ),
    min_size=1,
    max_size=6,
)


def seqeval_scores(
    predictions: list[list[str]], references: list[list[str]], **options: Any
) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # seqeval warns of ratios over nothing
        report = classification_report(
            references, predictions, output_dict=True, zero_division=0, **options
        )
    averages = {"macro avg", "weighted avg", "micro avg"}
    scores: dict[str, Any] = {
        kind: {
            "precision": row["precision"],
            "recall": row["recall"],
            "f1": row["f1-score"],
            "support": row["support"],
        }
        for kind, row in report.items()
        if kind not in averages
    }
    micro = report["micro avg"]
    scores |= {"precision": micro["precision"], "recall": micro["recall"], "f1": micro["f1-score"]}
    return scores


def assert_same(scores: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert scores.keys() == wanted.keys()
    for name, value in wanted.items():
        assert scores[name] == pytest.approx(value, abs=1e-12), name


@given(tags)
def test_entities_are_those_of_seqeval(sentence: list[str]) -> None:
    wanted = [(kind, start, last + 1) for kind, start, last in get_entities(sentence)]
    assert entities(sentence) == wanted


@given(sentence_pairs)
def test_scores_are_those_of_seqeval(pairs: list[tuple[list[str], list[str]]]) -> None:
    predictions, references = [list(p) for p, _ in pairs], [list(r) for _, r in pairs]
    if not any(tag != "O" for s in predictions + references for tag in s):
        assert entity_scores(predictions, references) == {"precision": 0, "recall": 0, "f1": 0}
        return
    assert_same(entity_scores(predictions, references), seqeval_scores(predictions, references))


@given(sentence_pairs)
def test_scores_are_those_of_strict_seqeval(pairs: list[tuple[list[str], list[str]]]) -> None:
    predictions = [to_bio(p, "BIO") for p, _ in pairs]
    references = [to_bio(r, "BIO") for _, r in pairs]
    if any(tag != "O" for s in predictions + references for tag in s):
        wanted = seqeval_scores(predictions, references, mode="strict", scheme=IOB2)
        assert_same(entity_scores(predictions, references), wanted)


@given(tags)
def test_tables_find_the_same_entities(sentence: list[str]) -> None:
    starts, ends, type_of = transition_tables(LABELS)
    types = entity_types(LABELS)
    boundary = len(LABELS)
    number = [boundary, *map(LABELS.index, sentence), boundary]
    found, start = [], -1
    for position in range(len(sentence) + 1):
        before, here = number[position], number[position + 1]
        if ends[before, here]:
            found.append((types[type_of[before]], start, position))
        if starts[before, here]:
            start = position
    assert found == entities(sentence)


def test_boundary_is_like_o() -> None:
    starts, ends, type_of = transition_tables(LABELS)
    assert starts.shape == ends.shape == (7, 7)
    assert starts.dtype == ends.dtype == np.bool_
    assert np.array_equal(starts[-1], starts[0])
    assert np.array_equal(ends[:, -1], ends[:, 0])
    assert not starts[:, -1].any()
    assert not ends[-1].any()
    assert type_of.tolist() == [-1, 0, 0, 1, 1, 2, -1]
    assert entity_types(LABELS) == ("PER", "LOC", "creative-work")


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"expected a BIO tag .*, got 'E-PER'"):
        entities(["E-PER"])
    with pytest.raises(ValueError, match="as many predicted sentences as reference sentences"):
        entity_scores([], [["O"]])
    with pytest.raises(ValueError, match="sentence 1: expected 2 tags, as in the reference, got 1"):
        entity_scores([["O"], ["O"]], [["O"], ["O", "O"]])


def test_all_o_scores_nothing() -> None:
    assert entity_scores([["O"] * 9], [["O"] * 8 + ["B-PER"]])["f1"] == 0.0


def test_real_file(shared_data: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DatasetWarning)  # several labels a tag, tested elsewhere
        examples = read_conll(shared_data / "conll" / "wnut17.test.conll")
    truth = [list(e.tags) for e in examples]
    scores = entity_scores(truth, truth)
    assert scores["f1"] == 1.0
    draw = random.Random(0)
    labels = sorted({tag for sentence in truth for tag in sentence})
    guesses = [
        [draw.choice(labels) if draw.random() < 0.1 else tag for tag in sentence]
        for sentence in truth
    ]
    assert_same(entity_scores(guesses, truth), seqeval_scores(guesses, truth))
