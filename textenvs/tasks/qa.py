"""TextQA-v0: answer a question by generating a span of the passage."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textenvs.data.examples import QAExample
from textenvs.errors import check_flag
from textenvs.metrics.answers import NO_GOLD, AnswerLexicon, AnswerScores
from textenvs.metrics.squad import reference_words
from textenvs.tasks.base import Slots
from textenvs.tasks.passages import PassageTask
from textenvs.tasks.survey import Limits
from textenvs.tasks.writing import WritingEpisodes, WritingTask
from textenvs.tokenization import Encoding

OPENING_BYTES = 64_000_000
"""How much is kept of what answers can begin with: a bit for each action and example."""


class QATask(WritingTask, PassageTask):
    """Answer a question about a passage, token by token.

    ## Description
    The prompt is a passage, a line break, a question, a line break. The agent writes the answer
    and ends it with EOS. The built-in data asks about the people, places and organisations of an
    invented world; ``dataset`` reads SQuAD 1.1 and 2.0 JSON, and JSON Lines, CSV, TSV and Hugging
    Face data sets with the columns ``context``, ``question`` and ``answers``.

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

    builtin_limits = Limits(prompt=88, steps=12, positions=72)

    def __init__(self, *, constrain: bool = True, **rest: Any) -> None:
        check_flag("constrain", constrain)
        self.constrained = constrain
        super().__init__(**rest)

    def _prepare(self, everything: list[QAExample]) -> None:
        super()._prepare(everything)
        self._num_references, self._reference_words = 1, 1
        for example in everything:
            references = reference_words(example.answers)
            self._num_references = max(self._num_references, len(references))
            self._reference_words = max(self._reference_words, *map(len, references))

    def _allow(self, limits: Limits) -> None:
        super()._allow(limits)
        self.max_steps = self._max_new_tokens or limits.steps
        self.max_tokens = self._room + self.max_steps
        self._write_tokens()
        self.layout = self._lay_out(
            {"passage": -1, "gold": NO_GOLD},
            targets=(2,),
            passage=(min(limits.positions, self._room),),  # as actions
            gold=(self._num_references, self._reference_words + 1),
            gold_lengths=(self._num_references,),
        )

    def _fits(self, example: QAExample, need: Limits) -> bool:
        return need.steps <= (self._max_new_tokens or need.steps) and super()._fits(example, need)

    def _fields(self, example: QAExample, passage: Encoding) -> dict[str, Any]:
        references = self.lexicon.references(example.answers)
        # Rows to spare repeat the first reference.
        references += references[:1] * (self._num_references - len(references))
        gold = np.full((self._num_references, self._reference_words + 1), NO_GOLD)
        for row, words in enumerate(references):
            gold[row, : len(words)] = words
        actions = self.action_of_token[passage.ids]
        return {
            # Where EOS stands for what is unknown, it ends an answer and is never inside.
            "passage": np.where(actions == self.eos_action, -1, actions),
            "gold": gold.ravel(),
            "gold_lengths": [len(words) for words in references],
        }

    @property
    def _longest_answer(self) -> int:
        return self.max_steps

    def _surface(self, example: QAExample, passage: Encoding, first: int, last: int) -> str:
        return self.tokenizer.decode(passage.ids[first : last + 1])

    @cached_property
    def lexicon(self) -> AnswerLexicon:
        """The words of the vocabulary and of the references."""
        return AnswerLexicon(self.tokenizer)

    def heuristic(self, index: int) -> list[int]:
        """Write the span that `guess_span` finds."""
        first, last = self._guess(index)
        passage = self._encode_passage(self.examples[index].passage)
        return self.actions_of(passage.ids[first : last + 1], self.max_steps)

    def episodes(self, num_slots: int) -> QAEpisodes:
        """Room for ``num_slots`` answers at a time."""
        return QAEpisodes(self, num_slots)


class QAEpisodes(WritingEpisodes):
    """Answers being written.

    ``frontier`` marks the passage tokens with which the answer could go on and stay a span; a
    token narrows it to those that follow its occurrences. What it makes legal is kept in ``_legal``
    until it changes, and then found again when somebody asks (``_stale``).
    """

    task: QATask
    targets: NDArray[np.int32]
    passage: NDArray[np.int32]
    gold: NDArray[np.int32]
    gold_lengths: NDArray[np.int32]

    def __init__(self, task: QATask, num_slots: int) -> None:
        super().__init__(task, num_slots)
        self.frontier = np.zeros(self.passage.shape, np.bool_)
        self._legal = np.zeros((num_slots, len(task.action_tokens)), np.int8)
        self._stale = np.ones(num_slots, np.bool_)
        self._openings: dict[int, NDArray[np.uint8]] = {}
        _, references, room = self.gold.shape
        self.answers = AnswerScores(
            task.lexicon, num_slots, references, words=room - 1, max_tokens=task.max_steps
        )
        self._positions = np.arange(self.passage.shape[1])

    def _begin(self, slots: NDArray[np.intp]) -> None:
        self.frontier[slots] = self.passage[slots] >= 0
        self._stale[slots] = True
        self.answers.begin(slots, self.gold[slots], self.gold_lengths[slots])

    def _advance(self, slots: Slots, actions: Any) -> Any:
        self._legal[slots, self.task.eos_action] = 1  # what has begun may end
        return super()._advance(slots, actions)

    def _write(self, slots: Slots, actions: Any) -> None:
        self.answers.push(slots, self.task.action_tokens[actions])
        passage = self.passage[slots]
        here = self.frontier[slots] & (passage == np.asarray(actions)[..., None])
        after = np.zeros_like(here)
        np.logical_and(here[..., :-1], passage[..., 1:] >= 0, out=after[..., 1:])
        self.frontier[slots] = after
        self._stale[slots] = True

    def score(self, slots: Slots) -> Any:
        """F1 of the answer as it stands; 0 before it has begun."""
        f1, _ = self.answers.scores(slots)
        return f1 * (self.steps[slots] > 0)

    def legal(self, slots: Slots) -> NDArray[np.int8]:
        """The tokens that continue a span, and EOS once there is one."""
        if isinstance(slots, int):
            if self._stale[slots]:
                self._find_legal_of(slots)
            mask: NDArray[np.int8] = self._legal[slots].copy()
            return mask
        stale = slots[self._stale[slots]]
        if len(stale):
            self._find_legal(stale)
            self._stale[stale] = False
        return self._legal[slots]

    def _find_legal_of(self, slot: int) -> None:
        legal, going_on = self._legal[slot], self.passage[slot][self.frontier[slot]]
        legal[:] = 0
        legal[going_on] = 1
        may_end = self.steps[slot] > 0 or self.task.has_unanswerable or not len(going_on)
        legal[self.task.eos_action] = may_end
        self._stale[slot] = False

    def _find_legal(self, slots: NDArray[np.intp]) -> None:
        """The same of many, which takes other ways for answers that are begun and that are not."""
        begun = self.steps[slots] > 0
        if not begun.all():
            self._find_first(slots[~begun])
        slots = slots[begun]
        rows, columns = _hits(self.frontier[slots])
        legal = np.zeros((len(slots), self._legal.shape[1]), np.int8)
        legal[rows, self.passage[slots[rows], columns]] = 1
        legal[:, self.task.eos_action] = 1
        self._legal[slots] = legal

    def _find_first(self, slots: NDArray[np.intp]) -> None:
        """What an answer can begin with, which each example's first time is kept of."""
        openings = np.array([self._opening(slot) for slot in slots.tolist()])
        self._legal[slots] = np.unpackbits(openings, axis=1, count=self._legal.shape[1])

    def _opening(self, slot: int) -> NDArray[np.uint8]:
        index = int(self.indices[slot])
        opening = self._openings.get(index)
        if opening is None:
            self._find_legal_of(slot)
            opening = np.packbits(self._legal[slot])
            if len(self._openings) * opening.nbytes >= OPENING_BYTES:
                del self._openings[next(iter(self._openings))]  # the oldest
            self._openings[index] = opening
        return opening

    def expert(self, slots: Slots) -> Any:
        """The next token of the answer; EOS when it is complete, or cannot be reached any more."""
        first, last = self.targets[slots, 0, None], self.targets[slots, 1, None]
        steps, actions = self.steps[slots, None], self.actions[slots]
        positions, said = self._positions, np.arange(actions.shape[-1])
        target = np.minimum(first + said, len(positions) - 1)
        same = np.take_along_axis(self.passage[slots], target, -1) == actions
        on_target = (same | (said >= steps)).all(-1)[..., None]
        # Else an answer that was begun elsewhere is mended, if it can be.
        mending = self.frontier[slots] & (positions >= first)
        goal = np.where(on_target, positions == first + steps, mending) & (positions <= last)
        goal &= self.passage[slots] >= 0
        # An answer must begin, even if no action writes its first token.
        must_begin = (self.steps[slots] == 0) & ~np.asarray(self.task.has_unanswerable)
        anything = self.frontier[slots] & np.asarray(must_begin)[..., None]
        goal = np.where(goal.any(-1, keepdims=True), goal, anything)
        column = goal.argmax(-1)
        return np.where(goal.any(-1), self.passage[slots, column], self.task.eos_action)

    def metrics(self, slots: Slots) -> dict[str, Any]:
        """SQuAD F1 and exact match."""
        f1, exact_match = self.answers.scores(slots)
        metrics = {"f1": f1, "exact_match": exact_match}
        if self.task.has_unanswerable:
            metrics["answerable"] = (self.targets[slots, 0] >= 0) * 1.0
        return metrics


def _hits(marks: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """`nonzero` of two dimensions, which numpy finds several times faster in one."""
    rows, columns = np.divmod(np.flatnonzero(marks), marks.shape[1])
    return rows, columns
