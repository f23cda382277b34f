from __future__ import annotations

import collections
import re
import string
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from textenvs.data.squad import read_squad
from textenvs.metrics.squad import exact_match, f1, normalize_answer, squad_scores

# The rules of the official scripts, step by step, as an oracle of its own.


def official_normalize(s: str) -> str:
    def remove_articles(text: str) -> str:
        return re.sub(re.compile(r"\b(a|an|the)\b", re.UNICODE), " ", text)

    def white_space_fix(text: str) -> str:
        return " ".join(text.split())

    def remove_punc(text: str) -> str:
        exclude = set(string.punctuation)
        return "".join(ch for ch in text if ch not in exclude)

    return white_space_fix(remove_articles(remove_punc(s.lower())))


def official_f1_v2(a_gold: str, a_pred: str) -> float:
    gold_toks = official_normalize(a_gold).split() if a_gold else []
    pred_toks = official_normalize(a_pred).split() if a_pred else []
    common = collections.Counter(gold_toks) & collections.Counter(pred_toks)
    num_same = sum(common.values())
    if len(gold_toks) == 0 or len(pred_toks) == 0:
        return float(gold_toks == pred_toks)
    if num_same == 0:
        return 0.0
    precision = 1.0 * num_same / len(pred_toks)
    recall = 1.0 * num_same / len(gold_toks)
    return (2 * precision * recall) / (precision + recall)


def official_v2(prediction: str, answers: list[str]) -> tuple[float, float]:
    gold = [a for a in answers if official_normalize(a)] or [""]
    exact = max(float(official_normalize(a) == official_normalize(prediction)) for a in gold)
    return exact, max(official_f1_v2(a, prediction) for a in gold)


def official_f1_v1(prediction: str, ground_truth: str) -> float:
    prediction_tokens = official_normalize(prediction).split()
    ground_truth_tokens = official_normalize(ground_truth).split()
    common = collections.Counter(prediction_tokens) & collections.Counter(ground_truth_tokens)
    num_same = sum(common.values())
    if num_same == 0:
        return 0
    precision = 1.0 * num_same / len(prediction_tokens)
    recall = 1.0 * num_same / len(ground_truth_tokens)
    return (2 * precision * recall) / (precision + recall)


def official_v1(prediction: str, answers: list[str]) -> tuple[float, float]:
    exact = max(float(official_normalize(prediction) == official_normalize(a)) for a in answers)
    return exact, max(official_f1_v1(prediction, a) for a in answers)


wordlike = st.sampled_from(
    ["a", "an", "The", "the", "cat", "Cat", "cats", "U.S.", "don't", "—", "!", "...", "1,000", "ΑΣ"]
)
answer = st.one_of(st.text(max_size=12), st.lists(wordlike, max_size=6).map(" ".join))
references = st.lists(answer, max_size=4)


@given(answer)
def test_normalization(text: str) -> None:
    assert normalize_answer(text) == official_normalize(text)


@given(answer, references)
def test_version_2(prediction: str, answers: list[str]) -> None:
    exact, score = official_v2(prediction, answers)
    assert exact_match(prediction, answers) == exact
    assert f1(prediction, answers) == pytest.approx(score, abs=1e-12)


@given(answer, references)
def test_version_1(prediction: str, answers: list[str]) -> None:
    assume(answers and all(map(official_normalize, answers)))
    exact, score = official_v1(prediction, answers)
    assert exact_match(prediction, answers) == exact
    assert f1(prediction, answers) == pytest.approx(score, abs=1e-12)


@given(answer)
def test_one_on_identity_and_in_range(text: str) -> None:
    assert exact_match(text, [text]) == f1(text, [text]) == 1.0


def test_unanswerable() -> None:
    assert f1("", []) == exact_match("the", []) == 1.0
    assert f1("cat", []) == exact_match("cat", []) == 0.0
    assert f1("the", ["the", "cat"]) == 0.0


def test_corpus() -> None:
    assert squad_scores(["cat", "a dog"], [["cat"], ["dog house"]]) == {
        "exact_match": 0.5,
        "f1": pytest.approx(5 / 6),
    }
    assert squad_scores(["cat", "", "x", "y"], [["cat"], [], [], ["z"]]) == {
        "exact_match": 0.5,
        "f1": 0.5,
        "HasAns_exact_match": 0.5,
        "HasAns_f1": 0.5,
        "NoAns_exact_match": 0.5,
        "NoAns_f1": 0.5,
    }
    assert set(squad_scores([""], [[]])) == {
        "exact_match",
        "f1",
        "NoAns_exact_match",
        "NoAns_f1",
    }


@pytest.mark.parametrize(("predictions", "answers"), [([], []), (["a"], [])])
def test_corpus_of_unequal_lengths(predictions: list[str], answers: list[list[str]]) -> None:
    with pytest.raises(ValueError, match="expected as many predictions as lists of references"):
        squad_scores(predictions, answers)


def test_real_file(shared_data: Path) -> None:
    examples = read_squad(shared_data / "squad" / "xquad.en.json")
    truth = [e.answers for e in examples]
    assert squad_scores([e.answers[0] for e in examples], truth) == {"exact_match": 1.0, "f1": 1.0}
    guesses = [e.passage[max(0, e.answer_starts[0] - 7) :][:25] for e in examples]
    wanted = [official_v1(g, list(a)) for g, a in zip(guesses, truth, strict=True)]
    scores = squad_scores(guesses, truth)
    assert scores["exact_match"] == pytest.approx(sum(e for e, _ in wanted) / len(wanted))
    assert scores["f1"] == pytest.approx(sum(f for _, f in wanted) / len(wanted))
    assert 0.1 < scores["f1"] < 0.9
