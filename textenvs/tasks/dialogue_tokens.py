"""Simulated dialogues as tokens: what the user says is put together from sentences encoded once."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from textenvs.data.world.dialogue import Goal
from textenvs.data.world.speech import PAIRS, USER_SENTENCES, all_user_sentences
from textenvs.tasks.dialogue import SYSTEM, USER, encoder_after
from textenvs.tokenization import Tokenizer

CACHED_TURNS = 8_192


class DialogueTokens:
    """Writes dialogues with one tokenizer.

    Args:
        tokenizer: Text to tokens.
        line_break: What parts the lines.

    Attributes:
        before_system: What stands before each of the system's turns.
        longest_user_turn: The most tokens that a user's turn can have.
        system_turn: The tokens of a turn of the system's, without what ends it.
    """

    def __init__(self, tokenizer: Tokenizer, line_break: NDArray[np.int32]) -> None:
        self._tokenizer = tokenizer
        self._line_break = line_break
        self._before_user = np.concatenate([line_break, tokenizer.encode(USER).ids])
        self.before_system = np.concatenate([line_break, tokenizer.encode(SYSTEM).ids])
        say = encoder_after(tokenizer, USER)
        self._sentences = {text: say(text) for text in dict.fromkeys(all_user_sentences())}
        markers = len(self._before_user) + len(self.before_system)
        self.longest_user_turn = markers + max(
            self._longest(USER_SENTENCES), sum(map(self._longest, PAIRS))
        )
        self.system_turn = encoder_after(tokenizer, SYSTEM)
        self.user_turn = lru_cache(CACHED_TURNS)(self._user_turn)

    def _longest(self, acts: Iterable[str]) -> int:
        return max(len(self._sentences[text]) for text in all_user_sentences(acts))

    def prompt(self, goal: Goal) -> NDArray[np.int32]:
        """The venues and the user's first turn, up to where the system's begins."""
        parts = []
        for line in (*goal.listing, f"{USER} {goal.first_turn}"):
            parts += [self._tokenizer.encode(line).ids, self._line_break]
        return np.concatenate([*parts[:-1], self.before_system])

    def _user_turn(self, sentences: tuple[str, ...], last: bool) -> NDArray[np.int32]:
        """A user's turn, up to where the system's begins unless it is the last."""
        parts = [self._before_user, *(self._sentences[text] for text in sentences)]
        return np.concatenate(parts if last else [*parts, self.before_system])
