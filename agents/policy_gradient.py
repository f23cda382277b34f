"""What the algorithms share that improve the policy itself: PPO, A2C, REINFORCE."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from agents.advantages import monte_carlo_returns
from agents.episodes import Episode
from agents.rollout_agent import RolloutAgent
from agents.settings import PolicyConfig


class PolicyGradientAgent(RolloutAgent):
    """An agent that follows a policy gradient; see `LanguageAgent` for the arguments."""

    config: PolicyConfig

    def as_learnt_from(self, episodes: Sequence[Episode]) -> Sequence[Episode]:
        """Shift new values, before the first update, so that they are right on average.

        Else the trunk, which has its own uses, would learn first of all what all returns share.
        """
        if self.iteration:
            return episodes
        returns = monte_carlo_returns(episodes, self.config.gamma)
        values = [episode.values_T for episode in episodes]
        error = float((np.concatenate(returns) - np.concatenate(values)).mean())
        self.model.value_head.shift(error)
        self.model.note_change()
        return [
            dataclasses.replace(episode, values_T=episode.values_T + np.float32(error))
            for episode in episodes
        ]
