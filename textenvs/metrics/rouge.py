"""ROUGE-1, -2, -L and -Lsum of summaries, equal to those of the `rouge_score` package.

Sources: Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries"; the rules, where the
paper leaves a choice, are those of `rouge_score` 0.1.2 without stemming.

A set of positions in a reference is an integer: bit i stands for word i. So each word of a
prediction costs a few operations on integers, whatever the reference's length; the longest common
subsequence is found as by Hyyrö 2004, "Bit-Parallel LCS-length Computation Revisited".
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

_WORD = re.compile("[a-z0-9]+")

TYPES = ("rouge1", "rouge2", "rougeL", "rougeLsum")
"""The kinds of ROUGE: common words, common pairs of words, longest common subsequence (LCS), and
the union of the LCS of sentences, which are lines."""

Words: TypeAlias = "list[str]"


class Rouge(NamedTuple):
    """What a prediction shares with a reference, each in [0, 1].

    Attributes:
        precision: The share of the prediction that the reference has.
        recall: The share of the reference that the prediction has.
        f1: The harmonic mean of the two.
    """

    precision: float
    recall: float
    f1: float


class Reference:
    """A reference summary, prepared to be compared with predictions.

    Attributes:
        sentences: The words of each line that has any.
        words: All words.
        positions: For each word where it stands, as a set of positions.
    """

    __slots__ = ("positions", "sentences", "words")

    def __init__(self, text: str) -> None:
        self.sentences = _sentences(text)
        self.words = _joined(self.sentences)
        self.positions = _positions(self.words)


def rouge_words(text: str) -> Words:
    """The words that are compared: runs of ASCII letters and digits, in lower case.

    >>> rouge_words("The U.S. café")
    ['the', 'u', 's', 'caf']
    """
    return _WORD.findall(text.lower())


def rouge(prediction: str, references: Sequence[str | Reference]) -> dict[str, Rouge]:
    """Each of `TYPES` with the reference that gives it the best F1, the first of equal ones.

    >>> rouge("a black cat", ["the cat", "the dog"])["rouge1"]
    Rouge(precision=0.3333333333333333, recall=0.5, f1=0.4)

    Raises:
        ValueError: There is no reference.
    """
    if not references:
        raise ValueError("expected at least one reference, got none")
    sentences = _sentences(prediction)
    words = _joined(sentences)
    compared = []
    for given in references:
        reference = given if isinstance(given, Reference) else Reference(given)
        ones, twos, lcs = _hits(words, reference)
        if len(sentences) > 1 or len(reference.sentences) > 1:
            union = _union_hits(sentences, words, reference)
        else:
            union = lcs
        said, expected = len(words), len(reference.words)
        compared.append(
            (
                _score(ones, said, expected),
                _score(twos, said - 1, expected - 1),
                _score(lcs, said, expected),
                _score(union, said, expected),
            )
        )
    best = [max(scores, key=_f1) for scores in zip(*compared, strict=True)]
    return dict(zip(TYPES, best, strict=True))


def summary_f1(prediction: str, references: Sequence[str | Reference]) -> dict[str, float]:
    """The F1 of each of `TYPES`, and as ``rouge`` the mean of ROUGE-1, -2 and -L; in [0, 1].

    >>> summary_f1("The cat sat.", ["the cat sat", "a dog"])["rouge"]
    1.0
    """
    scores = {name: score.f1 for name, score in rouge(prediction, references).items()}
    return {"rouge": (scores["rouge1"] + scores["rouge2"] + scores["rougeL"]) / 3, **scores}


def rouge_scores(
    predictions: Sequence[str], references: Sequence[Sequence[str]]
) -> dict[str, float]:
    """The means of `summary_f1` over summaries.

    Args:
        predictions: A summary of each document.
        references: The references of each document, at least one.

    Raises:
        ValueError: The lengths differ, there are no documents, or one has no reference.
    """
    if len(predictions) != len(references) or not predictions:
        raise ValueError(
            "expected as many predictions as lists of references, at least one, "
            f"got {len(predictions)} and {len(references)}"
        )
    scores = [summary_f1(p, r) for p, r in zip(predictions, references, strict=True)]
    return {name: sum(score[name] for score in scores) / len(scores) for name in scores[0]}


def _sentences(text: str) -> list[Words]:
    return [words for line in text.split("\n") if (words := rouge_words(line))]


def _joined(sentences: list[Words]) -> Words:
    if len(sentences) == 1:
        return sentences[0]
    return [word for sentence in sentences for word in sentence]


def _positions(words: Words) -> dict[str, int]:
    positions: dict[str, int] = {}
    here = 1
    for word in words:
        positions[word] = positions.get(word, 0) | here
        here <<= 1
    return positions


def _hits(words: Words, reference: Reference) -> tuple[int, int, int]:
    """How many words, pairs of words, and words of a common subsequence a reference shares.

    A word or pair counts as often as both have it: each time it takes a position of its own, that
    of the pair's second word.
    """
    positions, length = reference.positions, len(reference.words)
    everywhere = (1 << length) - 1
    ones = twos = 0
    outside = everywhere  # less each position where the subsequence grows longer
    before = None
    for here in map(positions.get, words):
        if here:
            free = here & ~ones
            ones |= free & -free
            if before:
                free = here & (before << 1) & ~twos
                twos |= free & -free
            matched = outside & here
            outside = (outside + matched) | (outside - matched)
        before = here
    return ones.bit_count(), twos.bit_count(), length - (outside & everywhere).bit_count()


def _union_hits(sentences: list[Words], words: Words, reference: Reference) -> int:
    """How many words the union LCS has, each at most as often as the prediction has it."""
    left, hits = Counter(words), 0
    for expected in reference.sentences:
        union: set[int] = set()
        for said in sentences:
            union |= _common_subsequence(said, expected)
        for position in union:
            word = expected[position]
            if left[word]:
                left[word] -= 1
                hits += 1
    return hits


def _common_subsequence(words: Words, reference: Words) -> set[int]:
    """The positions in a reference of a longest common subsequence.

    Of several it is the one that `rouge_score` finds by going back from the end.
    """
    positions = _positions(reference)
    outside = (1 << len(reference)) - 1
    after = []
    for word in words:
        matched = outside & positions.get(word, 0)
        outside = (outside + matched) | (outside - matched)
        after.append(outside)
    found = set()
    here, last = len(reference) - 1, len(words) - 1
    while here >= 0 and last >= 0:
        if reference[here] == words[last]:
            found.add(here)
            here, last = here - 1, last - 1
        elif after[last] >> here & 1:
            here -= 1
        else:
            last -= 1
    return found


def _score(hits: int, said: int, expected: int) -> Rouge:
    if not hits:
        return _NOTHING
    precision, recall = hits / said, hits / expected
    return Rouge(precision, recall, 2 * precision * recall / (precision + recall))


def _f1(score: Rouge) -> float:
    return score.f1


_NOTHING = Rouge(0.0, 0.0, 0.0)
