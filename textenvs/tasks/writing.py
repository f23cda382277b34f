"""What tasks share in which the agent writes text: the vocabulary as actions, EOS as the end."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from textenvs.errors import check_positive
from textenvs.tasks.base import Episodes, Slots, Task


class VocabularyTask(Task):
    """A task whose actions are the tokenizer's vocabulary, and EOS ends what the agent writes.

    Attributes:
        action_of_token: The action that appends a token, -1 for none, int32 ``(vocabulary,)``.
        eos_action: The action that ends a text.
    """

    action_of_token: NDArray[np.int32]
    eos_action: int

    def _write_tokens(self) -> None:
        """Make the vocabulary the actions; the tokenizer is set."""
        tokenizer = self.tokenizer
        # Where padding is EOS, as GPT-2's, it stays: it ends the text and is never inside.
        self.action_tokens = np.array(
            [
                token
                for token in range(tokenizer.vocab_size)
                if token != tokenizer.pad_token_id or token == tokenizer.eos_token_id
            ],
            np.int32,
        )
        self.action_of_token = np.full(tokenizer.vocab_size, -1, np.int32)
        self.action_of_token[self.action_tokens] = np.arange(len(self.action_tokens))
        self.eos_action = int(self.action_of_token[tokenizer.eos_token_id])

    def writable(self, tokens: NDArray[np.int32]) -> NDArray[np.int32]:
        """The tokens that write something: a text can have special ones, for unknown words say."""
        actions = self.action_of_token[tokens]
        written: NDArray[np.int32] = tokens[(actions >= 0) & (actions != self.eos_action)]
        return written

    def actions_of(self, tokens: NDArray[np.int32], limit: int) -> list[int]:
        """The actions that write tokens, where they are writable, then EOS; the first ``limit``."""
        written = self.action_of_token[self.writable(tokens)].tolist()
        return [*written, self.eos_action][:limit]


class WritingTask(VocabularyTask):
    """A task in which the agent writes one text.

    Args:
        max_new_tokens: The most actions that an episode can take. Default: what the data needs.
    """

    def __init__(self, *, max_new_tokens: int | None = None, **rest: Any) -> None:
        if max_new_tokens is not None:
            check_positive("max_new_tokens", max_new_tokens)
        self._max_new_tokens = max_new_tokens
        super().__init__(**rest)


class WritingEpisodes(Episodes):
    """Texts being written, each one run of tokens after the prompt."""

    reveals = False
    task: WritingTask

    def _advance(self, slots: Slots, actions: Any) -> Any:
        self.lengths[slots] += 1
        ended = actions == self.task.eos_action
        if isinstance(slots, int):
            if not ended:
                self._write(slots, actions)
        else:
            self._write(slots[~ended], actions[~ended])
        return ended | (self.steps[slots] == self.task.max_steps)

    def _write(self, slots: Slots, actions: Any) -> None:
        """Take note of actions that write something."""

    def text(self, slot: int) -> str:
        """The text so far, without EOS."""
        return self.texts(np.array([slot]))[0]

    def texts(self, slots: NDArray[np.intp]) -> list[str]:
        """The texts so far, without EOS."""
        starts, ends = self.prompt_lengths[slots], self.lengths[slots]
        ended = self.tokens[slots, ends - 1] == self.task.tokenizer.eos_token_id
        ends = np.maximum(ends - ended, starts)
        bounds = zip(slots.tolist(), starts.tolist(), ends.tolist(), strict=True)
        written = [self.tokens[slot, start:end].tolist() for slot, start, end in bounds]
        return self.task.tokenizer.decode_batch(written)
