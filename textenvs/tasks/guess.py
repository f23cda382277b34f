"""The span that a simple rule answers with: a baseline for question answering."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from textenvs.tokenization import Encoding

_SENTENCE_END = re.compile(r"[.!?。！？]\s*")


def guess_span(text: str, passage: Encoding, question: NDArray[np.int32]) -> tuple[int, int]:
    """In the sentence most like the question, the longest run of words that the question lacks.

    Args:
        text: The passage.
        passage: Its tokens.
        question: The question's tokens, ``(n,)``.

    Returns:
        The first and the last token of the passage that are chosen; (0, 0) in an empty passage.
    """
    if not len(passage.ids):
        return 0, 0
    asked = np.isin(passage.ids, question)
    surfaces = (text[start:end] for start, end in passage.offsets.tolist())
    word = np.array([any(map(str.isalnum, surface)) for surface in surfaces])
    ends = [found.start() for found in _SENTENCE_END.finditer(text)]
    sentence = np.searchsorted(ends, passage.offsets[:, 0])
    best = np.bincount(sentence, weights=asked).argmax()
    here = sentence == best
    options = (here & word & ~asked, here & word, here)
    chosen = next(tokens for tokens in map(np.flatnonzero, options) if len(tokens))
    runs = np.split(chosen, np.flatnonzero(np.diff(chosen) > 1) + 1)
    longest = max(runs, key=len)
    return int(longest[0]), int(longest[-1])
