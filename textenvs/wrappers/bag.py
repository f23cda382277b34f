"""The prefix as counts of tokens."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
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


class PrefixCounts(PrefixView):
    """How often each token occurs in a prefix, float32 ``(vocab_size,)``; for agents with an MLP.

    The order of the tokens is lost.
    """

    def __init__(self, task: Task) -> None:
        self._size = task.vocab_size
        self.space = spaces.Box(0, task.max_tokens, (self._size,), np.float32)

    def __call__(
        self, prefixes: NDArray[np.int32], lengths: NDArray[np.intp]
    ) -> NDArray[np.float32]:
        """The counts of each prefix, ``(N, vocab_size)``."""
        rows, columns = np.nonzero(np.arange(prefixes.shape[1]) < lengths[:, None])
        places = rows * self._size + prefixes[rows, columns]
        counts = np.bincount(places, minlength=len(prefixes) * self._size)
        return counts.reshape(len(prefixes), self._size).astype(np.float32)


class BagOfTokens(PrefixObservation, RecordConstructorArgs):
    """How often each token occurs in the prefix, float32 ``(vocab_size,)``.

    >>> import gymnasium, textenvs
    >>> env = BagOfTokens(gymnasium.make("TextQA-v0"))
    >>> observation, info = env.reset(seed=0)
    >>> observation.shape == (env.unwrapped.task.vocab_size,)
    True
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        RecordConstructorArgs.__init__(self)
        super().__init__(env, PrefixCounts(task_of(env)))


class VectorBagOfTokens(VectorPrefixObservation):
    """`BagOfTokens` of every slot, float32 ``(num_envs, vocab_size)``."""

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        super().__init__(env, PrefixCounts(task_of(env)))
