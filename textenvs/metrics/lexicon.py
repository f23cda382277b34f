"""Numbers for words, so that texts are compared while they grow token by token."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from textenvs.tokenization import Tokenizer
from textenvs.tokenization.words import TokenWords

MAX_SPELLED = 65_536
NO_WORD = 0
"""Stands where there is no word."""
UNKNOWN_WORD = -2
"""The number of a word that no reference has."""


class Lexicon:
    """Numbers for the normalised words of references and of a tokenizer's vocabulary.

    Args:
        tokenizer: The tokenizer of the texts that grow.
        words: The normalised words of a text, by which the metric compares texts; what stands
            between whitespace it must treat by itself.

    Attributes:
        starts: Whether a token always starts a new word, bool ``(vocabulary,)``.
        token_words: The words of such a token alone, int32 ``(vocabulary, W)``, filled up with 0;
            a token that is punctuation or an article has none.
    """

    def __init__(self, tokenizer: Tokenizer, words: Callable[[str], list[str]]) -> None:
        self._numbers: dict[str, int] = {}
        self._spelled: dict[bytes, list[int]] = {}
        self._words = TokenWords(tokenizer, words)
        self.starts = self._words.starts_chunk
        of_tokens = [
            self._words.words((token,)) if starts else ()
            for token, starts in enumerate(self.starts.tolist())
        ]
        shape = len(of_tokens), max(1, *map(len, of_tokens))
        self.token_words = np.full(shape, NO_WORD, np.int32)
        for token, of_token in enumerate(of_tokens):
            self.token_words[token, : len(of_token)] = self.numbers(of_token)

    def numbers(self, words: Iterable[str]) -> list[int]:
        """The words' numbers, from 1; new words get new ones."""
        known, before = self._numbers, len(self._numbers)
        numbers = [known.setdefault(word, len(known) + 1) for word in words]
        if len(known) > before:
            self._spelled.clear()  # what no reference had, one may have now
        return numbers

    def lookup(self, tokens: NDArray[np.int32]) -> list[int]:
        """The numbers of the words that tokens spell, `UNKNOWN_WORD` for unknown ones."""
        key = tokens.tobytes()
        numbers = self._spelled.get(key)
        if numbers is None:
            numbers = self._known(self._words.words(tuple(tokens.tolist())))
            if len(self._spelled) >= MAX_SPELLED:
                self._spelled.clear()
            self._spelled[key] = numbers
        return numbers

    def compute(self, tokens: NDArray[np.int32]) -> list[int]:
        """The same of a whole text, which is not remembered."""
        return self._known(self._words.compute_words(tokens.tolist()))

    def _known(self, words: Iterable[str]) -> list[int]:
        return [self._numbers.get(word, UNKNOWN_WORD) for word in words]
