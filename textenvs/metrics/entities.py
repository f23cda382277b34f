"""Entities in tagged sentences and their precision, recall and F1, by the CoNLL rules.

Source: conlleval (Tjong Kim Sang & Buchholz 2000), for BIO tags. seqeval's default mode gives the
same on all BIO tags, and its strict mode on well-formed ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Entity = tuple[str, int, int]


def entities(tags: Sequence[str]) -> list[Entity]:
    """The entities of a sentence: type, first word, one past the last word.

    An entity begins at B-, and at an I- that continues none: after O, at the beginning of the
    sentence, or after another type.

    >>> entities(["B-PER", "I-PER", "O", "I-LOC", "I-ORG"])
    [('PER', 0, 2), ('LOC', 3, 4), ('ORG', 4, 5)]

    Raises:
        ValueError: A tag that is not BIO; `textenvs.data.conll.to_bio` converts others.
    """
    found: list[Entity] = []
    kind: str | None = None
    start = 0
    for position, tag in enumerate(tags):
        prefix, tag_type = _parse(tag)
        if kind is not None and (prefix != "I" or tag_type != kind):
            found.append((kind, start, position))
            kind = None
        if prefix != "O" and kind is None:
            kind, start = tag_type, position
    if kind is not None:
        found.append((kind, start, len(tags)))
    return found


def entity_scores(
    predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]]
) -> dict[str, float | dict[str, float]]:
    """Precision, recall and F1 of the entities of all sentences together (micro-averaged).

    An entity is right if its type and both its ends are. A ratio over nothing is 0.0.

    >>> entity_scores([["B-PER", "O"]], [["B-PER", "B-LOC"]])["f1"]
    0.6666666666666666

    Args:
        predictions: The BIO tags of each sentence.
        references: The same for the truth.

    Returns:
        ``precision``, ``recall``, ``f1``; and for each type that occurs, in alphabetical order, a
        dict of these and of ``support``, the number of reference entities.

    Raises:
        ValueError: Numbers of sentences or of tags in one differ, or a tag that is not BIO.
    """
    if len(predictions) != len(references):
        raise ValueError(
            "expected as many predicted sentences as reference sentences, "
            f"got {len(predictions)} and {len(references)}"
        )
    correct: Counter[str] = Counter()
    predicted: Counter[str] = Counter()
    actual: Counter[str] = Counter()
    for number, (guess, truth) in enumerate(zip(predictions, references, strict=True)):
        if len(guess) != len(truth):
            raise ValueError(
                f"sentence {number}: expected {len(truth)} tags, as in the reference, "
                f"got {len(guess)}"
            )
        guessed, true = set(entities(guess)), set(entities(truth))
        _count(correct, guessed & true)
        _count(predicted, guessed)
        _count(actual, true)
    scores: dict[str, float | dict[str, float]] = {}
    scores.update(precision_recall_f1(correct.total(), predicted.total(), actual.total()))
    for kind in sorted(predicted | actual):
        per_type = precision_recall_f1(correct[kind], predicted[kind], actual[kind])
        scores[kind] = {**per_type, "support": actual[kind]}
    return scores


def precision_recall_f1(correct: int, predicted: int, actual: int) -> dict[str, float]:
    """The three ratios of counts of entities; a ratio over nothing is 0.0.

    >>> precision_recall_f1(1, 2, 1)
    {'precision': 0.5, 'recall': 1.0, 'f1': 0.6666666666666666}
    """
    return {
        "precision": correct / predicted if predicted else 0.0,
        "recall": correct / actual if actual else 0.0,
        "f1": 2 * correct / (predicted + actual) if predicted + actual else 0.0,
    }


def transition_tables(
    labels: Sequence[str],
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.int64]]:
    """Tables to find entities in a sequence of label numbers, one transition at a time.

    Number ``len(labels)``, one more than any label, is the sentence boundary: the last row of
    `starts` and `ends` is for the first word of a sentence, and the last column of `ends` for what
    comes after its last word. The boundary is like O in every way.

    >>> starts, ends, type_of = transition_tables(["O", "B-PER", "I-PER", "I-LOC"])
    >>> bool(starts[0, 2]), bool(starts[1, 2]), bool(ends[2, 3]), bool(ends[1, 4])
    (True, False, True, True)
    >>> type_of.tolist()
    [-1, 0, 0, 1, -1]

    Args:
        labels: The BIO tags, by number.

    Returns:
        A tuple ``(starts, ends, type_of)``:

        - ``starts``: bool, shape ``(labels + 1, labels + 1)``; ``starts[p, t]``: an entity starts
          at a word with tag t if the word before has tag p.
        - ``ends``: the same shape; ``ends[p, t]``: the entity of a word with tag p ends with that
          word if the next word has tag t. Always false where p is O.
        - ``type_of``: int, shape ``(labels + 1,)``; the number of the tag's type in
          `entity_types`, -1 for O and for the boundary.

    Raises:
        ValueError: A label that is not BIO.
    """
    types = {name: number for number, name in enumerate(entity_types(labels))}
    parsed = [_parse(label) for label in labels]
    begins = np.array([prefix == "B" for prefix, _ in parsed] + [False])
    type_of = np.array([types.get(name, -1) for _, name in parsed] + [-1], dtype=np.int64)
    inside = type_of >= 0
    broken = begins[None, :] | (type_of[:, None] != type_of[None, :])
    return broken & inside[None, :], broken & inside[:, None], type_of


def entity_types(labels: Iterable[str]) -> tuple[str, ...]:
    """The types of BIO tags in the order of their first occurrence.

    >>> entity_types(["O", "B-PER", "I-PER", "B-LOC"])
    ('PER', 'LOC')
    """
    parsed = (_parse(label) for label in labels)
    return tuple(dict.fromkeys(name for prefix, name in parsed if prefix != "O"))


def _parse(tag: str) -> tuple[str, str]:
    """The prefix and type of a tag; the type of a bare prefix is ``"_"``, as in seqeval."""
    prefix, _, name = tag.partition("-")
    if prefix not in ("B", "I", "O") or (prefix == "O" and tag != "O"):
        raise ValueError(f"expected a BIO tag ('O', 'B-PER', 'I-PER', ...), got {tag!r}")
    return prefix, "" if prefix == "O" else name or "_"


def _count(counter: Counter[str], found: Iterable[Entity]) -> None:
    counter.update(kind for kind, _, _ in found)
