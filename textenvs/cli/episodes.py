"""Whole episodes of the environment's own players, as text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from textenvs.env import TextEnv
from textenvs.views import printable

Player: TypeAlias = Literal["expert", "heuristic", "random"]
SHOWN = 0.0005
"""Rewards below are 0 in three decimals."""


@dataclass(frozen=True)
class Played:
    """An episode that is over.

    Attributes:
        index: of its example.
        actions: their tokens; with what each brought, where it brought something.
        metrics: of the episode, but for details.
    """

    index: int
    actions: list[str]
    metrics: dict[str, float]


def play(env: TextEnv, index: int, player: Player = "expert") -> Played:
    """Play an example to its end."""
    env.reset(options={"index": index})
    actions, done = [], False
    while not done:
        action = action_of(env, player)
        _, reward, done, _, info = env.step(action)
        token = printable(env.task.token_name(int(env.action_tokens[action])))
        actions.append(f"{token}({reward:+.3f})" if abs(reward) >= SHOWN else token)
    metrics = {name: value for name, value in info["metrics"].items() if "/" not in name}
    return Played(index, actions, metrics)


def action_of(env: TextEnv, player: Player) -> int:
    """What a player does now."""
    if player == "random":
        return int(env.action_space.sample(env.action_masks().astype(np.int8)))
    return env.expert_action() if player == "expert" else env.heuristic_action()
