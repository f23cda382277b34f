"""ROUGE beside the `rouge_score` package, on any text and on published summaries."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

import textenvs.metrics
from textenvs.metrics.rouge import (
    TYPES,
    Reference,
    rouge,
    rouge_scores,
    rouge_words,
    summary_f1,
)

ORACLE = RougeScorer(list(TYPES), use_stemmer=False)

few_words = st.lists(st.sampled_from([*"abcdA1", "\n", ".", "é", "ab"]), max_size=30)
texts = st.one_of(
    few_words.map(" ".join),
    few_words.map("".join),
    st.lists(st.text("ab \n.", max_size=12)).map("\n".join),
    st.text(st.characters(codec="utf-8"), max_size=40),
    st.text("aKk\u212aİıſΣ0٣²½'-_\r\n\x0b\x1c\x85\u2028 \xa0", max_size=20),
)


def assert_equal_to_the_oracle(prediction: str, references: list[str]) -> None:
    expected = ORACLE.score_multi(references, prediction)
    found = rouge(prediction, references)
    assert list(found) == list(TYPES)
    for name in TYPES:
        assert tuple(found[name]) == pytest.approx(tuple(expected[name]), abs=1e-9), name


@settings(max_examples=600)
@given(prediction=texts, references=st.lists(texts, min_size=1, max_size=4))
@example("", [""])
@example("a b", ["b a", "a c"])  # equal F1: the first reference's precision and recall
@example("a\nb\na", ["b a\na b"])  # each word of the union once for each time it is said
def test_any_text_scores_as_by_rouge_score(prediction, references):
    assert_equal_to_the_oracle(prediction, references)


def test_published_summaries_score_as_by_rouge_score(shared_data):
    lines = (shared_data / "summarization" / "dialogsum.test.jsonl").read_text("utf-8").splitlines()
    for line in lines[:150]:
        record = json.loads(line)
        references = [record[f"summary{number}"] for number in (1, 2, 3)]
        assert_equal_to_the_oracle(references[0], references[1:])
        first_turns = "\n".join(record["dialogue"].split("\n")[:4])
        assert_equal_to_the_oracle(first_turns, references)
        sentences = [text.replace(". ", ".\n") for text in references]
        assert_equal_to_the_oracle(sentences[0], sentences[1:])


@given(texts)
def test_a_text_is_its_own_best_summary(text):
    words = len(rouge_words(text))
    scores = summary_f1(text, [text])
    assert scores["rouge1"] == scores["rougeL"] == scores["rougeLsum"] == float(words > 0)
    assert scores["rouge2"] == float(words > 1)


@given(texts, texts)
def test_a_reference_may_be_prepared(prediction, reference):
    assert rouge(prediction, [Reference(reference)]) == rouge(prediction, [reference])


def test_the_score_is_the_mean_of_three():
    scores = summary_f1("the cat sat", ["the cat lay"])
    assert scores["rouge1"] == scores["rougeL"] == pytest.approx(2 / 3)
    assert scores["rouge2"] == 0.5
    assert scores["rouge"] == pytest.approx((2 / 3 + 0.5 + 2 / 3) / 3)


def test_means_over_documents_and_what_is_refused():
    scores = rouge_scores(["a cat", "x"], [["a cat"], ["y", "z"]])
    assert scores == dict.fromkeys(["rouge", *TYPES], 0.5)
    with pytest.raises(ValueError, match="at least one reference"):
        rouge("a", [])
    with pytest.raises(ValueError, match="got 1 and 2"):
        rouge_scores(["a"], [["a"], ["b"]])
    with pytest.raises(ValueError, match="got 0 and 0"):
        rouge_scores([], [])


def test_the_packaged_metric():
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    metric = textenvs.metrics.load("rouge_f1")
    predictions, references = ["the cat sat", "no"], [["the cat", "a dog sat"], ["yes"]]
    scores = metric.compute(predictions=predictions, references=references)
    assert scores == rouge_scores(predictions, references)
