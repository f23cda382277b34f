"""Every algorithm goes on from a clone of the expert without losing what it knows."""

from __future__ import annotations

import copy
from typing import Any

import one_skill  # noqa: F401  registers OneSkill-v0
import pytest

from agents import (
    A2C,
    DQN,
    PPO,
    REINFORCE,
    SARSA,
    BCConfig,
    BehaviourCloning,
    EpsilonGreedy,
    QLearning,
    evaluate,
)

TASK = {"answers": 2, "noise": 2, "words": 8, "examples": 400}


def score(agent: Any) -> float:
    return evaluate(agent, "OneSkill-v0", **TASK).score.value


@pytest.fixture(scope="module")
def clone() -> BehaviourCloning:
    """Knows something, and not all."""
    config = BCConfig(episodes=200, epochs=4, learning_rate=1e-3)
    agent = BehaviourCloning("OneSkill-v0", config, env_kwargs=TASK)
    return agent.learn(progress_bar=False)


@pytest.mark.parametrize(
    ("algorithm", "changes"),
    [
        (PPO, {}),
        (A2C, {}),
        (REINFORCE, {}),
        (EpsilonGreedy, {}),
        (SARSA, {}),
        (QLearning, {}),
        (DQN, {"learning_starts": 128}),
    ],
)
def test_it_begins_at_the_clone_and_does_not_fall_behind(
    algorithm: Any, changes: dict[str, Any], clone: BehaviourCloning
) -> None:
    start = score(clone)
    assert 0.4 < start < 0.7  # random words give 0.125
    config = algorithm.config_type(
        num_envs=8, steps=128, learning_rate=5e-4, minibatch_tokens=512, **changes
    )
    agent = algorithm("OneSkill-v0", config, model=copy.deepcopy(clone.model), env_kwargs=TASK)
    assert score(agent) == start
    agent.learn(256, progress_bar=False)
    assert score(agent) > start - 0.1
    agent.learn(1024, progress_bar=False)
    assert score(agent) > start
