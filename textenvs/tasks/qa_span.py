"""TextQASpan-v0: answer a question by pointing at the first and the last token of the answer."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textenvs.data.examples import QAExample
from textenvs.errors import check_flag
from textenvs.metrics import squad
from textenvs.tasks.base import Episodes, Slots
from textenvs.tasks.passages import PassageTask
from textenvs.tasks.survey import Limits
from textenvs.tokenization import Encoding
from textenvs.views import Paragraph, Part


class QASpanTask(PassageTask):
    """Answer a question by pointing into its passage: first token, last token.

    ## Description
    The prompt is a passage, a line break, a question, a line break. The first action points at
    the answer's first passage token, the second at its last. The answer is the passage's text from
    one to the other, to the letter.

    ## Action space
    ``Discrete(n)``: action ``a`` is position ``a`` of the passage, counted in tokens from 0. It
    appends a pointer token of its own, beyond the tokenizer's vocabulary; what it points at stands
    at ``env.unwrapped.action_positions[a]`` of the prefix. Legal are the positions
    that the passage has; for the last token those not before the first. A pointer outside the
    passage, or a last before the first, answers nothing. Where the data has questions without an
    answer, one more action, the last, answers just that.

    ## Observation space
    ``Box(0, vocab_size - 1, (max_tokens,), int32)``: the prefix, padded on the right.

    ## Rewards
    SQuAD's F1 with the best reference. ``reward="dense"`` pays the first pointer for the F1 that
    its token alone has as an answer.

    ## Episode end
    Terminates after two actions; after one that says that there is no answer.

    ## Info
    As TextQA-v0.

    ## Arguments
    ``dataset``, ``split``, ``tokenizer``, ``max_prompt_tokens`` and the rest of `SourceTask`'s;
    ``constrain=False`` makes every action legal.

    ## Version history
    v0: first version.
    """

    builtin_limits = Limits(prompt=88, steps=2, positions=72)

    def __init__(self, *, constrain: bool = True, **source: Any) -> None:
        check_flag("constrain", constrain)
        self.constrained = constrain
        super().__init__(**source)

    def _set_caches(self) -> None:
        # Built-in examples are made when they are asked for, and every score asks for one.
        self.example = lru_cache(maxsize=65_536)(self._example)

    def _example(self, index: int) -> QAExample:
        example: QAExample = self.examples[index]
        return example

    def _measure(self, example: QAExample) -> Limits:
        return super()._measure(example)._replace(steps=2)  # however long the answer is

    def _allow(self, limits: Limits) -> None:
        super()._allow(limits)
        self.num_positions = min(limits.positions, self._room)
        self.max_steps = 2
        self.max_tokens = self._room + 2
        self.no_answer = self.num_positions if self.has_unanswerable else -1
        no_answer = ("<no answer>",) if self.has_unanswerable else ()
        self.extra_tokens = (*(f"<{p}>" for p in range(self.num_positions)), *no_answer)
        self.layout = self._lay_out(
            targets=(2,),
            passage_lengths=(),
            starts=(self.num_positions,),  # the characters that each passage token covers
            ends=(self.num_positions,),
        )
        first = self.tokenizer.vocab_size
        self.action_tokens = np.arange(first, first + len(self.extra_tokens), dtype=np.int32)
        # The passage is the beginning of the prefix.
        self.action_positions = np.arange(len(self.extra_tokens), dtype=np.int32)
        self.action_positions[self.num_positions :] = -1

    @property
    def _longest_answer(self) -> int:
        return self._room

    def _fields(self, example: QAExample, passage: Encoding) -> dict[str, Any]:
        return {
            "passage_lengths": len(passage.ids),
            "starts": passage.offsets[:, 0],
            "ends": passage.offsets[:, 1],
        }

    def _surface(self, example: QAExample, passage: Encoding, first: int, last: int) -> str:
        return example.passage[passage.offsets[first, 0] : passage.offsets[last, 1]]

    def heuristic(self, index: int) -> tuple[int, int]:
        """Point at the span that `guess_span` finds."""
        return self._guess(index)

    def episodes(self, num_slots: int) -> QASpanEpisodes:
        """Room for ``num_slots`` answers at a time."""
        return QASpanEpisodes(self, num_slots)


class QASpanEpisodes(Episodes):
    """Answers being pointed at."""

    reveals = False
    task: QASpanTask
    targets: NDArray[np.int32]
    passage_lengths: NDArray[np.int32]
    starts: NDArray[np.int32]
    ends: NDArray[np.int32]

    def __init__(self, task: QASpanTask, num_slots: int) -> None:
        super().__init__(task, num_slots)
        self._positions = np.arange(len(task.action_tokens))

    def _advance(self, slots: Slots, actions: Any) -> Any:
        self.lengths[slots] += 1
        return (self.steps[slots] == 2) | (actions == self.task.no_answer)

    def _first(self, slots: Slots) -> Any:
        """The first pointer, 0 before there is one."""
        return self.actions[slots, 0] * (self.steps[slots] > 0)

    def legal(self, slots: Slots) -> NDArray[np.int8]:
        """The positions that the passage has, for the last token those not before the first."""
        first = np.asarray(self._first(slots))[..., None]
        lengths = np.asarray(self.passage_lengths[slots])[..., None]
        # After a first pointer outside the passage, its last token is what remains.
        positions = self._positions
        mask: NDArray[np.bool_] = (positions >= np.minimum(first, lengths - 1)) & (
            positions < np.maximum(lengths, 1)  # one that answers nothing, if it has none
        )
        if self.task.has_unanswerable:
            mask[..., -1] = self.steps[slots] == 0
        return mask.astype(np.int8)

    def expert(self, slots: Slots) -> Any:
        """The answer's first token, then its last, or the first pointer again if that is later."""
        first, last = self.targets[slots, 0], self.targets[slots, 1]
        first = np.where(first < 0, self.task.no_answer, first)
        end = np.maximum(self.passage_lengths[slots] - 1, 0)
        second = np.minimum(np.maximum(last, self._first(slots)), end)
        return np.where(self.steps[slots] == 0, first, second)

    def _scores(self, slots: Slots) -> tuple[Any, Any]:
        if isinstance(slots, int):
            return self._score(slots)
        scores = np.array([self._score(slot) for slot in slots.tolist()]).reshape(-1, 2)
        return scores[:, 0], scores[:, 1]

    def _score(self, slot: int) -> tuple[float, float]:
        text, answers = self.text(slot), self.task.example(int(self.indices[slot])).answers
        return squad.f1(text, answers), squad.exact_match(text, answers)

    def score(self, slots: Slots) -> Any:
        """F1 of the text between the pointers; of the first one's token while it is alone."""
        f1, _ = self._scores(slots)
        return f1 * (self.steps[slots] > 0)

    def metrics(self, slots: Slots) -> dict[str, Any]:
        """SQuAD F1 and exact match."""
        f1, exact_match = self._scores(slots)
        metrics = {"f1": f1, "exact_match": exact_match}
        if self.task.has_unanswerable:
            metrics["answerable"] = (self.targets[slots, 0] >= 0) * 1.0
        return metrics

    def text(self, slot: int) -> str:
        """The passage's text between the pointers, to the letter."""
        chosen = self._chosen(slot)
        if chosen is None:
            return ""
        passage: str = self.task.example(int(self.indices[slot])).passage
        return passage[slice(*chosen)]

    def _chosen(self, slot: int) -> tuple[int, int] | None:
        """The characters of the passage between the pointers; None if they point at nothing."""
        steps = int(self.steps[slot])
        if not steps:
            return None
        first, last = self.actions[slot, 0], self.actions[slot, steps - 1]
        if not first <= last < self.passage_lengths[slot]:
            return None
        return int(self.starts[slot, first]), int(self.ends[slot, last])

    def view(self, slot: int) -> list[Part]:
        """The prompt with the answer marked in the passage, and the answer."""
        prompt = self.task.prompt_text(int(self.indices[slot]))
        return [
            Paragraph(prompt, chosen=self._chosen(slot)),
            Paragraph(self.text(slot), speaker=">", by_agent=True),
        ]
