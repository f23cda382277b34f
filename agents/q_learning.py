"""Q-learning with a language model, on whole episodes.

Watkins & Dayan 1992, "Q-Learning", equation 1, as semi-gradient regression:

    L(theta) = E[ H(Q_theta(s_t, a_t) - y_t) ],
    y_t = r_t + gamma max over legal a of Q_theta(s_(t+1), a),

H Huber's loss and y without gradient. An episode's states are the prefixes of one sequence: the
same forward pass gives Q of a state and of the next one. Behind a truncated episode stands the
value of the best action in its final state. With `twins`, Q in y is the lower of the two heads'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor

from agents.action_values import one_step_targets
from agents.batching import Batch, Places
from agents.descent import Numbers
from agents.episodes import Episode
from agents.value_fitting import FittedValueAgent, FittedValueConfig


@dataclass(frozen=True, kw_only=True)
class QLearningConfig(FittedValueConfig):
    """Settings of QLearning."""

    epochs: int = 4
    """Passes over the collected episodes in an update: in each, values move back by a step."""


class QLearning(FittedValueAgent):
    """One-step Q-learning; see the module and `LanguageAgent` for the arguments."""

    config: QLearningConfig
    config_type: ClassVar[type[QLearningConfig]] = QLearningConfig

    def update(self, episodes: Sequence[Episode], rng: np.random.Generator) -> Numbers:
        """Draw the action values to the best ones a step later; numbers to log."""

        def targets_of(values_NA: Tensor, batch: Batch, places: Places) -> Tensor:
            chosen = [episodes[place] for place in places]
            return one_step_targets(values_NA.amax(dim=-1), batch, chosen, self.config.gamma)

        return self.fit(episodes, targets_of, rng)
