"""TextQA-v0: answer a question by generating a span of the passage."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textenvs.data.examples import QAExample
from textenvs.errors import OptionError
from textenvs.metrics.answers import AnswerLexicon, AnswerScores
from textenvs.tasks.base import Episodes, Slots
from textenvs.tasks.passages import NO_ANSWER, PassageTask
from textenvs.tasks.sources import Limits
from textenvs.tokenization import Encoding


class QATask(PassageTask):
    """Answer a question about a passage, token by token.

    ## Description
    The prompt is a passage, a line break, a question, a line break. The agent writes the answer
    and ends it with EOS. The built-in data asks about the people, places and organisations of an
    invented world; ``dataset`` reads SQuAD 1.1 and 2.0 JSON.

    ## Action space
    ``Discrete(n)``: the whole vocabulary but the padding. Legal are the tokens that keep the
    answer a contiguous span of the passage, and EOS after at least one (at once, where the data
    has questions without an answer). Other answers are scored as the text that they are.

    ## Observation space
    ``Box(0, vocab_size - 1, (max_tokens,), int32)``: the prefix, padded on the right.

    ## Rewards
    SQuAD's F1 with the best reference. ``reward="dense"`` pays its change token by token.

    ## Episode end
    Terminates at EOS, or after ``max_new_tokens`` actions.

    ## Info
    ``action_mask``; at the end ``text`` and ``metrics``: ``f1``, ``exact_match``; where the data
    has questions without an answer also ``answerable``, and over a split both scores of either
    kind.

    ## Arguments
    ``dataset``, ``split``, ``tokenizer``, ``max_prompt_tokens`` and the rest of `SourceTask`'s;
    ``max_new_tokens`` (default: the longest reference answer and EOS); ``constrain=False`` makes
    every action legal.

    ## Version history
    v0: first version.
    """

    builtin_limits = Limits(prompt=112, appended=12, steps=12, positions=80)

    def __init__(
        self, *, constrain: bool = True, max_new_tokens: int | None = None, **source: Any
    ) -> None:
        if max_new_tokens is not None and max_new_tokens < 1:
            raise OptionError(f"max_new_tokens must be at least 1, got {max_new_tokens}")
        self.constrained = constrain
        self._max_new_tokens = max_new_tokens
        self._references: dict[int, list[list[int]]] = {}
        super().__init__(**source)

    def _allow(self, limits: Limits) -> None:
        super()._allow(limits)
        self.max_steps = self._max_new_tokens or limits.steps
        self.max_tokens = self._room + self.max_steps
        tokenizer = self.tokenizer
        # Where padding is EOS, as GPT-2's, it stays: it ends the answer and is never inside.
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

    @property
    def _longest_answer(self) -> int:
        return self.max_steps

    def _surface(self, example: QAExample, passage: Encoding, first: int, last: int) -> str:
        return self.tokenizer.decode(passage.ids[first : last + 1])

    @cached_property
    def lexicon(self) -> AnswerLexicon:
        """The words of the vocabulary and of the references."""
        return AnswerLexicon(self.tokenizer)

    def references(self, index: int) -> list[list[int]]:
        """The references of an example as numbered words, normalised once."""
        references = self._references.get(index)
        if references is None:
            references = self.lexicon.references(self.examples[index].answers)
            self._references[index] = references
        return references

    def episodes(self, num_slots: int) -> QAEpisodes:
        """Room for ``num_slots`` answers at a time."""
        return QAEpisodes(self, num_slots)


class QAEpisodes(Episodes):
    """Answers being written.

    ``frontier`` marks the passage tokens with which the answer could go on and stay a span; a
    token narrows it to those that follow its occurrences.
    """

    task: QATask

    def __init__(self, task: QATask, num_slots: int) -> None:
        super().__init__(task, num_slots)
        width = task.max_tokens - task.max_steps
        self.passage = np.full((num_slots, width), -1, np.int32)  # as actions
        self.frontier = np.zeros((num_slots, width), np.bool_)
        self.targets = np.zeros((num_slots, 2), np.intp)
        self.answerable = np.zeros(num_slots)
        self.answers = AnswerScores(task.lexicon, num_slots, task.max_steps)
        self._positions = np.arange(width)

    def _begin(self, slot: int, index: int) -> None:
        encoded, task = self.task.encoded(index), self.task
        prompt, passage = len(encoded.prompt), len(encoded.passage)
        self.tokens[slot, :prompt] = encoded.prompt
        self.lengths[slot] = self.prompt_lengths[slot] = prompt
        self.passage[slot, :passage] = task.action_of_token[encoded.passage]
        self.passage[slot, passage:] = -1
        self.frontier[slot, :passage] = True
        self.frontier[slot, passage:] = False
        self.targets[slot] = encoded.target
        self.answerable[slot] = encoded.target != NO_ANSWER
        self.answers.begin(slot, task.references(index))

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
        self.answers.push(slots, self.task.action_tokens[actions])
        passage = self.passage[slots]
        here = self.frontier[slots] & (passage == np.asarray(actions)[..., None])
        after = np.zeros_like(here)
        after[..., 1:] = here[..., :-1]
        after &= passage >= 0
        self.frontier[slots] = after

    def score(self, slots: Slots) -> Any:
        """F1 of the answer as it stands; 0 before it has begun."""
        f1, _ = self.answers.scores(slots)
        return f1 * (self.steps[slots] > 0)

    def legal(self, slots: Slots) -> NDArray[np.int8]:
        """The tokens that continue a span, and EOS once there is one."""
        task, actions = self.task, len(self.task.action_tokens)
        if isinstance(slots, int):
            mask = np.zeros(actions, np.int8)
            mask[self.passage[slots][self.frontier[slots]]] = 1
            mask[task.eos_action] = self.steps[slots] > 0 or task.has_unanswerable
            return mask
        masks = np.zeros((len(slots), actions), np.int8)
        rows, columns = np.nonzero(self.frontier[slots])
        masks[rows, self.passage[slots[rows], columns]] = 1
        masks[:, task.eos_action] = (self.steps[slots] > 0) | task.has_unanswerable
        return masks

    def expert(self, slots: Slots) -> Any:
        """The next token of the answer; EOS when it is complete, or cannot be reached any more."""
        first, last = self.targets[slots, 0], self.targets[slots, 1]
        steps = self.steps[slots]
        positions = self._positions
        inside = (positions >= first[..., None]) & (positions <= last[..., None])
        # The first token is the answer's own; later ones also mend an answer begun elsewhere.
        inside &= (positions == first[..., None]) | (steps > 0)[..., None]
        goal = self.frontier[slots] & inside
        column = goal.argmax(-1)
        return np.where(goal.any(-1), self.passage[slots, column], self.task.eos_action)

    def metrics(self, slots: Slots) -> dict[str, Any]:
        """SQuAD F1 and exact match."""
        f1, exact_match = self.answers.scores(slots)
        metrics = {"f1": f1, "exact_match": exact_match}
        if self.task.has_unanswerable:
            metrics["answerable"] = self.answerable[slots]
        return metrics

    def text(self, slot: int) -> str:
        """The answer so far, without EOS."""
        answer = self.tokens[slot, self.prompt_lengths[slot] : self.lengths[slot]]
        if len(answer) and answer[-1] == self.task.tokenizer.eos_token_id:
            answer = answer[:-1]
        return self.task.tokenizer.decode(answer)
