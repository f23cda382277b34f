"""Steps per second of environments under random legal play."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray


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


def single_steps(make: Callable[[], Any], steps: int) -> float:
    """Steps per second of one environment."""
    env = make()
    uniform = np.random.default_rng(0).random(4096).tolist()
    n = int(env.action_space.n)
    _, info = env.reset(seed=0)
    start = time.perf_counter()
    for step in range(steps):
        mask = info.get("action_mask")
        if mask is None:
            action = int(uniform[step & 4095] * n)
        else:
            legal = mask.nonzero()[0]
            action = int(legal[int(uniform[step & 4095] * len(legal))])
        _, _, terminated, truncated, info = env.step(action)
        if terminated or truncated:
            _, info = env.reset()
    return steps / (time.perf_counter() - start)


def vector_steps(make: Callable[[], Any], steps: int) -> float:
    """Steps per second of a vector environment, all slots counted."""
    envs = make()
    slots, n = int(envs.num_envs), int(envs.single_action_space.n)
    rng = np.random.default_rng(0)
    # A rank for each legal action: the largest random key among the legal ones wins.
    keys = rng.random((64, slots, n), np.float32)
    _, info = envs.reset(seed=0)
    iterations = max(steps // slots, 1)
    spent: float = 0.0
    for iteration in range(iterations):
        mask = info.get("action_mask")
        key = keys[iteration % 64]
        actions = (key if mask is None else key * mask).argmax(1)
        start = time.perf_counter()
        _, _, _, _, info = envs.step(actions)
        spent += time.perf_counter() - start
    return iterations * slots / spent
