"""Behaviour cloning: learn to act as the environment's expert does, or as recorded episodes show.

Pomerleau 1991, "Efficient Training of Artificial Neural Networks for Autonomous Navigation". Over
the states and actions of the demonstrations, with the policy a softmax over the legal actions:

    L(theta) = - E[ w log pi_theta(a | s) ]

with w = 1, or by the episode's return as in reward-weighted regression (Peters & Schaal 2007,
"Reinforcement Learning by Reward-Weighted Regression for Operational Space Control").

Each example's expert episode is played once and kept; one forward pass an episode gives the
probabilities of all its actions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from gymnasium.vector import AutoresetMode
from torch import Tensor

from agents.advantages import side_by_side
from agents.agent import LanguageAgent
from agents.batching import Batch, Places, minibatches
from agents.descent import Minibatch, Numbers
from agents.episodes import Episode, total_steps
from agents.errors import AgentError
from agents.imitation import cloning_loss, play_expert
from agents.offline import load_recorded
from agents.returns import Floats
from agents.settings import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class BCConfig(TrainingConfig):
    """Settings of behaviour cloning."""

    num_envs: int = 64
    """Slots of the vector environment in which the expert plays."""
    episodes: int = 2000
    """Examples whose expert episodes are learnt from (at most those that the split has)."""
    recorded: str | None = None
    """A file of recorded episodes to learn from, all of them, instead of the expert's; or
    minari:ID, a data set of Minari."""
    min_return: float | None = None
    """Leave out episodes with a lower return; None for none."""
    return_temperature: float | None = None
    """Weigh episodes by exp(return / temperature), scaled to a mean of 1; None for equally."""
    epochs: int = 4
    """Passes over the episodes."""
    minibatch_tokens: int = 1024
    """Padded tokens of a minibatch, prompts included."""
    learning_rate: float = 1.5e-3
    """Of AdamW, at its highest."""
    weight_decay: float = 0.01
    """Of AdamW."""
    max_grad_norm: float = 1.0
    """The gradient is scaled down to this norm."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        self.expect_at_least_one("episodes", "epochs")
        if self.return_temperature is not None:
            self.expect_above_zero("return_temperature")


class BehaviourCloning(LanguageAgent):
    """Supervised learning from demonstrations; see the module and `LanguageAgent`'s arguments.

    A timestep is one demonstrated action learnt from, again in every epoch.
    """

    config: BCConfig
    config_type: ClassVar[type[BCConfig]] = BCConfig
    autoreset = AutoresetMode.DISABLED
    shown: ClassVar[Mapping[str, str]] = {
        "cloning/loss": ".3f",
        "cloning/sure": ".1%",
        "time/steps_per_s": ",.0f",
    }
    _demonstrations: list[Episode] | None = None

    def default_timesteps(self) -> int:
        """The configured number of epochs."""
        epochs: int = self.config.epochs
        return epochs * total_steps(self.demonstrations())

    def demonstrations(self) -> list[Episode]:
        """The recorded episodes, or the expert's on examples of the split, played once and kept.

        Raises:
            RecordingError: the recorded episodes are missing, damaged, or of another environment.
            AgentError: no episode has the return that is asked for.
        """
        if self._demonstrations is None:
            config = self.config
            if config.recorded is not None:
                episodes = load_recorded(config.recorded, self.contract)
            else:
                episodes = play_expert(self.env, self.contract, config.episodes, self.seeds.envs)
            if config.min_return is not None:
                highest = max(episode.episode_return for episode in episodes)
                episodes = [e for e in episodes if e.episode_return >= config.min_return]
                if not episodes:
                    raise AgentError(
                        f"no episode has a return of {config.min_return} or more (min_return): "
                        f"the highest is {highest:.3f}"
                    )
            self._demonstrations = episodes
            self._weights = step_weights(episodes, config.return_temperature)
        return self._demonstrations

    def iterate(self) -> Numbers:
        """One pass over the episodes; see `LanguageAgent.iterate`."""
        episodes = self.demonstrations()
        _, rng, _ = self._streams()
        losses: list[tuple[int, Numbers]] = []
        for group in minibatches(episodes, self.config.minibatch_tokens, rng):
            minibatch = Minibatch(episodes, group, self._loss)
            steps = total_steps(minibatch.chosen)
            self._schedule(steps)
            numbers = self.descent.accumulate(minibatch)
            self.descent.step(minibatch)
            self.num_timesteps += steps
            losses.append((steps, numbers))
        count = sum(steps for steps, _ in losses)
        return {
            name: sum(steps * numbers[name] for steps, numbers in losses) / count
            for name in losses[0][1]
        }

    def _loss(self, batch: Batch, places: Places) -> tuple[Tensor, Numbers]:
        """The module's equation; `sure` is the share of the actions above probability 0.5."""
        losses_N = cloning_loss(self.model, batch)
        loss = (side_by_side(self._weights, places, self.device) * losses_N).mean()
        sure = (losses_N.detach() < np.log(2.0)).float().mean()
        return loss, {"cloning/loss": float(loss.detach()), "cloning/sure": float(sure)}


def step_weights(episodes: list[Episode], temperature: float | None) -> list[Floats]:
    """Weights w of the steps, one array an episode; their mean over all steps is 1."""
    if temperature is None:
        return [np.ones(episode.steps) for episode in episodes]
    returns_E = np.array([episode.episode_return for episode in episodes])
    weights_E = np.exp((returns_E - returns_E.max()) / temperature)
    mean = np.average(weights_E, weights=[episode.steps for episode in episodes])
    return [
        np.full(episode.steps, weight / mean)
        for episode, weight in zip(episodes, weights_E, strict=True)
    ]
