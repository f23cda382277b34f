"""On-policy Monte-Carlo control with a language model, on whole episodes.

Sutton & Barto 2018, section 5.4: the policy is epsilon-greedy in Q (or explores otherwise, see
`agents.exploration`), and Q is drawn to the return that followed:

    L(theta) = E[ H(Q_theta(s_t, a_t) - G_t) ],  G_t = r_t + gamma r_(t+1) + ...,

H Huber's loss. An episode's states are the prefixes of one sequence: one forward pass gives Q of
all of them. Behind a truncated episode G holds the value of the best action in its final state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor

from agents.advantages import monte_carlo_returns, side_by_side
from agents.batching import Batch, Places
from agents.descent import Numbers
from agents.episodes import Episode
from agents.value_fitting import FittedValueAgent, FittedValueConfig


@dataclass(frozen=True, kw_only=True)
class EpsilonGreedyConfig(FittedValueConfig):
    """Settings of EpsilonGreedy."""


class EpsilonGreedy(FittedValueAgent):
    """Monte-Carlo control; see the module and `LanguageAgent` for the arguments."""

    config: EpsilonGreedyConfig
    config_type: ClassVar[type[EpsilonGreedyConfig]] = EpsilonGreedyConfig

    def update(self, episodes: Sequence[Episode], rng: np.random.Generator) -> Numbers:
        """Draw the action values to the episodes' returns; numbers to log."""
        returns = monte_carlo_returns(episodes, self.config.gamma)

        def targets_of(values_NA: Tensor, batch: Batch, places: Places) -> Tensor:
            return side_by_side(returns, places, self.device)

        return self.fit(episodes, targets_of, rng)
