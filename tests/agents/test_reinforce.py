"""REINFORCE follows the gradient of its formula, and learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import one_skill  # noqa: F401  registers its id
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import AgentError, evaluate
from agents.agent import LanguageAgent
from agents.batching import Evaluation
from agents.episodes import Episode
from agents.policy_gradient import policy_gradient_loss
from agents.reinforce import REINFORCE, REINFORCEConfig, advantages_and_returns, baselines
from agents.state import weights

EASY = {"answers": 2, "noise": 2, "words": 5}
TASK = {"answers": 2, "noise": 3, "words": 10, "examples": 400}
QUICK = REINFORCEConfig(steps=64, num_envs=4, minibatch_tokens=256, checkpoint_every=2)


def episode(rewards: list[float], values: list[float], actions: list[int]) -> Episode:
    steps = len(rewards)
    return Episode(
        tokens_L=np.arange(steps + 2, dtype=np.int32),
        positions_T=np.arange(2, steps + 2, dtype=np.int32),
        actions_T=np.array(actions, np.int32),
        rewards_T=np.array(rewards),
        log_probs_T=np.zeros(steps, np.float32),
        values_T=np.array(values, np.float32),
        legal_TA8=None,
        bootstrap=0.0,
        metrics={},
    )


TWO = [episode([0.0, 1.0], [0.5, 0.25], [0, 2]), episode([2.0], [1.0], [1])]
"""Returns with discount 0.5: 0.5, 1; and 2."""


@pytest.mark.parametrize(
    ("baseline", "expected"),
    [
        ("none", [[0.5, 1.0], [2.0]]),
        ("value", [[0.0, 0.75], [1.0]]),
        ("mean", [[0.5 - 2.0, 1.0 - 2.0], [2.0 - 0.5]]),
    ],
)
def test_returns_less_the_baseline(baseline: str, expected: list[list[float]]) -> None:
    config = REINFORCEConfig(gamma=0.5, baseline=baseline, normalise_returns=False)
    advantages, returns = advantages_and_returns(TWO, config)
    assert [each.tolist() for each in returns] == [[0.5, 1.0], [2.0]]
    assert [each.tolist() for each in advantages] == expected


def test_normalised_returns_have_mean_0_and_deviation_1() -> None:
    advantages, _ = advantages_and_returns(TWO, REINFORCEConfig(gamma=0.5))
    flat = np.concatenate(advantages)
    np.testing.assert_allclose([flat.mean(), flat.std()], [0, 1], atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), count=st.integers(2, 6))
def test_the_mean_is_that_of_the_others(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    returns = [rng.normal(size=rng.integers(1, 6)) for _ in range(count)]
    for e, means_T in enumerate(baselines([], returns, "mean")):
        others = returns[:e] + returns[e + 1 :]
        expected = 0.0
        for t, mean in enumerate(means_T):
            at_t = [each[t] for each in others if len(each) > t]
            expected = float(np.mean(at_t)) if at_t else expected
            assert mean == pytest.approx(expected)


def test_the_mean_of_a_lone_episode_is_0() -> None:
    assert baselines(TWO[:1], [np.ones(2)], "mean")[0].tolist() == [0, 0]


def test_the_gradient_is_that_of_the_formula() -> None:
    """(G - b) grad log softmax, whose gradient is known in closed form, at three states."""
    logits_NA = torch.tensor(
        [[0.1, -0.4, 0.7], [1.2, 0.0, 0.3], [0.0, 0.2, -1.0]], requires_grad=True
    )
    log_probs_NA = torch.log_softmax(logits_NA, dim=-1)
    actions_N, advantages_N = torch.tensor([0, 2, 1]), torch.tensor([0.5, -1.0, 2.0])
    new = Evaluation(
        log_probs=log_probs_NA[torch.arange(3), actions_N],
        entropies=-(log_probs_NA.exp() * log_probs_NA).sum(-1),
        values=torch.zeros(3),
    )
    loss, numbers = policy_gradient_loss(new, advantages_N, torch.zeros(3), 0.0, 0.3)
    loss.backward()
    probs_NA = log_probs_NA.detach().exp()
    chosen_NA = torch.nn.functional.one_hot(actions_N, 3)
    policy_NA = -advantages_N[:, None] * (chosen_NA - probs_NA) / 3
    entropies_N1 = new.entropies.detach()[:, None]
    entropy_NA = -probs_NA * (probs_NA.log() + entropies_N1) / 3
    assert logits_NA.grad is not None
    torch.testing.assert_close(logits_NA.grad, policy_NA - 0.3 * entropy_NA)
    assert numbers["policy/entropy"] == pytest.approx(float(entropies_N1.mean()))
    assert "value/loss" not in numbers


def test_values_are_drawn_to_the_returns() -> None:
    values_N = torch.tensor([1.0, 3.0], requires_grad=True)
    new = Evaluation(torch.zeros(2), torch.zeros(2), values_N)
    loss, numbers = policy_gradient_loss(new, torch.zeros(2), torch.tensor([2.0, 5.0]), 0.5, 0.0)
    loss.backward()
    assert numbers["value/loss"] == 0.5 * (1 + 4) / 2
    assert values_N.grad is not None
    assert values_N.grad.tolist() == [0.5 * (1 - 2) / 2, 0.5 * (3 - 5) / 2]


@pytest.mark.parametrize("baseline", ["value", "mean", "none"])
def test_it_learns_from_scratch(baseline: str) -> None:
    config = REINFORCEConfig(steps=64, minibatch_tokens=512, learning_rate=2e-3, baseline=baseline)
    agent = REINFORCE("OneSkill-v0", config, env_kwargs=EASY)
    start = evaluate(agent, "OneSkill-v0", **EASY).score
    agent.learn(4000, progress_bar=False)
    assert start.high < 0.8
    assert evaluate(agent, "OneSkill-v0", **EASY).score.low > 0.95


def test_without_a_value_baseline_the_value_head_rests() -> None:
    config = REINFORCEConfig(steps=32, num_envs=2, baseline="mean")
    agent = REINFORCE("OneSkill-v0", config, env_kwargs=EASY).learn(32, progress_bar=False)
    assert all((weight == 0).all() for weight in agent.model.value_head[-1].parameters())


def same_weights(one: LanguageAgent, other: LanguageAgent) -> bool:
    theirs = weights(other.model)
    return all(torch.equal(tensor, theirs[name]) for name, tensor in weights(one.model).items())


class Interrupted(Exception):
    pass


def test_a_resumed_run_is_the_uninterrupted_one(tmp_path: Path) -> None:
    def agent() -> REINFORCE:
        return REINFORCE("OneSkill-v0", QUICK, seed=1, env_kwargs=TASK)

    def interrupt(agent: REINFORCE) -> None:
        if agent.iteration == 3:
            raise Interrupted

    whole, again = (agent().learn(400, progress_bar=False) for _ in range(2))
    assert same_weights(whole, again)
    with pytest.raises(Interrupted):
        agent().learn(400, progress_bar=False, callback=interrupt, run_dir=tmp_path)
    resumed = REINFORCE.load(tmp_path / "checkpoint").learn(progress_bar=False)
    assert resumed.num_timesteps == whole.num_timesteps
    assert same_weights(resumed, whole)


def test_one_step_an_update_is_the_sum_over_small_forward_passes() -> None:
    ends = []
    for microbatch in (None, 24):
        config = REINFORCEConfig(
            steps=64, num_envs=4, minibatch_tokens=10_000, microbatch_tokens=microbatch
        )
        agent = REINFORCE("OneSkill-v0", config, env_kwargs=TASK).learn(64, progress_bar=False)
        ends.append(weights(agent.model))
    for name, tensor in ends[0].items():
        torch.testing.assert_close(ends[1][name], tensor, atol=1e-5, rtol=1e-4)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(AgentError, match="baseline is 'median'; expected"):
        REINFORCEConfig(baseline="median")  # type: ignore[arg-type]
