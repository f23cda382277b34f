"""SQuAD's F1 and exact match of answers that grow token by token, for many answers at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from textenvs.metrics.lexicon import NO_WORD, Lexicon
from textenvs.metrics.squad import answer_words, reference_words
from textenvs.tokenization import Tokenizer

Slots: TypeAlias = "int | NDArray[np.intp]"

NO_GOLD = -1
"""Fills a row of a reference's word numbers, which has room for one more than its words."""


class AnswerLexicon(Lexicon):
    """The words of answers, by the rules of SQuAD."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__(tokenizer, answer_words)

    def references(self, answers: Sequence[str]) -> list[list[int]]:
        """The words of each reference that counts, as numbers."""
        return [self.numbers(words) for words in reference_words(answers)]


class AnswerScores:
    """F1 and exact match (SQuAD 1.1 and 2.0) of the answers in N slots, which grow token by token.

    Nothing is counted before somebody asks. Who asks after every token pays for that token alone:
    one that starts a word settles the words before it; until then the last word, the *tail*, may
    still grow. So a token costs the references' size, whatever the length of the answer. Who asks
    less often has the whole answer counted each time.

    Letters in shapes: R references, K words of a reference, W words of a tail (nearly always 1).

    Args:
        lexicon: The words of the vocabulary and of the references.
        num_slots: N.
        references: R, the most references that an answer is compared with.
        words: K, the most words that a reference has.
        max_tokens: The longest answer.
    """

    def __init__(
        self, lexicon: AnswerLexicon, num_slots: int, references: int, words: int, max_tokens: int
    ) -> None:
        self._lexicon = lexicon
        self._gold = np.full((num_slots, references, words + 1), NO_GOLD, np.int32)
        self._gold_lengths = np.zeros((num_slots, references), np.int32)
        self._answers = np.zeros((num_slots, max_tokens), np.int32)
        self._lengths = np.zeros(num_slots, np.intp)
        self._tail_starts = np.zeros(num_slots, np.intp)
        self._tails = np.zeros((num_slots, lexicon.token_words.shape[1]), np.int32)
        self._used = np.zeros(self._gold.shape, np.bool_)
        self._common = np.zeros(self._gold_lengths.shape, np.intp)
        self._in_order = np.ones(self._gold_lengths.shape, np.bool_)
        self._counts = np.zeros(num_slots, np.intp)
        self._counted = np.zeros(num_slots, np.intp)  # tokens that the tail and the counts know of

    def begin(self, slots: Slots, gold: NDArray[np.int32], lengths: NDArray[np.int32]) -> None:
        """Empty answers, to be compared with new references.

        Args:
            slots: Which answers.
            gold: Their references as word numbers, ``(n, R, K + 1)``: each row filled up with
                `NO_GOLD`, at least once. Rows to spare repeat another.
            lengths: The number of words of each reference, ``(n, R)``.
        """
        self._gold[slots], self._gold_lengths[slots] = gold, lengths
        counters = self._lengths, self._tail_starts, self._counts, self._common, self._counted
        for counter in (*counters, self._used):
            counter[slots] = 0
        self._tails[slots] = NO_WORD
        self._in_order[slots] = True

    def push(self, slots: Slots, tokens: Any) -> None:
        """Append a token to each answer."""
        lengths = self._lengths[slots]
        self._answers[slots, lengths] = tokens
        self._lengths[slots] = lengths + 1

    def _count_last(self, slots: Slots) -> None:
        """Count the last token of each answer."""
        lengths = self._lengths[slots]
        self._counted[slots] = lengths
        tokens = self._answers[slots, lengths - 1]
        starts = self._lexicon.starts[tokens]
        if isinstance(slots, int):
            if starts:
                self._start_word(slots, tokens)
            else:
                self._grow_word(slots)
            return
        self._start_word(slots[starts], tokens[starts])
        for slot in slots[~starts].tolist():
            self._grow_word(slot)

    def _start_word(self, slots: Slots, tokens: Any) -> None:
        if not isinstance(slots, int) or self._tails[slots].any():
            used, common, in_order, counts = self._settled(slots)
            self._used[slots] = used
            self._common[slots] = common
            self._in_order[slots] = in_order
            self._counts[slots] = counts
        self._tails[slots] = 0
        words = self._lexicon.token_words[tokens]
        self._tails[slots, : words.shape[-1]] = words
        self._tail_starts[slots] = self._lengths[slots] - 1

    def _grow_word(self, slot: int) -> None:
        tail = self._answers[slot, self._tail_starts[slot] : self._lengths[slot]]
        words = self._lexicon.lookup(tail)
        if len(words) > self._tails.shape[1]:
            self._tails = np.pad(self._tails, ((0, 0), (0, len(words) - self._tails.shape[1])))
        self._tails[slot] = NO_WORD
        self._tails[slot, : len(words)] = words

    def _settled(self, slots: Slots) -> tuple[Any, Any, Any, Any]:
        """What the counts are when the tail's words are taken as they stand."""
        gold, used = self._gold[slots], self._used[slots]
        common, in_order = self._common[slots], self._in_order[slots]
        counts = self._counts[slots]
        last = self._gold.shape[2] - 1
        for column in range(self._tails.shape[1]):
            words = self._tails[slots, column]
            is_word = words != NO_WORD
            free = (gold == words[..., None, None]) & ~used
            taken = free & (np.cumsum(free, axis=-1) == 1)
            used = used | taken
            common = common + taken.any(-1)
            expected = self._gold[slots, :, np.minimum(counts, last)]
            in_order = in_order & ((expected == words[..., None]) | ~is_word[..., None])
            counts = counts + is_word
        return used, common, in_order, counts

    def scores(self, slots: Slots) -> tuple[Any, Any]:
        """F1 and exact match of the answers so far with their best reference, ``(n,)`` each."""
        behind = self._lengths[slots] - self._counted[slots]
        if isinstance(slots, int):
            if behind > 1:
                return self._scores_of_whole(slots)
            if behind:
                self._count_last(slots)
            return self._scores_of_counts(slots)
        if (behind == 1).any():
            self._count_last(slots[behind == 1])
        whole = behind > 1
        if not whole.any():
            return self._scores_of_counts(slots)
        scores = np.empty((2, len(slots)))
        if not whole.all():
            scores[:, ~whole] = self._scores_of_counts(slots[~whole])
        for row in np.flatnonzero(whole).tolist():
            scores[:, row] = self._scores_of_whole(int(slots[row]))
        return scores[0], scores[1]

    def _scores_of_counts(self, slots: Slots) -> tuple[Any, Any]:
        _, common, in_order, counts = self._settled(slots)
        gold = self._gold_lengths[slots]
        total = counts[..., None] + gold
        both_empty = total == 0
        f1 = np.where(both_empty, 1.0, 2 * common / np.maximum(total, 1)).max(-1)
        exact = (in_order & (counts[..., None] == gold)).max(-1)
        return f1, exact.astype(np.float64)

    def _scores_of_whole(self, slot: int) -> tuple[float, float]:
        """The same of one answer, whose tokens need not have been counted."""
        words = self._lexicon.compute(self._answers[slot, : self._lengths[slot]])
        best, exact = 0.0, False
        lengths = self._gold_lengths[slot].tolist()
        for gold, length in zip(self._gold[slot].tolist(), lengths, strict=True):
            reference = gold[:length]
            total = len(words) + length
            common = sum(min(reference.count(word), words.count(word)) for word in set(reference))
            best = max(best, 2 * common / total if total else 1.0)
            exact = exact or words == reference
        return best, float(exact)
