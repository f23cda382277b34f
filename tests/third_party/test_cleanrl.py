"""Loops in CleanRL's style learn, on single environments and on the native vector environment."""

from __future__ import annotations

import cleanrl_dqn
import cleanrl_ppo
import numpy as np
import one_skill  # noqa: F401  registers OneSkill-v0
import pytest

import textenvs

EASY = {"answers": 2, "noise": 2, "words": 5}
"""Random words give 0.2."""


def test_ppo_learns_the_one_skill_on_single_environments() -> None:
    args = cleanrl_ppo.Args(
        env_id="OneSkill-v0", native=False, total_timesteps=2048, num_envs=8, num_steps=32
    )
    _, returns = cleanrl_ppo.train(args, **EASY)
    assert np.mean(returns[:100]) < 0.4
    assert np.mean(returns[-100:]) > 0.9


def test_dqn_learns_the_one_skill_on_single_environments() -> None:
    args = cleanrl_dqn.Args(env_id="OneSkill-v0", native=False, total_timesteps=2048)
    _, returns = cleanrl_dqn.train(args, **EASY)
    assert np.mean(returns[:100]) < 0.4
    assert np.mean(returns[-100:]) > 0.7


@pytest.mark.parametrize("env_id", sorted(textenvs.IDS))
def test_both_train_everywhere_over_legal_actions(env_id: str) -> None:
    """An illegal one would be an error here."""
    native = env_id != "TextNER-v0"
    small = {"env_id": env_id, "native": native, "num_envs": 4, "masked": True}
    options = {"illegal_action": "raise", "size": 50}
    cleanrl_ppo.train(cleanrl_ppo.Args(num_steps=16, total_timesteps=64, **small), **options)
    args = cleanrl_dqn.Args(total_timesteps=64, learning_starts=40, batch_size=8, **small)
    cleanrl_dqn.train(args, **options)
