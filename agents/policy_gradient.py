"""What the algorithms share that improve the policy itself: PPO, A2C, REINFORCE."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from agents.advantages import monte_carlo_returns, side_by_side
from agents.batching import Batch, Evaluation, Places, evaluate
from agents.descent import Numbers, mean_numbers
from agents.episodes import Episode
from agents.returns import Floats
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
            dataclasses.replace(
                episode,
                values_T=episode.values_T + np.float32(error),
                bootstrap=episode.bootstrap + error * (episode.cut is not None),
            )
            for episode in episodes
        ]

    def follow(
        self,
        episodes: Sequence[Episode],
        advantages: Sequence[Floats],
        returns: Sequence[Floats],
        value_coefficient: float,
        entropy_coefficient: float,
        rng: np.random.Generator,
    ) -> Numbers:
        """Pass over episodes once by `policy_gradient_loss`; numbers to log.

        Args:
            episodes: to learn from.
            advantages: of their steps, one array an episode.
            returns: what values are drawn to, likewise.
            value_coefficient: weight of the value loss; 0 where the values are not used.
            entropy_coefficient: weight of the entropy bonus.
            rng: of the order.
        """

        def loss_of(batch: Batch, places: Places) -> tuple[Tensor, Numbers]:
            return policy_gradient_loss(
                evaluate(self.model, batch),
                side_by_side(advantages, places, self.device),
                side_by_side(returns, places, self.device),
                value_coefficient,
                entropy_coefficient,
            )

        return mean_numbers(list(self.descent.once(episodes, loss_of, rng)))


def policy_gradient_loss(
    new: Evaluation,
    advantages_N: Tensor,
    returns_N: Tensor,
    value_coefficient: float,
    entropy_coefficient: float,
) -> tuple[Tensor, dict[str, float]]:
    """The loss whose gradient is the policy gradient, and its parts to log.

    Mean over states of - A log pi(a | s) + c_v (V - R)^2 / 2 - c_e H.

    Args:
        new: what the model makes of the states.
        advantages_N: A, constants.
        returns_N: R, what the values are drawn to.
        value_coefficient: c_v; 0 where the values are not used.
        entropy_coefficient: c_e.
    """
    policy_loss = -(advantages_N * new.log_probs).mean()
    entropy = new.entropies.mean()
    loss = policy_loss - entropy_coefficient * entropy
    numbers = {
        "policy/loss": float(policy_loss.detach()),
        "policy/entropy": float(entropy.detach()),
    }
    if value_coefficient:
        value_loss = 0.5 * (new.values - returns_N).square().mean()
        loss = loss + value_coefficient * value_loss
        numbers["value/loss"] = float(value_loss.detach())
    return loss, numbers
