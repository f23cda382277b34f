"""SARSA with a language model, on whole episodes.

Sutton & Barto 2018, equation 6.7, as semi-gradient regression:

    L(theta) = E[ H(Q_theta(s_t, a_t) - y_t) ],  y_t = r_t + gamma Q_theta(s_(t+1), a_(t+1)),

H Huber's loss and y without gradient. Expected SARSA (van Seijen et al. 2009, "A Theoretical and
Empirical Analysis of Expected Sarsa", equation 5) puts the mean over the actions that exploration
may take in the place of the one that it took:

    y_t = r_t + gamma sum over a of pi(a | s_(t+1)) Q_theta(s_(t+1), a).

An episode's states are the prefixes of one sequence: the same forward pass gives Q of a state and
of the next one. Behind a truncated episode stands the value of the best action in its final state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor

from agents.action_values import (
    expected_values,
    one_step_targets,
)
from agents.batching import Batch, Places
from agents.descent import Numbers
from agents.episodes import Episode
from agents.errors import AgentError
from agents.models.distribution import take
from agents.value_fitting import FittedValueAgent, FittedValueConfig


@dataclass(frozen=True, kw_only=True)
class SARSAConfig(FittedValueConfig):
    """Settings of SARSA."""

    epochs: int = 4
    """Passes over the collected episodes in an update: in each, values move back by a step."""
    expected: bool = False
    """Expected SARSA: the mean over the next actions instead of the one that was taken."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        if self.expected and self.exploration == "ucb":
            raise AgentError(
                "expected SARSA needs the probabilities of actions, which under ucb change with "
                "every visit: choose another exploration, or expected=False"
            )


class SARSA(FittedValueAgent):
    """SARSA and expected SARSA; see the module and `LanguageAgent` for the arguments."""

    config: SARSAConfig
    config_type: ClassVar[type[SARSAConfig]] = SARSAConfig

    def update(self, episodes: Sequence[Episode], rng: np.random.Generator) -> Numbers:
        """Draw the action values to those one step later; numbers to log."""
        strategy = self.strategy()

        def targets_of(values_NA: Tensor, batch: Batch, places: Places) -> Tensor:
            if self.config.expected:
                values_N = expected_values(values_NA, strategy(values_NA))
            else:
                values_N = take(values_NA, batch.actions_N)
            chosen = [episodes[place] for place in places]
            return one_step_targets(values_N, batch, chosen, self.config.gamma)

        return self.fit(episodes, targets_of, rng)
