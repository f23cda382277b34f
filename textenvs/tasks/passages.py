"""What the question answering tasks share: a passage, a question, and the tokens of the answer."""

from __future__ import annotations

from abc import abstractmethod
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textenvs.data.examples import QAExample
from textenvs.data.files import OnError
from textenvs.data.records import ASKED_QA, QA_SCHEMA
from textenvs.data.squad import read_squad
from textenvs.data.world import WorldQA
from textenvs.errors import OptionError
from textenvs.metrics import squad
from textenvs.tasks.guess import guess_span
from textenvs.tasks.sources import SourceTask
from textenvs.tasks.survey import Limits
from textenvs.tokenization import Encoding

NO_ANSWER = (-1, -1)


class PassageTask(SourceTask[QAExample]):
    """Questions whose answers are spans of a passage, from the built-in world or the user's data.

    A file is SQuAD JSON, or has named columns.
    """

    score_name = "f1"
    world = WorldQA
    schema = QA_SCHEMA
    asked = ASKED_QA

    def __init__(self, **source: Any) -> None:
        self._encode_passage = lru_cache(maxsize=128)(self.encode)
        super().__init__(**source)

    @staticmethod
    def read(path: Path, on_error: OnError) -> list[QAExample]:
        """The questions of a SQuAD 1.1 or 2.0 file."""
        return read_squad(path, on_error=on_error)

    @staticmethod
    def content(example: QAExample) -> str:
        """What may not occur in two splits: the passage."""
        return example.passage

    @staticmethod
    def texts(example: QAExample) -> tuple[str, ...]:
        """What a tokenizer for this data is trained on."""
        return (example.passage, example.question)

    def _prepare(self, everything: list[QAExample]) -> None:
        self._line_break = self.line_break()
        self.has_unanswerable = any(not example.answers for example in everything)

    def _question(self, example: QAExample) -> NDArray[np.int32]:
        question = self.encode(example.question).ids
        return np.concatenate([self._line_break, question, self._line_break])

    def _encoded_texts(self, example: QAExample) -> tuple[str, ...]:
        return self.texts(example)

    def _measure(self, example: QAExample) -> Limits:
        passage = self._encode_passage(example.passage)
        answer = max((last - first + 1 for first, last in _spans(example, passage)), default=0)
        question = len(self.encode(example.question).ids) + 2 * len(self._line_break)
        prompt = len(passage.ids) + question
        return Limits(prompt, answer + 1, len(passage.ids))

    def _allow(self, limits: Limits) -> None:
        self._room = min(self.max_prompt_tokens or limits.prompt, limits.prompt)
        shortest = 2 * len(self._line_break) + 2
        if self._room < shortest:
            raise OptionError(
                f"max_prompt_tokens={self._room} leaves no room for a passage and a question: it "
                f"must be at least {shortest}; the data's longest prompt has {limits.prompt}"
            )

    def _encode(self, index: int, example: QAExample) -> NDArray[np.int32]:
        passage, question = self._encode_passage(example.passage), self._question(example)
        room = self._room - len(question)
        if room < len(passage.ids):
            self._falls_short("passages cut at max_prompt_tokens", index)
            passage = Encoding(passage.ids[: max(room, 1)], passage.offsets[: max(room, 1)])
            question = question[: self._room - len(passage.ids)]
        return self._row(
            index,
            np.concatenate([passage.ids, question]),
            targets=self._target(index, example, passage),
            **self._fields(example, passage),
        )

    @abstractmethod
    def _fields(self, example: QAExample, passage: Encoding) -> dict[str, Any]:
        """The fields of the row that are the task's own."""

    def _fits(self, example: QAExample, need: Limits) -> bool:
        if need.prompt > (self.max_prompt_tokens or need.prompt):
            return False
        passage = self._encode_passage(example.passage)
        return not example.answers or self._best_span(example, passage, need.prompt)[1] == 1

    def _target(self, index: int, example: QAExample, passage: Encoding) -> tuple[int, int]:
        """The passage tokens that answer best; counts why if that is not perfect."""
        if not example.answers:
            return NO_ANSWER
        best, f1 = self._best_span(example, passage, self._longest_answer)
        if f1 < 1:
            self._falls_short("answers that no allowed span of tokens gives", index)
        return best

    def _best_span(
        self, example: QAExample, passage: Encoding, longest: int
    ) -> tuple[tuple[int, int], float]:
        """The first and the last of the passage's tokens that answer best, and their F1."""
        best, best_f1 = (0, 0), -1.0
        for first, last in _spans(example, passage):
            if first >= len(passage.ids):
                continue  # it stands in the part that was cut off
            last = min(last, len(passage.ids) - 1, first + longest - 1)
            for span in _neighbours(first, last):
                f1 = squad.f1(self._surface(example, passage, *span), example.answers)
                if f1 > best_f1:
                    best, best_f1 = span, f1
                if best_f1 == 1:
                    return best, best_f1
        return best, best_f1

    @property
    @abstractmethod
    def _longest_answer(self) -> int:
        """The most tokens that an answer can have."""

    @abstractmethod
    def _surface(self, example: QAExample, passage: Encoding, first: int, last: int) -> str:
        """The text that choosing the passage tokens ``first`` to ``last`` answers."""

    def _guess(self, index: int) -> tuple[int, int]:
        """The passage's first and last token of what a simple rule answers."""
        example = self.examples[index]
        passage = self._encode_passage(example.passage)
        return guess_span(example.passage, passage, self.encode(example.question).ids)

    def prompt_text(self, index: int) -> str:
        """The passage and the question, a line each."""
        example = self.examples[index]
        return f"{example.passage}\n{example.question}\n"

    def aggregate(self, metrics: Any) -> dict[str, float]:
        """Mean F1 and exact match, also of the questions with and without an answer."""
        if "answerable" not in metrics:
            return super().aggregate(metrics)
        scores = {}
        answerable = np.asarray(metrics["answerable"]) == 1
        everything = np.ones_like(answerable)
        for prefix, chosen in (
            ("", everything),
            ("HasAns_", answerable),
            ("NoAns_", ~answerable),
        ):
            if chosen.any():
                for name in ("f1", "exact_match"):
                    scores[prefix + name] = float(np.mean(np.asarray(metrics[name])[chosen]))
        return scores


def _spans(example: QAExample, passage: Encoding) -> list[tuple[int, int]]:
    """For each reference the first and the last token that cover any of it."""
    starts, ends = passage.offsets[:, 0], passage.offsets[:, 1]
    spans = []
    for answer, start in zip(example.answers, example.answer_starts, strict=True):
        first = int(ends.searchsorted(start, side="right"))
        last = int(starts.searchsorted(start + len(answer), side="left")) - 1
        spans.append((first, max(first, last)))
    return spans


def _neighbours(first: int, last: int) -> list[tuple[int, int]]:
    """A span, and those one token shorter: a token may cover more than the answer's text."""
    shorter = [(first + 1, last), (first, last - 1), (first + 1, last - 1)]
    return [(first, last), *(span for span in shorter if span[0] <= span[1])]
