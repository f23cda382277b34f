"""Environments made for measuring: the least that there can be, and one of fixed lengths."""

from __future__ import annotations

from itertools import islice
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from textenvs.tasks.qa import QATask
from textenvs.tasks.survey import Limits

VOCABULARY = 2_000
"""Of `FixedLengthQA`: the size that speeds of tiny models are published with."""
TRIVIAL_ID = "benchmarks/TrivialTokens-v0"


class TrivialTokens(gymnasium.Env[NDArray[np.int32], np.int64]):
    """The least that a token environment can do: append, copy, end after 32. A limit to compare."""

    def __init__(self) -> None:
        self.observation_space = spaces.Box(0, 999, (96,), np.int32)
        self.action_space = spaces.Discrete(9)
        self._tokens = np.zeros(96, np.int32)
        self._length = 64

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.int32], dict[str, Any]]:
        """Begin with a prompt of 64 tokens."""
        super().reset(seed=seed)
        self._length = 64
        return self._tokens.copy(), {}

    def step(self, action: Any) -> tuple[NDArray[np.int32], float, bool, bool, dict[str, Any]]:
        """Append the action."""
        self._tokens[self._length] = action
        self._length += 1
        return self._tokens.copy(), 0.0, self._length == 96, False, {}


class TrivialVectorTokens(VectorEnv[NDArray[np.int32], NDArray[np.int64], NDArray[Any]]):
    """The same over arrays: what the interface of a native vector environment allows at most."""

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012

    def __init__(self, num_envs: int = 1) -> None:
        single = TrivialTokens()
        self.num_envs = num_envs
        self.single_observation_space = single.observation_space
        self.single_action_space = single.action_space
        self.observation_space = batch_space(single.observation_space, num_envs)
        self.action_space = batch_space(single.action_space, num_envs)
        self._all = np.arange(num_envs)
        self._tokens = np.zeros((num_envs, 96), np.int32)
        self._lengths = np.full(num_envs, 64)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.int32], dict[str, Any]]:
        """Begin everywhere, with answers of different lengths still to come."""
        self._lengths = 64 + self._all % 32
        return self._tokens.copy(), {}

    def step(
        self, actions: NDArray[np.int64]
    ) -> tuple[
        NDArray[np.int32], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]
    ]:
        """Append the actions."""
        self._tokens[self._all, self._lengths] = actions
        self._lengths += 1
        done = self._lengths == 96
        self._lengths[done] = 64
        nothing = np.zeros(self.num_envs)
        return self._tokens.copy(), nothing, done, np.zeros_like(done), {}


if TRIVIAL_ID not in gymnasium.registry:
    gymnasium.register(
        TRIVIAL_ID,
        "benchmarks.environments:TrivialTokens",
        vector_entry_point="benchmarks.environments:TrivialVectorTokens",
    )


class FixedLengthQA(QATask):
    """TextQA-v0's task with prompts and answers of fixed lengths, as `generate` has them.

    All else is TextQA-v0's with ``constrain=False``, and costs what it costs there. The examples
    are those built-in ones whose prompts have `prompt_tokens`, and no action ends an answer: EOS
    is a token like the others.

    Args:
        prompt_tokens: Length of every prompt.
        answer_tokens: Length of every answer; from 12 on, none of the references is longer.
        count: How many examples.
        tokenizer: As the tasks'.
    """

    def __init__(
        self,
        prompt_tokens: int = 64,
        answer_tokens: int = 32,
        count: int = 16,
        tokenizer: Any = f"bpe:{VOCABULARY}",
    ) -> None:
        super().__init__(constrain=False, max_new_tokens=answer_tokens, tokenizer=tokenizer)
        fitting = (e for e in self.examples if self._measure(e).prompt == prompt_tokens)
        self.examples = list(islice(fitting, count))
        assert len(self.examples) == count, "the built-in world has prompts of all common lengths"

    def _allow(self, limits: Limits) -> None:
        super()._allow(limits)
        self.eos_action = -1
