"""ROUGE of summaries that grow token by token, for many summaries at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from textenvs.metrics import positions
from textenvs.metrics.lexicon import NO_WORD, Lexicon

_NO_GOLD = -1
_ONES, _TWOS, _OUTSIDE, _LATEST = range(4)


class SummaryScores:
    """The mean F1 of ROUGE-1, -2 and -L of the summaries in N slots, kept token by token.

    What `textenvs.metrics.rouge` computes for a whole text in a loop over its words is kept here
    for each slot, in two states: *closed*, up to the last word that nothing can change any more,
    and *open*, with the words that the tokens since then spell so far. A token costs the
    references' size, whatever the length of the summary.

    Letters in shapes: R references, L numbers of 64 bits a set of positions in a reference.

    Args:
        lexicon: The words of the vocabulary and of the references.
        num_slots: N.
        references: R, the most references that a summary is compared with.
        max_tokens: The longest summary.
    """

    def __init__(self, lexicon: Lexicon, num_slots: int, references: int, max_tokens: int) -> None:
        self._lexicon = lexicon
        self._gold = np.full((num_slots, references, positions.BITS), _NO_GOLD, np.int32)
        self._gold_lengths = np.zeros((num_slots, references), np.intp)
        self._summaries = np.zeros((num_slots, max_tokens), np.int32)
        self._lengths = np.zeros(num_slots, np.intp)
        self._word_starts = np.zeros(num_slots, np.intp)
        # Positions whose word is taken, whose pair is taken, at which the LCS does not grow, and
        # at which the latest word stands.
        self._closed = np.zeros((4, num_slots, references, 1), positions.DTYPE)
        self._open = self._closed.copy()
        self._closed_counts = np.zeros(num_slots, np.intp)
        self._open_counts = np.zeros(num_slots, np.intp)

    def begin(
        self, slots: NDArray[np.intp], references: Sequence[Sequence[NDArray[np.int32]]]
    ) -> None:
        """Empty summaries, to be compared with new references.

        Args:
            slots: Which summaries, ``(n,)``.
            references: For each the references, as the numbers that the lexicon gives their words.
        """
        self._gold[slots], self._gold_lengths[slots] = _NO_GOLD, 0
        for slot, of_slot in zip(slots.tolist(), references, strict=True):
            for row, words in enumerate(of_slot):
                self._make_room(len(words))
                self._gold[slot, row, : len(words)] = words
                self._gold_lengths[slot, row] = len(words)
        for counter in (self._lengths, self._word_starts, self._closed_counts, self._open_counts):
            counter[slots] = 0
        for state in (self._closed, self._open):
            state[:, slots] = 0
            state[_OUTSIDE, slots] = positions.EVERYWHERE

    def _make_room(self, words: int) -> None:
        """Make sets as long as a reference; only empty slots know no positions yet."""
        missing = -(-words // positions.BITS) - self._closed.shape[-1]
        if missing > 0:
            beyond = ((0, 0), (0, 0), (0, missing * positions.BITS))
            self._gold = np.pad(self._gold, beyond, constant_values=_NO_GOLD)
            for name in ("_closed", "_open"):
                state = np.pad(getattr(self, name), ((0, 0), (0, 0), (0, 0), (0, missing)))
                state[_OUTSIDE, ..., -missing:] = positions.EVERYWHERE
                setattr(self, name, state)

    def push(self, slots: NDArray[np.intp], tokens: NDArray[np.int32]) -> None:
        """Append a token to each summary."""
        lengths = self._lengths[slots]
        self._summaries[slots, lengths] = tokens
        self._lengths[slots] = lengths + 1
        starts = self._lexicon.starts[tokens]
        starting, growing = slots[starts], slots[~starts]
        self._word_starts[starting] = lengths[starts]
        self._closed[:, starting] = self._open[:, starting]
        self._closed_counts[starting] = self._open_counts[starting]
        self._open[:, growing] = self._closed[:, growing]
        self._open_counts[growing] = self._closed_counts[growing]
        for words in self._last_words(slots, tokens, starts).T:
            there = words != NO_WORD
            self._append(slots[there], words[there])

    def _last_words(
        self, slots: NDArray[np.intp], tokens: NDArray[np.int32], starts: NDArray[np.bool_]
    ) -> NDArray[np.int32]:
        """The words that each summary's last tokens spell, those that began with a start."""
        words = self._lexicon.token_words[tokens]
        words[~starts] = NO_WORD
        for row in np.flatnonzero(~starts).tolist():
            slot = slots[row]
            tail = self._summaries[slot, self._word_starts[slot] : self._lengths[slot]]
            spelled = self._lexicon.lookup(tail)
            if len(spelled) > words.shape[1]:
                missing = len(spelled) - words.shape[1]
                words = np.pad(words, ((0, 0), (0, missing)), constant_values=NO_WORD)
            words[row, : len(spelled)] = spelled
        return words

    def _append(self, slots: NDArray[np.intp], words: NDArray[np.int32]) -> None:
        """A word more in each open summary: the loop's body of `rouge._hits`."""
        here = positions.where(self._gold[slots], words[:, None])
        ones, twos, outside, latest = self._open[:, slots]
        ones |= positions.first(here & ~ones)
        twos |= positions.first(here & positions.after(latest) & ~twos)
        outside = positions.add(outside, outside & here) | (outside & ~here)
        for kind, sets in enumerate((ones, twos, outside, here)):
            self._open[kind, slots] = sets
        self._open_counts[slots] += 1

    def scores(self, slots: NDArray[np.intp]) -> NDArray[np.float64]:
        """The mean F1 of the summaries so far, each ROUGE with its best reference, ``(n,)``."""
        sets = self._open[:_LATEST, slots]
        sets[_OUTSIDE] ^= positions.EVERYWHERE
        hits = positions.size(sets)
        fewer = np.array([0, 1, 0])  # pairs than words
        said = self._open_counts[slots][:, None] - fewer[:, None, None]
        expected = self._gold_lengths[slots] - fewer[:, None, None]
        precision, recall = hits / np.maximum(said, 1), hits / np.maximum(expected, 1)
        f1 = 2 * precision * recall / np.where(hits, precision + recall, 1)
        ones, twos, lcs = f1.max(-1)
        mean: NDArray[np.float64] = (ones + twos + lcs) / 3
        return mean
