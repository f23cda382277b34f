"""TextQA-v0's task as a measure of acting: prompts of one length, answers of given lengths."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textenvs.data.examples import QAExample
from textenvs.tasks.base import Slots
from textenvs.tasks.qa import QAEpisodes, QATask
from textenvs.tasks.survey import Limits

MEAN_ANSWER = 12
"""Tokens of a ragged answer, in the mean."""


class MeasuredQA(QATask):
    """TextQA-v0's task with prompts of one length, and answers whose lengths are settled.

    All else is TextQA-v0's with ``constrain=False``, and costs what it costs there. Prompts are
    built-in ones behind as many random tokens as they are too short. No action ends an answer: EOS
    is a token like the others.

    Args:
        prompt_tokens: Length of every prompt.
        answer_tokens: Length of every answer, or the most; at least 12.
        ragged: Whether lengths are drawn from a geometric distribution.
        count: How many examples.
        tokenizer: As the tasks'.
    """

    def __init__(
        self, prompt_tokens: int, answer_tokens: int, *, ragged: bool, count: int, tokenizer: Any
    ) -> None:
        self._prompt_tokens = prompt_tokens
        super().__init__(constrain=False, max_new_tokens=answer_tokens, tokenizer=tokenizer)
        self.ragged = ragged
        fitting = (e for e in self.examples if self._measure(e).prompt <= prompt_tokens)
        self.examples = list(islice(fitting, count))
        assert len(self.examples) == count, "most of the built-in prompts are shorter"

    def _encode(self, index: int, example: QAExample) -> NDArray[np.int32]:
        row = super()._encode(index, example).copy()
        fields = self.layout.fields(row[None])
        prompt = fields["tokens"][0, : fields["lengths"][0]].copy()
        first = self._prompt_tokens - len(prompt)
        drawn = np.random.default_rng(index).choice(self.action_tokens, first)
        fields["tokens"][0, : self._prompt_tokens] = [*drawn, *prompt]
        fields["lengths"][0] = fields["prompt_lengths"][0] = self._prompt_tokens
        return row

    def _allow(self, limits: Limits) -> None:
        super()._allow(limits._replace(prompt=max(limits.prompt, self._prompt_tokens)))
        self.eos_action = -1

    def episodes(self, num_slots: int) -> QAEpisodes:
        """Room for ``num_slots`` answers at a time."""
        return RaggedEpisodes(self, num_slots) if self.ragged else QAEpisodes(self, num_slots)


class RaggedEpisodes(QAEpisodes):
    """Answers that end after a number of tokens that was drawn when they began."""

    def __init__(self, task: QATask, num_slots: int) -> None:
        super().__init__(task, num_slots)
        self._rng = np.random.default_rng(0)
        self._ends = np.zeros(num_slots, np.int64)

    def _begin(self, slots: NDArray[np.intp]) -> None:
        super()._begin(slots)
        self._ends[slots] = ragged_lengths(self._rng, len(slots), self.task.max_steps)

    def _advance(self, slots: Slots, actions: Any) -> Any:
        super()._advance(slots, actions)
        return self.steps[slots] >= self._ends[slots]


def ragged_lengths(rng: np.random.Generator, count: int, most: int) -> NDArray[np.int64]:
    """Lengths of answers from a geometric distribution that is cut at ``most``."""
    return np.minimum(rng.geometric(1 / MEAN_ANSWER, count), most)
