"""Exact match and F1 of answers, by the rules of the official SQuAD evaluation.

Sources: the evaluation scripts of SQuAD 1.1 (Rajpurkar et al. 2016) and SQuAD 2.0 (Rajpurkar, Jia
& Liang 2018). The two differ only where an answer normalises to nothing (a lone article or
punctuation mark); there, the rules of 2.0 hold, on which both could agree.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b", re.UNICODE)
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def answer_words(text: str) -> list[str]:
    """The words that are compared: lower case, without ASCII punctuation and English articles.

    >>> answer_words("The U.S. Senate")
    ['us', 'senate']
    """
    return _ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split()


def normalize_answer(text: str) -> str:
    """The `answer_words` joined by single spaces.

    >>> normalize_answer("an  Apple!")
    'apple'
    """
    return " ".join(answer_words(text))


def exact_match(prediction: str, references: Sequence[str]) -> float:
    """1.0 if the prediction is a reference after normalisation, else 0.0.

    References that normalise to nothing do not count, unless there are no others: then, as with no
    reference at all (a question without an answer), 1.0 iff the prediction normalises to nothing.

    >>> exact_match("the cat", ["A cat.", "dog"]), exact_match("", [])
    (1.0, 1.0)
    """
    return _best(_same, prediction, references)


def f1(prediction: str, references: Sequence[str]) -> float:
    """The best F1, in [0, 1], of the prediction's bag of words with that of a reference.

    References that normalise to nothing are treated as `exact_match` treats them.

    >>> f1("a black cat", ["the cat", "dog"])
    0.6666666666666666
    """
    return _best(bag_f1, prediction, references)


def bag_f1(prediction: Sequence[str], reference: Sequence[str]) -> float:
    """The F1 of two bags of words, in [0, 1]; if either is empty, whether both are."""
    if not prediction or not reference:
        return float(not prediction and not reference)
    if prediction == reference:
        return 1.0
    common = (Counter(prediction) & Counter(reference)).total()
    if common == 0:
        return 0.0
    precision = common / len(prediction)
    recall = common / len(reference)
    return 2 * precision * recall / (precision + recall)


def reference_words(references: Sequence[str]) -> list[list[str]]:
    """What a prediction is compared with: the words of each reference that has any, else none.

    >>> reference_words(["The cat", "!"]), reference_words([])
    ([['cat']], [[]])
    """
    return [words for text in references if (words := answer_words(text))] or [[]]


def squad_scores(
    predictions: Sequence[str], references: Sequence[Sequence[str]]
) -> dict[str, float]:
    """Mean exact match and F1 over questions, each in [0, 1].

    Where some questions have no reference (SQuAD 2.0), also the means over those that have one
    (``HasAns_exact_match``, ``HasAns_f1``) and over those that have none (``NoAns_...``).

    >>> squad_scores(["the cat", "x"], [["cat"], ["y", "z"]])
    {'exact_match': 0.5, 'f1': 0.5}

    Args:
        predictions: An answer for each question; ``""`` says that there is none.
        references: The references of each question, none if the passage does not answer it.

    Raises:
        ValueError: The lengths differ, or there are no questions.
    """
    if len(predictions) != len(references) or not predictions:
        raise ValueError(
            "expected as many predictions as lists of references, at least one, "
            f"got {len(predictions)} and {len(references)}"
        )
    pairs = list(zip(predictions, references, strict=True))
    scores = [(exact_match(p, r), f1(p, r)) for p, r in pairs]
    result = _means(scores, "")
    answered = [bool(r) for _, r in pairs]
    if not all(answered):
        parts = {"HasAns_": True, "NoAns_": False}
        for prefix, value in parts.items():
            part = [score for score, has in zip(scores, answered, strict=True) if has == value]
            if part:
                result.update(_means(part, prefix))
    return result


def _means(scores: list[tuple[float, float]], prefix: str) -> dict[str, float]:
    count = len(scores)
    return {
        f"{prefix}exact_match": sum(em for em, _ in scores) / count,
        f"{prefix}f1": sum(f for _, f in scores) / count,
    }


def _same(prediction: Sequence[str], reference: Sequence[str]) -> float:
    return float(prediction == reference)


def _best(
    score: Callable[[Sequence[str], Sequence[str]], float],
    prediction: str,
    references: Sequence[str],
) -> float:
    words = answer_words(prediction)
    return max(score(words, reference) for reference in reference_words(references))
