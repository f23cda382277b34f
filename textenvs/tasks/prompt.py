"""A task from three plain functions: a prompt, a perfect answer, the score of any answer."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textenvs.errors import DatasetError
from textenvs.tasks.base import Slots
from textenvs.tasks.writing import WritingEpisodes, WritingTask
from textenvs.tokenization import load_tokenizer


class PromptTask(WritingTask):
    """Answer a prompt with a text; the shortest way to a task of one's own.

    A subclass says what its examples are (`load`), and of each the prompt, a perfect answer and
    the score of any answer. Whatever an example is, is its own affair.

    Args:
        split: Handed to `load`.
        tokenizer: ``"auto"``: the shipped one if it can write all prompts and answers (printable
            ASCII), else a byte-level BPE trained on them. Or as elsewhere:
            ``"bpe:SIZE"``, a transformers tokenizer or its name, any `Tokenizer`.
        max_new_tokens: The token budget. Default: the longest perfect answer and EOS.

    Raises:
        DatasetError: `load` gives no examples.
    """

    score_name = "score"
    constrained = False

    def __init__(self, *, split: str = "train", tokenizer: Any = "auto", **rest: Any) -> None:
        super().__init__(**rest)
        self.examples = self.load(split)
        if not len(self.examples):
            raise DatasetError(f"{type(self).__name__}.load({split!r}) gave no examples")
        self.tokenizer = load_tokenizer(
            "builtin" if tokenizer == "auto" else tokenizer, self._texts
        )
        if tokenizer == "auto" and not self._can_write_all():
            self.tokenizer = load_tokenizer("bpe", self._texts)
        self._write_tokens()
        encoded = [self._encode_pair(example) for example in self.examples]
        self.max_steps = self._max_new_tokens or max(len(answer) for _, answer in encoded) + 1
        self.max_tokens = max(len(prompt) for prompt, _ in encoded) + self.max_steps
        self.layout = self._lay_out({"answer": self.eos_action}, answer=(self.max_steps,))

    @abstractmethod
    def load(self, split: str) -> Sequence[Any]:
        """The examples of a split; equal in every process, and at least one."""

    @abstractmethod
    def prompt(self, example: Any) -> str:
        """What the agent reads."""

    @abstractmethod
    def answer(self, example: Any) -> str:
        """A perfect answer: what the expert writes."""

    @abstractmethod
    def score(self, example: Any, text: str) -> float | Mapping[str, float]:
        """How good an answer is, in [0, 1]; or several metrics, that one of them as ``"score"``."""

    def scores(self, index: int, text: str) -> dict[str, float]:
        """The metrics of an answer to an example, checked.

        Raises:
            ValueError: The score is missing, or not in [0, 1].
        """
        found = self.score(self.examples[index], text)
        metrics = dict(found) if isinstance(found, Mapping) else {"score": found}
        if not 0 <= metrics.get("score", -1) <= 1:
            raise ValueError(
                f"{type(self).__name__}.score must give a number in [0, 1], or a mapping with one "
                f"as 'score', got {found!r} for the answer {text!r} to example {index}"
            )
        return {name: float(value) for name, value in metrics.items()}

    def _texts(self) -> Iterator[str]:
        for example in self.examples:
            yield self.prompt(example)
            yield self.answer(example)

    def _can_write_all(self) -> bool:
        tokenizer = self.tokenizer
        return all(tokenizer.decode(tokenizer.encode(text).ids) == text for text in self._texts())

    def _encode_pair(self, example: Any) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        encode = self.tokenizer.encode
        return encode(self.prompt(example)).ids, encode(self.answer(example)).ids

    def row(self, index: int) -> NDArray[np.int32]:
        """The prompt, and the perfect answer's actions."""
        prompt, answer = self._encode_pair(self.examples[index])
        return self._row(index, prompt, answer=self.actions_of(answer, self.max_steps))

    def prompt_text(self, index: int) -> str:
        """The prompt of an example."""
        return self.prompt(self.examples[index])

    def episodes(self, num_slots: int) -> PromptEpisodes:
        """Room for ``num_slots`` answers at a time."""
        return PromptEpisodes(self, num_slots)


class PromptEpisodes(WritingEpisodes):
    """Answers being written, scored as a whole whenever a score is asked for."""

    task: PromptTask
    answer: NDArray[np.int32]

    def legal(self, slots: Slots) -> NDArray[np.int8]:
        """All actions."""
        shape = () if isinstance(slots, int) else (len(slots),)
        return np.ones((*shape, len(self.task.action_tokens)), np.int8)

    def expert(self, slots: Slots) -> Any:
        """The next token of the perfect answer; EOS, if another was begun."""
        steps, answer = self.steps[slots], self.answer[slots]
        said = np.arange(answer.shape[-1])
        on_path = ((self.actions[slots] == answer) | (said >= steps[..., None])).all(-1)
        step = np.minimum(steps, answer.shape[-1] - 1)[..., None]
        following = np.take_along_axis(answer, step, -1)[..., 0]
        return np.where(on_path, following, self.task.eos_action)

    def score(self, slots: Slots) -> Any:
        """The score of the answer so far; 0 before it is begun."""
        return self.metrics(slots)["score"] * (self.steps[slots] > 0)

    def metrics(self, slots: Slots) -> dict[str, Any]:
        """The metrics of the answers so far."""
        if isinstance(slots, int):
            return self.task.scores(int(self.indices[slots]), self.text(slots))
        indices = self.indices[slots].tolist()
        found = list(map(self.task.scores, indices, self.texts(slots)))
        return {name: np.array([scores[name] for scores in found]) for name in found[0]}
