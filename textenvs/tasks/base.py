"""What a task is: its data and rules (`Task`), and the state of episodes in progress (`Episodes`).

One implementation serves the single and the vector environment. Every method of `Episodes` takes
``slots``, which is either one slot (an ``int``: values are scalars) or several distinct ones (an
integer array ``(n,)``: values are arrays ``(n,)``). Rules written as table look-ups and arithmetic
work for both, cost a few microseconds for one slot, and are vectorised over many.

Letters in shapes: N slots, T ``max_tokens``, A actions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from textenvs.tasks.rows import Layout
from textenvs.tokenization import Tokenizer
from textenvs.views import Paragraph, Part

Slots: TypeAlias = "int | NDArray[np.intp]"


@dataclass(frozen=True)
class Episode:
    """A finished episode, as a user's own reward function sees it.

    Attributes:
        index: The example's index in its split.
        example: The example itself, such as a `QAExample`.
        prompt: The prompt's text.
        text: The agent's answer as text, the same as ``info["text"]``.
        tokens: The final prefix, int32 ``(length,)``: prompt, actions and the task's own tokens.
        actions: The agent's actions, in order, ``(steps,)``.
        metrics: The task's metrics, the same as ``info["metrics"]``.
    """

    index: int
    example: Any
    prompt: str
    text: str
    tokens: NDArray[np.int32]
    actions: NDArray[np.int32]
    metrics: dict[str, float]


class Task(ABC):
    """The data and the rules of one language task; immutable, and shared by environments.

    Attributes:
        score_name: The metric in ``info["metrics"]`` that is the reward, in [0, 1].
        name: Its name among `textenvs.tasks.TASKS`, or ``"module:Class"``.
        options: The options it was built from.
        tokenizer: Text to tokens and back.
        examples: The split's examples.
        extra_tokens: Names of the tokens that this task adds beyond the tokenizer's vocabulary
            (labels, pointers); the first has the id ``tokenizer.vocab_size``.
        action_tokens: The token that each action appends, int32 ``(A,)``.
        action_positions: The position in the prefix that each action points at, -1 for none, int32
            ``(A,)``; None where actions do not point.
        max_tokens: Length of an observation: the longest prompt plus everything appended to it.
        max_steps: The most actions that an episode can take.
        constrained: Whether some actions are illegal in some states.
        layout: The fields of an example's `row`.
        shortfalls: Why examples cannot reach the full score, counted by reason; complete for
            files, where every example is looked at beforehand.
    """

    score_name: str
    name: str
    options: Mapping[str, Any]
    tokenizer: Tokenizer
    examples: Sequence[Any]
    extra_tokens: tuple[str, ...] = ()
    action_tokens: NDArray[np.int32]
    action_positions: NDArray[np.int32] | None = None
    max_tokens: int
    max_steps: int
    constrained: bool
    layout: Layout

    @property
    def shortfalls(self) -> Mapping[str, int]:
        """Why examples cannot reach the full score, counted by reason."""
        return {}

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the recipe: a copy is built from the options, or is the one that exists."""
        from textenvs.tasks import build_task

        if not hasattr(self, "name"):
            raise TypeError(
                f"a {type(self).__name__} that was built directly has no recipe to pickle: build "
                "it by textenvs.tasks.build_task, or register it and use gymnasium.make"
            )
        return partial(build_task, self.name, **self.options), ()

    @property
    def num_examples(self) -> int:
        """How many examples the split has."""
        return len(self.examples)

    @property
    def vocab_size(self) -> int:
        """Number of token ids that can occur in a prefix."""
        return self.tokenizer.vocab_size + len(self.extra_tokens)

    def token_name(self, token_id: int) -> str:
        """The token as a person would want it named."""
        beyond = token_id - self.tokenizer.vocab_size
        return self.extra_tokens[beyond] if beyond >= 0 else self.tokenizer.token(token_id)

    @abstractmethod
    def episodes(self, num_slots: int) -> Episodes:
        """Room for ``num_slots`` episodes at a time."""

    @abstractmethod
    def row(self, index: int) -> NDArray[np.int32]:
        """The first state of an episode on an example, as a row of `layout`; not to be altered."""

    def _lay_out(
        self, defaults: Mapping[str, int] | None = None, **fields: tuple[int, ...]
    ) -> Layout:
        """The fields that every task has, and ``fields``; `max_tokens` must be settled."""
        counters = dict.fromkeys(("lengths", "prompt_lengths", "steps", "indices"), ())
        defaults = {"tokens": self.tokenizer.pad_token_id, **(defaults or {})}
        return Layout({"tokens": (self.max_tokens,), **counters, **fields}, defaults)

    def _row(self, index: int, prompt: NDArray[np.int32], **fields: Any) -> NDArray[np.int32]:
        """The row of an episode that begins with a prompt; ``fields`` are the task's own."""
        length = len(prompt)
        return self.layout.row(
            indices=index, tokens=prompt, lengths=length, prompt_lengths=length, **fields
        )

    @abstractmethod
    def prompt_text(self, index: int) -> str:
        """The prompt of an example, as text."""

    def heuristic(self, index: int) -> Sequence[int]:
        """The actions of a simple rule on an example, played in order: a baseline to beat.

        Where they run out or are illegal, the first legal action is taken; here there are none.
        """
        return ()

    def aggregate(self, metrics: Mapping[str, NDArray[np.float64]]) -> dict[str, float]:
        """The split's scores from its episodes' metrics, each ``(episodes,)``: here their means."""
        return {name: float(np.mean(values)) for name, values in metrics.items()}


class Episodes(ABC):
    """The state of N episodes.

    The fields of the task's `Layout` are attributes, int32 ``(N, *shape)``: a subclass declares
    its own. What cannot be an integer it allocates itself, and sets up in `_begin`.

    Attributes:
        reveals: Whether what stands in ``tokens`` behind a prefix may be yet to be revealed; else
            it is padding.
        tokens: ``(N, T)``; only the first ``lengths`` of a row are the prefix.
        lengths: Length of each prefix, ``(N,)``.
        prompt_lengths: Length of each prompt, ``(N,)``.
        steps: Actions taken, ``(N,)``.
        indices: The examples' indices, ``(N,)``.
        actions: The actions taken, ``(N, max_steps)``.
    """

    reveals: ClassVar[bool] = True
    tokens: NDArray[np.int32]
    lengths: NDArray[np.int32]
    prompt_lengths: NDArray[np.int32]
    steps: NDArray[np.int32]
    indices: NDArray[np.int32]

    def __init__(self, task: Task, num_slots: int) -> None:
        self.task = task
        self._rows = np.zeros((num_slots, task.layout.width), np.int32)
        for name, view in task.layout.fields(self._rows).items():
            setattr(self, name, view)
        self.actions = np.zeros((num_slots, task.max_steps), np.int32)
        self._plans: dict[int, tuple[int, Sequence[int]]] = {}  # by slot: example and actions
        self._columns = np.arange(task.max_tokens, dtype=np.int32)
        self._blank = np.full(task.max_tokens, task.tokenizer.pad_token_id, np.int32)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copied as examples and actions, which are played again.

        Numbers that a task gives as it goes (to words, say) are its process's own.
        """
        begun = np.flatnonzero(self.lengths)
        played = [
            (slot, int(self.indices[slot]), self.actions[slot, : self.steps[slot]].tolist())
            for slot in begun.tolist()
        ]
        return _play_again, (self.task, len(self.lengths), played)

    def begin(self, slots: NDArray[np.intp], indices: Sequence[int]) -> None:
        """Start the examples ``indices`` (n,) in ``slots`` (n,)."""
        self._rows[slots] = [self.task.row(index) for index in indices]
        self._begin(slots)

    def _begin(self, slots: NDArray[np.intp]) -> None:  # noqa: B027  # most tasks need none
        """Set up what is no field of the row."""

    def advance(self, slots: Slots, actions: Any) -> Any:
        """Take an action in each slot; returns whether the episode has ended, bool ``(n,)``."""
        steps = self.steps[slots]
        self.actions[slots, steps] = actions
        self.tokens[slots, self.lengths[slots]] = self.task.action_tokens[actions]
        self.steps[slots] = steps + 1
        return self._advance(slots, actions)

    @abstractmethod
    def _advance(self, slots: Slots, actions: Any) -> Any:
        """The task's transition, after the action's token is written; must move ``lengths``."""

    @abstractmethod
    def score(self, slots: Slots) -> Any:
        """The potential Φ of the present state, float ``(n,)``.

        0 at the start, and at the end exactly the episode's score in [0, 1].
        """

    @abstractmethod
    def legal(self, slots: Slots) -> NDArray[np.int8]:
        """Which actions are legal now, int8 ``(n, A)`` or ``(A,)``; never none."""

    @abstractmethod
    def expert(self, slots: Slots) -> Any:
        """An action of the reference policy in each slot, ``(n,)``."""

    def heuristic(self, slot: int) -> int:
        """The action that the task's heuristic takes in a slot; always legal."""
        index, step = int(self.indices[slot]), int(self.steps[slot])
        if self._plans.get(slot, (-1,))[0] != index:
            self._plans[slot] = index, self.task.heuristic(index)
        _, planned = self._plans[slot]
        action = int(planned[step]) if step < len(planned) else -1
        exists = 0 <= action < len(self.task.action_tokens)
        if not self.task.constrained:
            return action if exists else 0
        legal = self.legal(slot)
        return action if exists and legal[action] else int(legal.argmax())

    @abstractmethod
    def metrics(self, slots: Slots) -> dict[str, Any]:
        """The task's metrics of finished episodes, floats ``(n,)``."""

    @abstractmethod
    def text(self, slot: int) -> str:
        """The answer so far as text."""

    def texts(self, slots: NDArray[np.intp]) -> list[str]:
        """The answers so far as text."""
        return [self.text(slot) for slot in slots.tolist()]

    def view(self, slot: int) -> list[Part]:
        """What a person is shown of an episode: here the prompt, and the answer so far."""
        prompt = self.task.prompt_text(int(self.indices[slot]))
        return [Paragraph(prompt), Paragraph(self.text(slot), speaker=">", by_agent=True)]

    def observation(self, slots: Slots) -> NDArray[np.int32]:
        """The prefixes, padded on the right: a new int32 array ``(n, T)`` or ``(T,)``."""
        if not self.reveals:
            return self.tokens[slots].copy() if isinstance(slots, int) else self.tokens[slots]
        if isinstance(slots, int):
            prefix = self._blank.copy()
            length = self.lengths[slots]
            prefix[:length] = self.tokens[slots, :length]
            return prefix
        prefixes = self.tokens[slots]
        np.copyto(prefixes, self._blank, where=self._columns >= self.lengths[slots][:, None])
        return prefixes

    def episode(self, slot: int, metrics: dict[str, float]) -> Episode:
        """The finished episode in a slot, for a reward function."""
        index = int(self.indices[slot])
        return Episode(
            index=index,
            example=self.task.examples[index],
            prompt=self.task.prompt_text(index),
            text=self.text(slot),
            tokens=self.tokens[slot, : self.lengths[slot]].copy(),
            actions=self.actions[slot, : self.steps[slot]].copy(),
            metrics=metrics,
        )


def _play_again(task: Task, num_slots: int, played: list[tuple[int, int, list[int]]]) -> Episodes:
    episodes = task.episodes(num_slots)
    for slot, index, actions in played:
        episodes.begin(np.array([slot]), [index])
        for action in actions:
            episodes.advance(slot, action)
    return episodes
