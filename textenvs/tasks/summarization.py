"""TextSummarization-v0: write a summary of a document."""

from __future__ import annotations

import re
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textenvs.data.examples import SummaryExample
from textenvs.data.records import ASKED_SUMMARY, SUMMARY_SCHEMA
from textenvs.data.world import WorldSummarization
from textenvs.errors import OptionError, check_flag, check_positive
from textenvs.metrics.lexicon import Lexicon
from textenvs.metrics.rouge import Reference, rouge_words, summary_f1
from textenvs.metrics.summaries import SummaryScores
from textenvs.tasks.base import Slots
from textenvs.tasks.sources import SourceTask
from textenvs.tasks.survey import Limits
from textenvs.tasks.writing import WritingEpisodes, WritingTask

LEAD_SENTENCES = 3
_SENTENCE = re.compile(r"[^\n]+?(?:[.!?](?=\s)|$)", re.MULTILINE)
_PREPARED = 8192


class SummarizationTask(WritingTask, SourceTask[SummaryExample]):
    """Write a summary of a document, token by token.

    ## Description
    The prompt is a document and a line break. The agent writes a summary and ends it with EOS. The
    built-in documents state facts of two or three people, firms or events of an invented world, and
    are about the one of which they state the most; three reference summaries tell its facts.

    ## Action space
    ``Discrete(n)``: the whole vocabulary but the padding. All actions are legal, unless
    ``min_new_tokens`` forbids an early EOS, or ``copy`` all tokens that the document lacks.

    ## Observation space
    ``Box(0, vocab_size - 1, (max_tokens,), int32)``: the prefix, padded on the right.

    ## Rewards
    The mean F1 of ROUGE-1, -2 and -L, each with its best reference, as the `rouge_score` package
    has it without stemming; a text without ASCII letters and digits scores 0. ``reward="dense"``
    pays its change token by token.

    ## Episode end
    Terminates at EOS, or after ``max_new_tokens`` actions.

    ## Info
    ``action_mask``, with ``min_new_tokens`` or ``copy``; at the end ``text`` and ``metrics``:
    ``rouge`` (the score), ``rouge1``, ``rouge2``, ``rougeL``, ``rougeLsum`` (F1).

    ## Arguments
    ``dataset``, ``columns`` (fields ``document`` and ``summaries``), ``split``, ``tokenizer``,
    ``max_prompt_tokens`` and the rest of `SourceTask`'s; ``max_new_tokens`` (default: the longest
    reference and EOS); ``min_new_tokens``: how many tokens come before EOS; ``copy=True``: the
    summary's tokens are the document's.

    ## Version history
    v0: first version.
    """

    score_name = "rouge"
    world = WorldSummarization
    builtin_limits = Limits(prompt=100, steps=36)
    schema = SUMMARY_SCHEMA
    asked = ASKED_SUMMARY

    def __init__(
        self, *, min_new_tokens: int | None = None, copy: bool = False, **rest: Any
    ) -> None:
        if min_new_tokens is not None:
            check_positive("min_new_tokens", min_new_tokens)
        check_flag("copy", copy)
        self.min_new_tokens = min_new_tokens or 0
        self.copy = copy
        self.constrained = copy or self.min_new_tokens > 0
        super().__init__(**rest)

    def _set_caches(self) -> None:
        self.references = lru_cache(_PREPARED)(self._references)
        self.word_numbers = lru_cache(_PREPARED)(self._word_numbers)

    @staticmethod
    def content(example: SummaryExample) -> str:
        """What may not occur in two splits: the document."""
        return example.document

    @staticmethod
    def texts(example: SummaryExample) -> tuple[str, ...]:
        """What a tokenizer for this data is trained on."""
        return (example.document, *example.summaries)

    def _prepare(self, everything: list[SummaryExample]) -> None:
        self._line_break = self.line_break()
        self.line_break_length = len(self._line_break)
        self.num_references = max(len(example.summaries) for example in everything)

    def _encoded_texts(self, example: SummaryExample) -> tuple[str, ...]:
        return self.texts(example)

    def _measure(self, example: SummaryExample) -> Limits:
        document, *summaries = map(self.encode, self.texts(example))
        longest = max(len(summary.ids) for summary in summaries)
        return Limits(len(document.ids) + self.line_break_length, longest + 1)

    def _allow(self, limits: Limits) -> None:
        longest, shortest = limits.prompt, self.line_break_length + 1
        self._room = min(self.max_prompt_tokens or longest, longest)
        if self.max_prompt_tokens is not None and self.max_prompt_tokens < shortest:
            raise OptionError(
                f"max_prompt_tokens={self.max_prompt_tokens} leaves no room for a document: it "
                f"must be at least {shortest}; the data's longest prompt has {longest}"
            )
        self.max_steps = self._max_new_tokens or limits.steps
        if self.min_new_tokens > self.max_steps:
            raise OptionError(
                f"min_new_tokens={self.min_new_tokens} is more than max_new_tokens, which is "
                f"{self.max_steps}"
            )
        self.max_tokens = self._room + self.max_steps
        self._write_tokens()
        self.layout = self._lay_out(
            {"target": self.eos_action}, target=(self.max_steps,), filler=()
        )

    def _encode(self, index: int, example: SummaryExample) -> NDArray[np.int32]:
        document = self.encode(example.document).ids
        if len(document) > self._room - self.line_break_length:
            self._falls_short("documents cut at max_prompt_tokens", index)
            document = document[: self._room - self.line_break_length]
        tokens = np.concatenate([document, self._line_break])
        target = self._target(index, example, document)
        return self._row(
            index,
            tokens,
            target=self.actions_of(target, self.max_steps),
            filler=self._filler(target, document),
        )

    def _target(
        self, index: int, example: SummaryExample, document: NDArray[np.int32]
    ) -> NDArray[np.int32]:
        """The first reference as far as it can be written; counts why if that is not perfect."""
        first = self.writable(self.encode(example.summaries[0]).ids)
        allowed = first[np.isin(first, document)] if self.copy else first
        target = allowed[: self.max_steps]
        filler = self.action_tokens[self._filler(target, document)]
        written = np.append(target, np.full(max(0, self.min_new_tokens - len(target)), filler))
        text = self.tokenizer.decode(written)
        if summary_f1(text, references := self.references(index))["rouge"] < 1:
            if not any(reference.words for reference in references):
                reason = "summaries without a word that ROUGE counts (ASCII letters and digits)"
            elif len(allowed) < len(first):
                reason = "first summaries with tokens that their document lacks"
            elif len(target) < len(allowed):
                reason = "first summaries longer than max_new_tokens"
            elif len(references[0].words) < 2:
                reason = "first summaries of a single word, which has no ROUGE-2"
            else:
                reason = "first summaries that do not score 1 as they can be written"
            self._falls_short(reason, index)
        return target

    def _filler(self, target: NDArray[np.int32], document: NDArray[np.int32]) -> int:
        """What the expert writes where EOS would be too early: nearly always a full stop."""
        known = [*self.writable(document)[:1].tolist(), *target.tolist()]
        if known:
            return int(self.action_of_token[known[-1]])
        return self.eos_action if self.copy else int(self.eos_action == 0)

    def _references(self, index: int) -> tuple[Reference, ...]:
        return tuple(map(Reference, self.examples[index].summaries))

    def _word_numbers(self, index: int) -> list[NDArray[np.int32]]:
        references = self.references(index)
        return [np.array(self.lexicon.numbers(known.words), np.int32) for known in references]

    @cached_property
    def lexicon(self) -> Lexicon:
        """The words of the vocabulary and of the references."""
        return Lexicon(self.tokenizer, rouge_words)

    def prompt_text(self, index: int) -> str:
        """The document and a line break."""
        return f"{self.examples[index].document}\n"

    def heuristic(self, index: int) -> list[int]:
        """Lead: the document's first sentences, up to three, as far as the budget allows."""
        document = self.examples[index].document
        ends = [match.end() for match in _SENTENCE.finditer(document)][:LEAD_SENTENCES]
        tokens, offsets = self.tokenizer.encode(document)
        counts = np.searchsorted(offsets[:, 1], ends, side="right").tolist()
        fitting = [count for count in counts if count < self.max_steps] or counts[:1]
        return self.actions_of(tokens[: max(fitting, default=0)], self.max_steps)

    def episodes(self, num_slots: int) -> SummarizationEpisodes:
        """Room for ``num_slots`` summaries at a time."""
        return SummarizationEpisodes(self, num_slots)


class SummarizationEpisodes(WritingEpisodes):
    """Summaries being written.

    A finished one is scored as text. Scores on the way are counted token by token, and only when
    somebody asks: ``_counted`` says up to which action, -1 if the references are yet to be set.
    """

    task: SummarizationTask
    target: NDArray[np.int32]
    filler: NDArray[np.int32]

    def __init__(self, task: SummarizationTask, num_slots: int) -> None:
        super().__init__(task, num_slots)
        self._matched = np.zeros(num_slots, np.intp)
        self._counted = np.full(num_slots, -1, np.intp)
        if task.constrained:
            self._allowed = np.ones((num_slots, len(task.action_tokens)), np.int8)

    @cached_property
    def _scores(self) -> SummaryScores:
        task = self.task
        return SummaryScores(
            task.lexicon, len(self.lengths), task.num_references, max_tokens=task.max_steps
        )

    def _begin(self, slots: NDArray[np.intp]) -> None:
        self._matched[slots] = 0
        self._counted[slots] = -1
        if self.task.constrained:
            self._begin_constrained(slots)

    def _begin_constrained(self, slots: NDArray[np.intp]) -> None:
        task = self.task
        if task.copy:
            self._allowed[slots] = 0
            for slot in slots.tolist():
                document = self.tokens[slot, : self.prompt_lengths[slot] - task.line_break_length]
                self._allowed[slot, task.action_of_token[task.writable(document)]] = 1
        self._allowed[slots, task.eos_action] = 0
        self._allowed[slots, task.eos_action] = ~self._allowed[slots].any(-1)

    def _write(self, slots: Slots, actions: Any) -> None:
        matched = self._matched[slots]
        self._matched[slots] = matched + (self.target[slots, matched] == actions)

    def expert(self, slots: Slots) -> Any:
        """The first reference's next token, after those of it that were written in order."""
        last = self.task.max_steps - 1
        action = self.target[slots, np.minimum(self._matched[slots], last)]
        early = self.steps[slots] < self.task.min_new_tokens
        return np.where((action == self.task.eos_action) & early, self.filler[slots], action)

    def legal(self, slots: Slots) -> NDArray[np.int8]:
        """All actions, or those that the options allow; EOS if nothing else is."""
        task = self.task
        if not task.constrained:
            shape = () if isinstance(slots, int) else (len(slots),)
            return np.ones((*shape, len(task.action_tokens)), np.int8)
        masks = self._allowed[slots].copy()
        masks[..., task.eos_action] |= self.steps[slots] >= task.min_new_tokens
        return masks

    def score(self, slots: Slots) -> Any:
        """ROUGE of the summary as it stands."""
        several = np.atleast_1d(slots)
        self._count(several)
        scores = self._scores.scores(several)
        return float(scores[0]) if isinstance(slots, int) else scores

    def _count(self, slots: NDArray[np.intp]) -> None:
        """Take note of the actions since the last time."""
        task = self.task
        new = slots[self._counted[slots] < 0]
        if len(new):
            self._scores.begin(new, list(map(task.word_numbers, self.indices[new].tolist())))
            self._counted[new] = 0
        while len(late := slots[self._counted[slots] < self.steps[slots]]):
            actions = self.actions[late, self._counted[late]]
            writes = actions != task.eos_action
            self._scores.push(late[writes], task.action_tokens[actions[writes]])
            self._counted[late] += 1

    def metrics(self, slots: Slots) -> dict[str, Any]:
        """F1 of ROUGE-1, -2, -L and -Lsum, and the score."""
        if isinstance(slots, int):
            return summary_f1(self.text(slots), self.task.references(int(self.indices[slots])))
        references = map(self.task.references, self.indices[slots].tolist())
        found = list(map(summary_f1, self.texts(slots), references))
        return {name: np.array([scores[name] for scores in found]) for name in found[0]}
