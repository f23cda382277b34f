"""The span that a simple rule answers with: a baseline for question answering."""

from __future__ import annotations

import re

import numpy as np

from textenvs.data.examples import QAExample
from textenvs.tokenization import Tokenizer

_SENTENCE_END = re.compile(r"[.!?。！？]\s*")


def guess_span(example: QAExample, tokenizer: Tokenizer) -> tuple[int, int]:
    """In the sentence most like the question, the longest run of words that the question lacks.

    Returns:
        The first and the last token of the passage that are chosen; (0, 0) in an empty passage.
    """
    passage = tokenizer.encode(example.passage)
    if not len(passage.ids):
        return 0, 0
    asked = np.isin(passage.ids, tokenizer.encode(example.question).ids)
    surfaces = (example.passage[start:end] for start, end in passage.offsets.tolist())
    word = np.array([any(map(str.isalnum, surface)) for surface in surfaces])
    ends = [found.start() for found in _SENTENCE_END.finditer(example.passage)]
    sentence = np.searchsorted(ends, passage.offsets[:, 0])
    best = np.bincount(sentence, weights=asked).argmax()
    here = sentence == best
    options = (here & word & ~asked, here & word, here)
    chosen = next(tokens for tokens in map(np.flatnonzero, options) if len(tokens))
    runs = np.split(chosen, np.flatnonzero(np.diff(chosen) > 1) + 1)
    longest = max(runs, key=len)
    return int(longest[0]), int(longest[-1])
