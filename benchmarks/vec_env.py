"""The vector environment under stable-baselines3, beside single environments in its own.

Both choose random actions among all, as its algorithms without masks begin, and reset by
themselves.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium
import numpy as np
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from agents.sb3 import TextVecEnv
from benchmarks.measuring import Measurement, beside
from benchmarks.stepping import encode_all

SLOTS = 64
REQUIRED = 10


def vec_env_beside_dummy(env_id: str, examples: int, iterations: int, rounds: int) -> Measurement:
    """Steps of `TextVecEnv` and of `DummyVecEnv`, both with 64 slots.

    Args:
        env_id: Which environment.
        examples: How many there are to play on.
        iterations: Steps of all slots of ours in a round; a sixth of them of the other.
        rounds: How many.
    """
    make = partial(gymnasium.make, env_id, size=examples)
    encode_all(make())  # of the task that both have
    ours = _steps(TextVecEnv(env_id, SLOTS, size=examples), iterations)
    theirs = _steps(DummyVecEnv([make] * SLOTS), max(1, iterations // 6))
    what = f"{env_id} as VecEnv, {SLOTS} slots"
    return beside(what, "steps/s", ours, "DummyVecEnv", theirs, rounds, required=REQUIRED)


def _steps(env: VecEnv, iterations: int) -> Callable[[], float]:
    """A round of steps of all slots."""
    rng = np.random.default_rng(0)
    env.seed(0)
    env.reset()
    actions: Any = env.action_space

    def step() -> float:
        start = time.perf_counter()
        for _ in range(iterations):
            env.step(rng.integers(actions.n, size=env.num_envs))
        return env.num_envs * iterations / (time.perf_counter() - start)

    return step
