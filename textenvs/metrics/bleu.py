"""Corpus BLEU from counts that are kept for each segment, by the rules of sacrebleu's default."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from textenvs.errors import TextEnvsError

if TYPE_CHECKING:
    from collections import Counter

    from sacrebleu.metrics.bleu import BLEU

ORDER = 4
"""The longest n-grams that are counted."""

STATISTICS = (
    "hypothesis_length",
    "reference_length",
    *(f"matched_{n}" for n in range(1, ORDER + 1)),
    *(f"total_{n}" for n in range(1, ORDER + 1)),
)
"""What `bleu_statistics` counts, in words; ``matched`` and ``total`` are n-grams of hypotheses."""


def bleu_statistics(hypotheses: Sequence[str], references: Sequence[str]) -> NDArray[np.int64]:
    """The counts from which BLEU follows, summed over segments, ``(len(STATISTICS),)``.

    Words and punctuation are told apart as by mteval-v13a; case matters.

    Args:
        hypotheses: The segments to score.
        references: One reference for each.

    Raises:
        TextEnvsError: sacrebleu is missing.

    Source: Papineni et al. 2002; Post 2018 (sacrebleu).
    """
    counts = np.zeros(len(STATISTICS), np.int64)
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        found, length = _ngrams(hypothesis)
        expected, reference_length = _reference_ngrams(reference)
        counts[:2] += length, reference_length
        counts[2 + ORDER :] += np.maximum(length - np.arange(ORDER), 0)
        for ngram in found.keys() & expected.keys():
            counts[1 + len(ngram)] += min(found[ngram], expected[ngram])
    return counts


def bleu(statistics: Sequence[int] | NDArray[np.int64]) -> float:
    """Corpus BLEU in [0, 100] from summed `bleu_statistics`, as ``sacrebleu.corpus_bleu`` has it.

    Raises:
        TextEnvsError: sacrebleu is missing.
    """
    hypothesis_length, reference_length, *counts = (int(count) for count in statistics)
    score = require_sacrebleu().compute_bleu(
        correct=counts[:ORDER],
        total=counts[ORDER:],
        sys_len=hypothesis_length,
        ref_len=reference_length,
        smooth_method="exp",
    )
    return float(score.score)


@cache
def require_sacrebleu() -> BLEU:
    """The BLEU of sacrebleu, with its default settings.

    Raises:
        TextEnvsError: sacrebleu is missing.
    """
    try:
        from sacrebleu.metrics.bleu import BLEU
    except ImportError as error:
        raise TextEnvsError(
            'BLEU needs the `sacrebleu` library: pip install "textenvs[metrics]"'
        ) from error
    return BLEU()


def _ngrams(text: str) -> tuple[Counter[tuple[str, ...]], int]:
    from sacrebleu.metrics.helpers import extract_all_word_ngrams

    tokenize = require_sacrebleu().tokenizer
    return extract_all_word_ngrams(tokenize(text.rstrip()), 1, ORDER)


_reference_ngrams = lru_cache(maxsize=16_384)(_ngrams)
