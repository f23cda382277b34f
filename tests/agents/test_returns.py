"""Advantages against independent computations."""

from __future__ import annotations

import numpy as np
import torch
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3.common.buffers import RolloutBuffer

from agents.returns import generalised_advantages, n_step_returns, normalised


def random_episodes(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    lengths_E = rng.integers(1, 9, size=5)
    shape = (5, int(lengths_E.max()))
    return rng.normal(size=shape), rng.normal(size=shape), lengths_E, rng.normal(size=5)


def by_definition(
    rewards: np.ndarray, values: np.ndarray, bootstrap: float, gamma: float, lam: float
) -> list[float]:
    """The sum of equation 16, term by term."""
    following = [*values[1:], bootstrap]
    deltas = [r + gamma * n - v for r, n, v in zip(rewards, following, values, strict=True)]
    return [
        sum((gamma * lam) ** ahead * deltas[t + ahead] for ahead in range(len(deltas) - t))
        for t in range(len(deltas))
    ]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), gamma=st.floats(0, 1), lam=st.floats(0, 1))
def test_gae_is_its_definition(seed: int, gamma: float, lam: float) -> None:
    rewards_ET, values_ET, lengths_E, bootstrap_E = random_episodes(seed)
    advantages_ET = generalised_advantages(
        rewards_ET, values_ET, lengths_E, bootstrap_E, gamma=gamma, lam=lam
    )
    for e, length in enumerate(lengths_E):
        expected = by_definition(
            rewards_ET[e, :length], values_ET[e, :length], bootstrap_E[e], gamma, lam
        )
        np.testing.assert_allclose(advantages_ET[e, :length], expected, atol=1e-12)
        assert (advantages_ET[e, length:] == 0).all()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), gamma=st.floats(0, 1))
def test_gae_of_lambda_1_is_monte_carlo(seed: int, gamma: float) -> None:
    rewards_ET, values_ET, lengths_E, bootstrap_E = random_episodes(seed)
    advantages_ET = generalised_advantages(
        rewards_ET, values_ET, lengths_E, bootstrap_E, gamma=gamma, lam=1.0
    )
    for e, length in enumerate(lengths_E):
        returns_T = discounted(rewards_ET[e, :length], bootstrap_E[e], gamma)
        np.testing.assert_allclose(
            advantages_ET[e, :length], returns_T - values_ET[e, :length], atol=1e-12
        )


def discounted(rewards: np.ndarray, bootstrap: float, gamma: float) -> np.ndarray:
    """The discounted sum of the rewards from each step on."""
    returns = []
    for reward in rewards[::-1]:
        bootstrap = reward + gamma * bootstrap
        returns.append(bootstrap)
    return np.array(returns[::-1])


def test_gae_equals_stable_baselines3() -> None:
    rng = np.random.default_rng(3)
    space = spaces.Discrete(2)
    buffer = RolloutBuffer(7, space, space, gae_lambda=0.9, gamma=0.97)
    buffer.rewards[:, 0], buffer.values[:, 0] = rng.normal(size=(2, 7))
    buffer.episode_starts[0, 0] = 1
    buffer.compute_returns_and_advantage(torch.tensor([0.4]), np.array([False]))
    mine = generalised_advantages(
        buffer.rewards.T.astype(float),
        buffer.values.T.astype(float),
        np.array([7]),
        np.array([0.4]),
        gamma=0.97,
        lam=0.9,
    )
    np.testing.assert_allclose(mine[0], buffer.advantages[:, 0], atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), gamma=st.floats(0, 1), n=st.none() | st.integers(1, 10))
def test_n_step_returns_are_their_definition(seed: int, gamma: float, n: int | None) -> None:
    rewards_ET, values_ET, lengths_E, bootstrap_E = random_episodes(seed)
    returns_ET = n_step_returns(rewards_ET, values_ET, lengths_E, bootstrap_E, gamma=gamma, n=n)
    for e, length in enumerate(lengths_E):
        worth = [*values_ET[e, :length], bootstrap_E[e]]
        for t in range(length):
            end = length if n is None else min(t + n, length)
            expected = sum(gamma ** (k - t) * rewards_ET[e, k] for k in range(t, end))
            expected += gamma ** (end - t) * worth[end]
            np.testing.assert_allclose(returns_ET[e, t], expected, atol=1e-12)
        assert (returns_ET[e, length:] == 0).all()


def test_one_step_returns_are_those_of_stable_baselines3() -> None:
    rng = np.random.default_rng(4)
    space = spaces.Discrete(2)
    buffer = RolloutBuffer(6, space, space, gae_lambda=0.0, gamma=0.9)
    buffer.rewards[:, 0], buffer.values[:, 0] = rng.normal(size=(2, 6))
    buffer.compute_returns_and_advantage(torch.tensor([0.7]), np.array([False]))
    mine = n_step_returns(
        buffer.rewards.T.astype(float),
        buffer.values.T.astype(float),
        np.array([6]),
        np.array([0.7]),
        gamma=0.9,
        n=1,
    )
    np.testing.assert_allclose(mine[0], buffer.returns[:, 0], atol=1e-6)


def test_normalised_copes_with_equal_values() -> None:
    assert normalised(np.ones(4)).tolist() == [0, 0, 0, 0]
