"""Tianshou's DQN and PPO train in our environments."""

from __future__ import annotations

import one_skill  # noqa: F401  registers OneSkill-v0
import pytest

import textenvs

pytest.importorskip("tianshou", reason="needs an environment of its own: make test-pinned")

import tianshou_dqn
import tianshou_ppo

pytestmark = pytest.mark.filterwarnings("ignore")  # of the library, about itself
EASY = {"answers": 2, "noise": 2, "words": 5}
"""Random words give 0.2."""


def test_dqn_learns_the_one_skill() -> None:
    args = tianshou_dqn.Args(
        env_id="OneSkill-v0", total_timesteps=2048, epochs=1, gradient_steps_per_action=0.2
    )
    _, score = tianshou_dqn.train(args, **EASY)
    assert score > 0.8


def test_ppo_learns_the_one_skill() -> None:
    args = tianshou_ppo.Args(env_id="OneSkill-v0", total_timesteps=2048, epochs=1, num_envs=8)
    _, score = tianshou_ppo.train(args, **EASY)
    assert score > 0.9


@pytest.mark.parametrize("env_id", sorted(textenvs.IDS))
def test_both_train_everywhere_over_legal_actions(env_id: str) -> None:
    """An illegal one would be an error here."""
    small = {"env_id": env_id, "total_timesteps": 64, "num_envs": 4, "epochs": 1}
    options = {"illegal_action": "raise", "size": 50}
    dqn = tianshou_dqn.Args(test_episodes=4, batch_size=8, **small)
    tianshou_dqn.train(dqn, **options)
    ppo = tianshou_ppo.Args(test_episodes=4, num_steps=16, repeats=1, **small)
    tianshou_ppo.train(ppo, **options)
