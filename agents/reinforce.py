"""REINFORCE with a language model, on whole episodes.

Williams 1992, "Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement
Learning"; with a baseline, Sutton & Barto 2018, section 13.4:

    grad J(theta) = E[ sum over t of (G_t - b) grad log pi_theta(a_t | s_t) ],
    G_t = r_t + gamma r_(t+1) + ...

With a discount below 1, a step's factor gamma^t is left out, as is usual. An episode's states are
the prefixes of one sequence: one forward pass gives all log pi. Each episode is learnt from once,
as the gradient holds only for the policy that drew it. Two things are a little older than the
weights: the beginnings of episodes that went on through the last update (`checkpoint_every=1` lets
none do so), and what a second minibatch of the same update is learnt from (a `minibatch_tokens`
above the tokens of an update makes it one step, and `microbatch_tokens` then bounds the memory).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from agents.advantages import (
    explained_variance,
    monte_carlo_returns,
)
from agents.descent import Numbers
from agents.episodes import Episode, total_steps
from agents.policy_gradient import PolicyGradientAgent
from agents.returns import Floats, normalised
from agents.settings import PolicyConfig

Baseline = Literal["value", "mean", "none"]


@dataclass(frozen=True, kw_only=True)
class REINFORCEConfig(PolicyConfig):
    """Settings of REINFORCE."""

    steps: int = 1024
    """Actions to collect, in whole episodes, before each update."""
    learning_rate: float = 3e-4
    """Of AdamW, at its highest."""
    baseline: Baseline = "value"
    """What is subtracted from the returns: value, the model's estimate of the state; mean, the
    mean return of the update's other episodes from the same step on; none."""
    value_coefficient: float = 0.5
    """Weight of the value loss, with baseline value."""
    entropy_coefficient: float = 0.01
    """Weight of the entropy bonus."""
    normalise_returns: bool = True
    """Scale the returns less the baseline, over an update, to mean 0 and deviation 1."""


class REINFORCE(PolicyGradientAgent):
    """REINFORCE; see the module and `LanguageAgent` for the arguments."""

    config: REINFORCEConfig
    config_type: ClassVar[type[REINFORCEConfig]] = REINFORCEConfig

    def as_learnt_from(self, episodes: Sequence[Episode]) -> Sequence[Episode]:
        """Shift new values, if they are the baseline; see `PolicyGradientAgent.as_learnt_from`."""
        return super().as_learnt_from(episodes) if self.config.baseline == "value" else episodes

    def update(self, episodes: Sequence[Episode], rng: np.random.Generator) -> Numbers:
        """Follow the policy gradient of some episodes once; numbers to log."""
        config = self.config
        self._schedule(total_steps(episodes))
        advantages, returns = advantages_and_returns(episodes, config)
        value_coefficient = config.value_coefficient if config.baseline == "value" else 0.0

        numbers = self.follow(
            episodes, advantages, returns, value_coefficient, config.entropy_coefficient, rng
        )
        if config.baseline == "value":
            numbers["value/explained_variance"] = explained_variance(episodes, returns)
        return numbers


def advantages_and_returns(
    episodes: Sequence[Episode], config: REINFORCEConfig
) -> tuple[list[Floats], list[Floats]]:
    """G - b (normalised over all steps, if so configured) and G, one array an episode each."""
    returns = monte_carlo_returns(episodes, config.gamma)
    flat = np.concatenate(returns) - np.concatenate(baselines(episodes, returns, config.baseline))
    if config.normalise_returns:
        flat = normalised(flat)
    return np.split(flat, np.cumsum([len(each) for each in returns])[:-1]), returns


def baselines(
    episodes: Sequence[Episode], returns: Sequence[Floats], baseline: Baseline
) -> list[Floats]:
    """Baselines b of the steps, one array an episode; none depends on its step's action.

    Mean is that of Kool et al. 2019, "Buy 4 REINFORCE Samples, Get a Baseline for Free!", over
    the other episodes' returns from the same step on; where none is so long, from their last.
    """
    if baseline == "value":
        return [episode.values_T.astype(np.float64) for episode in episodes]
    if baseline == "none":
        return [np.zeros_like(each) for each in returns]
    sums_T, counts_T = np.zeros((2, max(map(len, returns))))
    for each in returns:
        sums_T[: len(each)] += each
        counts_T[: len(each)] += 1
    return [mean_of_others(each, sums_T, counts_T) for each in returns]


def mean_of_others(returns_T: Floats, sums_T: Floats, counts_T: Floats) -> Floats:
    """The mean at each step of an episode over all episodes but this one; 0 without others.

    Args:
        returns_T: of the episode.
        sums_T: of all episodes at each step, this one among them.
        counts_T: how many of them have the step.
    """
    others_T = counts_T[: len(returns_T)] - 1
    means_T = (sums_T[: len(returns_T)] - returns_T) / np.maximum(others_T, 1)
    reached = int((others_T > 0).sum())
    if reached:
        means_T[reached:] = means_T[reached - 1]
    return means_T
