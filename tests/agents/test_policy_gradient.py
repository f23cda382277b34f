"""What the policy-gradient algorithms share."""

from __future__ import annotations

import numpy as np
import one_skill  # noqa: F401  registers its id
import pytest
import torch

from agents import A2C, PPO, REINFORCE
from agents.batching import evaluate, make_batch
from agents.policy_gradient import PolicyGradientAgent

TASK = {"answers": 2, "noise": 3, "words": 10, "examples": 400}


@pytest.mark.parametrize("algorithm", [PPO, A2C, REINFORCE])
def test_values_begin_at_the_mean_return(algorithm: type[PolicyGradientAgent]) -> None:
    """As the model gives them from then on, and as the first update has them."""
    agent = algorithm("OneSkill-v0", algorithm.config_type(num_envs=4), env_kwargs=TASK)
    collector = agent.new_collector()
    collector.restart(0)
    played = collector.collect(100, torch.Generator().manual_seed(0))
    mean = np.mean(np.concatenate([e.rewards_T[::-1].cumsum()[::-1] for e in played]))
    assert mean > 0
    for episode, given in zip(played, agent.as_learnt_from(played), strict=True):
        np.testing.assert_allclose(given.values_T, mean, rtol=1e-5)
        assert given.rewards_T is episode.rewards_T
    batch = make_batch(played, agent.contract.n_actions, agent.device)
    with torch.inference_mode():
        values_N = evaluate(agent.model, batch).values
    np.testing.assert_allclose(values_N, mean, rtol=1e-5)
    agent.iteration = 1
    assert agent.as_learnt_from(played) is played
