"""Fitting action values to targets, for the algorithms that learn from what they just played.

Shapes: K heads, N states, A actions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from agents.action_values import ActionValueAgent, ActionValueConfig, legal_values, taken_values
from agents.batching import Batch, Places, read
from agents.descent import Numbers, mean_numbers
from agents.episodes import Episode, total_steps

TargetsOf = Callable[[Tensor, Batch, Places], Tensor]
"""Regression targets (N,) from the model's own action values (N, A), which hold -inf for illegal
actions and have no gradient, a batch, and the places of its episodes."""


@dataclass(frozen=True, kw_only=True)
class FittedValueConfig(ActionValueConfig):
    """Settings of the algorithms that fit action values to the episodes just played."""

    learning_rate: float = 2e-4
    """Of AdamW, at its highest; more upsets the order of actions that a clone begins with."""
    epochs: int = 2
    """Passes over the collected episodes in an update."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        self.expect_at_least_one("epochs")


class FittedValueAgent(ActionValueAgent):
    """An agent that fits action values to episodes; see `LanguageAgent` for the arguments."""

    config: FittedValueConfig
    config_type: ClassVar[type[FittedValueConfig]]

    def as_learnt_from(self, episodes: Sequence[Episode]) -> Sequence[Episode]:
        """Let new values begin at the returns, and what follows truncated episodes with them."""
        if self.iteration:
            return episodes
        self.begin_at_the_returns(episodes)
        return self.valued_anew(episodes)

    def fit(
        self,
        episodes: Sequence[Episode],
        targets_of: TargetsOf,
        rng: np.random.Generator,
    ) -> Numbers:
        """Draw the values of the actions taken towards targets; numbers to log.

        Args:
            episodes: passed over `epochs` times.
            targets_of: targets of some episodes' states, computed anew for every minibatch.
            rng: of the order.
        """
        self._schedule(total_steps(episodes))

        def loss_of(batch: Batch, places: Places) -> tuple[Tensor, Numbers]:
            values_KNA = self.model.q_values(read(self.model, batch), batch.legal_NA)
            with torch.no_grad():
                values_NA = legal_values(values_KNA, batch.legal_NA)
                targets_N = targets_of(values_NA, batch, places)
            return regression(values_KNA, batch.actions_N, targets_N, self.config.huber_delta)

        losses: list[Numbers] = []
        for _ in range(self.config.epochs):
            losses += self.descent.once(episodes, loss_of, rng)
        return mean_numbers(losses)


def regression(
    values_KNA: Tensor, actions_N: Tensor, targets_N: Tensor, huber_delta: float
) -> tuple[Tensor, Numbers]:
    """The mean Huber loss of the taken actions' values over states, summed over heads.

    Huber 1964, "Robust Estimation of a Location Parameter".
    """
    taken_KN = taken_values(values_KNA, actions_N)
    loss = len(values_KNA) * F.huber_loss(
        taken_KN, targets_N.expand_as(taken_KN), delta=huber_delta
    )
    return loss, {
        "q/loss": float(loss.detach()),
        "q/mean": float(taken_KN.detach().mean()),
        "q/target": float(targets_N.mean()),
    }
