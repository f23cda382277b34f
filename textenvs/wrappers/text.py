"""The prefix as a string."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from textenvs.tasks import Task
from textenvs.wrappers.prefix import (
    PrefixObservation,
    PrefixView,
    VectorPrefixObservation,
    task_of,
)
from textenvs.wrappers.unicode import Unicode


class PrefixText(PrefixView):
    """Prefixes as strings: decoded, with the task's own tokens (labels, pointers) by name."""

    def __init__(self, task: Task) -> None:
        self.space = Unicode()
        self._task = task

    def __call__(self, prefixes: NDArray[np.int32], lengths: NDArray[np.intp]) -> list[str]:
        """The text of each prefix."""
        tokenizer = self._task.tokenizer
        rows = [row[:n] for row, n in zip(prefixes, lengths.tolist(), strict=True)]
        if not self._task.extra_tokens:
            return tokenizer.decode_batch([row.tolist() for row in rows])
        return list(map(self._with_names, rows))

    def _with_names(self, prefix: NDArray[np.int32]) -> str:
        """The text between the task's own tokens, and their names; spaces part them."""
        own = np.flatnonzero(prefix >= self._task.tokenizer.vocab_size)
        runs = np.split(prefix, np.ravel([own, own + 1], order="F"))[::2]
        first, *others = self._task.tokenizer.decode_batch([run.tolist() for run in runs])
        text = first
        for token, run in zip(prefix[own].tolist(), others, strict=True):
            text = _spaced(_spaced(text, self._task.token_name(token)), run)
        return text


def _spaced(text: str, more: str) -> str:
    """Both, and a space between unless there is one."""
    apart = not text or not more or text[-1].isspace() or more[0].isspace()
    return f"{text}{'' if apart else ' '}{more}"


class TextObservation(PrefixObservation, RecordConstructorArgs):
    """The prefix as a string.

    >>> import gymnasium, textenvs
    >>> env = TextObservation(gymnasium.make("TextNER-v0", split="test"))
    >>> observation, info = env.reset(seed=0)
    >>> isinstance(observation, str)
    True
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        RecordConstructorArgs.__init__(self)
        super().__init__(env, PrefixText(task_of(env)))


class VectorTextObservation(VectorPrefixObservation):
    """`TextObservation` of every slot: a tuple of strings."""

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        super().__init__(env, PrefixText(task_of(env)))
