"""A2C: its advantages against slow loops, and that it learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import one_skill  # noqa: F401  registers its id
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import AgentError, evaluate
from agents.a2c import A2C, A2CConfig, advantages_and_returns
from agents.agent import LanguageAgent
from agents.episodes import Episode
from agents.state import weights

EASY = {"answers": 2, "noise": 2, "words": 5}
TASK = {"answers": 2, "noise": 3, "words": 10, "examples": 400}
QUICK = A2CConfig(steps=64, num_envs=4, minibatch_tokens=256, checkpoint_every=2)


def random_episodes(seed: int) -> list[Episode]:
    rng = np.random.default_rng(seed)
    episodes = []
    for steps in rng.integers(1, 7, size=4):
        episodes.append(
            Episode(
                tokens_L=np.arange(steps + 2, dtype=np.int32),
                positions_T=np.arange(2, steps + 2, dtype=np.int32),
                actions_T=np.zeros(steps, np.int32),
                rewards_T=rng.normal(size=steps),
                log_probs_T=np.zeros(steps, np.float32),
                values_T=rng.normal(size=steps).astype(np.float32),
                legal_TA8=None,
                bootstrap=float(rng.normal() * rng.integers(2)),
                metrics={},
            )
        )
    return episodes


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), n=st.integers(1, 8), gamma=st.floats(0, 1))
def test_advantages_over_n_steps_are_returns_less_values(seed: int, n: int, gamma: float) -> None:
    episodes = random_episodes(seed)
    config = A2CConfig(n_step=n, gamma=gamma, normalise_advantages=False)
    advantages, returns = advantages_and_returns(episodes, config)
    for episode, advantages_T, returns_T in zip(episodes, advantages, returns, strict=True):
        worth = [*episode.values_T.astype(float), episode.bootstrap]
        for t in range(episode.steps):
            end = min(t + n, episode.steps)
            expected = gamma ** (end - t) * worth[end]
            for k in range(t, end):
                expected += gamma ** (k - t) * episode.rewards_T[k]
            assert returns_T[t] == pytest.approx(expected, abs=1e-9)
            assert advantages_T[t] == pytest.approx(expected - worth[t], abs=1e-9)


@pytest.mark.parametrize(("n", "lam"), [(1, 0.0), (100, 1.0)])
def test_one_step_and_monte_carlo_are_the_ends_of_both_estimators(n: int, lam: float) -> None:
    episodes = random_episodes(3)
    options = {"gamma": 0.9, "normalise_advantages": False}
    by_steps = advantages_and_returns(episodes, A2CConfig(n_step=n, **options))
    by_lambda = advantages_and_returns(episodes, A2CConfig(lam=lam, **options))
    for one, other in zip(by_steps, by_lambda, strict=True):
        np.testing.assert_allclose(np.concatenate(one), np.concatenate(other), atol=1e-12)


def test_normalised_advantages_leave_the_returns_as_they_are() -> None:
    episodes = random_episodes(4)
    advantages, returns = advantages_and_returns(episodes, A2CConfig())
    _, plain = advantages_and_returns(episodes, A2CConfig(normalise_advantages=False))
    flat = np.concatenate(advantages)
    np.testing.assert_allclose([flat.mean(), flat.std()], [0, 1], atol=1e-6)
    np.testing.assert_array_equal(np.concatenate(returns), np.concatenate(plain))


@pytest.mark.parametrize("n_step", [None, 2])
def test_it_learns_from_scratch(n_step: int | None) -> None:
    config = A2CConfig(steps=64, minibatch_tokens=512, learning_rate=2e-3, n_step=n_step)
    agent = A2C("OneSkill-v0", config, env_kwargs=EASY)
    start = evaluate(agent, "OneSkill-v0", **EASY).score
    agent.learn(4000, progress_bar=False)
    assert start.high < 0.8
    assert evaluate(agent, "OneSkill-v0", **EASY).score.low > 0.95


def same_weights(one: LanguageAgent, other: LanguageAgent) -> bool:
    theirs = weights(other.model)
    return all(torch.equal(tensor, theirs[name]) for name, tensor in weights(one.model).items())


class Interrupted(Exception):
    pass


def test_a_resumed_run_is_the_uninterrupted_one(tmp_path: Path) -> None:
    def agent() -> A2C:
        return A2C("OneSkill-v0", QUICK, seed=1, env_kwargs=TASK)

    def interrupt(agent: A2C) -> None:
        if agent.iteration == 3:
            raise Interrupted

    whole, again = (agent().learn(400, progress_bar=False) for _ in range(2))
    assert same_weights(whole, again)
    with pytest.raises(Interrupted):
        agent().learn(400, progress_bar=False, callback=interrupt, run_dir=tmp_path)
    resumed = A2C.load(tmp_path / "checkpoint").learn(progress_bar=False)
    assert resumed.num_timesteps == whole.num_timesteps
    assert same_weights(resumed, whole)


@pytest.mark.parametrize("options", [{"n_step": 0}, {"lam": 1.5}, {"lam": -0.1}])
def test_impossible_settings_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(AgentError, match="expected"):
        A2CConfig(**options)
