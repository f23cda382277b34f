"""Advantage actor-critic of a language model, on whole episodes.

Mnih et al. 2016, "Asynchronous Methods for Deep Reinforcement Learning", section 4, synchronous:

    L(theta) = E[ - A log pi_theta(a | s) + c_v (R - V)^2 / 2 - c_e H ],
    A = R - V,  R = r_t + ... + gamma^(n-1) r_(t+n-1) + gamma^n V(s_t+n),

with R over n steps, or A by generalised advantage estimation. An episode's states are the prefixes
of one sequence: one forward pass gives log pi, V and H of all of them. Each episode is learnt from
once; see `reinforce` on how exactly on-policy that is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from agents.advantages import (
    by_episode,
    explained_variance,
    steps_of,
)
from agents.descent import Numbers
from agents.episodes import Episode, total_steps
from agents.policy_gradient import PolicyGradientAgent
from agents.returns import Floats, generalised_advantages, n_step_returns, normalised
from agents.settings import PolicyConfig


@dataclass(frozen=True, kw_only=True)
class A2CConfig(PolicyConfig):
    """Settings of A2C."""

    steps: int = 1024
    """Actions to collect, in whole episodes, before each update."""
    learning_rate: float = 3e-4
    """Of AdamW, at its highest."""
    n_step: int | None = None
    """Rewards that a return sums before the value takes over; None for generalised advantages."""
    lam: float = 0.95
    """Of the generalised advantages: 0 for one-step, 1 for Monte Carlo."""
    value_coefficient: float = 0.5
    """Weight of the value loss."""
    entropy_coefficient: float = 0.01
    """Weight of the entropy bonus."""
    normalise_advantages: bool = True
    """Scale the advantages of an update to mean 0 and deviation 1."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        self.expect_between(0, 1, "lam")
        if self.n_step is not None:
            self.expect_at_least_one("n_step")


class A2C(PolicyGradientAgent):
    """Advantage actor-critic; see the module and `LanguageAgent` for the arguments."""

    config: A2CConfig
    config_type: ClassVar[type[A2CConfig]] = A2CConfig

    def update(self, episodes: Sequence[Episode], rng: np.random.Generator) -> Numbers:
        """Improve the policy and the values on some episodes once; numbers to log."""
        config = self.config
        self._schedule(total_steps(episodes))
        advantages, returns = advantages_and_returns(episodes, config)

        numbers = self.follow(
            episodes, advantages, returns, config.value_coefficient, config.entropy_coefficient, rng
        )
        return numbers | {"value/explained_variance": explained_variance(episodes, returns)}


def advantages_and_returns(
    episodes: Sequence[Episode], config: A2CConfig
) -> tuple[list[Floats], list[Floats]]:
    """A (normalised over all steps, if so configured) and R, one array an episode each."""
    steps = steps_of(episodes)
    if config.n_step is None:
        advantages_ET = generalised_advantages(*steps, gamma=config.gamma, lam=config.lam)
        returns_ET = advantages_ET + steps.values_ET
    else:
        returns_ET = n_step_returns(*steps, gamma=config.gamma, n=config.n_step)
        advantages_ET = returns_ET - steps.values_ET
    flat = np.concatenate(by_episode(advantages_ET, steps.lengths_E))
    if config.normalise_advantages:
        flat = normalised(flat)
    ends = np.cumsum(steps.lengths_E)[:-1]
    return np.split(flat, ends), by_episode(returns_ET, steps.lengths_E)
