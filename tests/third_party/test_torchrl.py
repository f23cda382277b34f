"""TorchRL's collectors and PPO train in our environments, over legal actions only."""

from __future__ import annotations

import warnings

import one_skill  # noqa: F401  registers OneSkill-v0
import pytest

import textenvs

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("torchrl", reason='needs it: pip install "textenvs[torchrl]"')
    import torchrl_ppo

pytestmark = pytest.mark.filterwarnings("ignore")  # of the library, about itself


def test_ppo_learns_the_one_skill() -> None:
    args = torchrl_ppo.Args(env_id="OneSkill-v0", total_timesteps=2048, num_envs=8, num_steps=32)
    _, returns = torchrl_ppo.train(args, answers=2, noise=2, words=5)
    assert returns[0] < 0.4
    assert returns[-1] > 0.9


@pytest.mark.parametrize("env_id", sorted(textenvs.IDS))
def test_ppo_trains_everywhere_over_legal_actions(env_id: str) -> None:
    """An illegal one would be an error here."""
    args = torchrl_ppo.Args(
        env_id=env_id, total_timesteps=64, num_envs=4, num_steps=16, epochs=1, minibatches=2
    )
    torchrl_ppo.train(args, illegal_action="raise", size=50)
