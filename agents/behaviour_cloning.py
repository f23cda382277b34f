"""Behaviour cloning: learn to act as the environment's expert does.

Pomerleau 1991, "Efficient Training of Artificial Neural Networks for Autonomous Navigation". Over
the states and actions of expert episodes, with the policy a softmax over the legal actions:

    L(theta) = - E[ log pi_theta(a_expert | s) ]

Each example's expert episode is played once and kept; one forward pass an episode gives the
probabilities of all its actions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from gymnasium.vector import AutoresetMode
from torch import Tensor

from agents.agent import LanguageAgent, Numbers, Places
from agents.batching import Batch, evaluate, minibatches
from agents.environment import attribute, reference_actions
from agents.episodes import Episode, total_steps
from agents.rollout import play_examples
from agents.settings import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class BCConfig(TrainingConfig):
    """Settings of behaviour cloning."""

    num_envs: int = 64
    """Slots of the vector environment in which the expert plays."""
    episodes: int = 2000
    """Examples whose expert episodes are learnt from (at most those that the split has)."""
    epochs: int = 4
    """Passes over the expert's episodes."""
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


class BehaviourCloning(LanguageAgent):
    """Supervised learning from the expert; see the module and `LanguageAgent` for the arguments.

    A timestep is one expert action learnt from, again in every epoch.
    """

    config: BCConfig
    config_type: ClassVar[type[BCConfig]] = BCConfig
    autoreset = AutoresetMode.DISABLED
    shown: ClassVar[Mapping[str, str]] = {
        "cloning/loss": ".3f",
        "cloning/sure": ".1%",
        "time/steps_per_s": ",.0f",
    }
    _episodes: list[Episode] | None = None

    def default_timesteps(self) -> int:
        """The configured number of epochs."""
        epochs: int = self.config.epochs
        return epochs * total_steps(self.expert_episodes())

    def expert_episodes(self) -> list[Episode]:
        """The expert's episode on each chosen example of the split, played once and then kept."""
        if self._episodes is None:
            available = int(attribute(self.env, "num_examples"))
            rng = np.random.default_rng(self.seed)
            count = min(self.config.episodes, available)
            examples = rng.choice(available, size=count, replace=False).astype(np.int64)
            played = play_examples(
                self.env,
                self.contract,
                examples,
                lambda state: reference_actions(self.env, "expert"),
                seed=self.seed,
            )
            self._episodes = [each.episode for each in played]
        return self._episodes

    def iterate(self, run_dir: Path | None) -> Numbers:
        """One pass over the episodes; see `LanguageAgent.iterate`."""
        episodes = self.expert_episodes()
        _, rng, _ = self._streams()
        losses: list[tuple[int, Numbers]] = []
        for group in minibatches(episodes, self.config.minibatch_tokens, rng):
            rate = self._schedule()
            numbers = self._accumulate(episodes, group, self._loss, run_dir)
            self._step(episodes, group, run_dir)
            steps = total_steps([episodes[place] for place in group])
            self.num_timesteps += steps
            losses.append((steps, numbers))
        count = sum(steps for steps, _ in losses)
        means = {
            name: sum(steps * numbers[name] for steps, numbers in losses) / count
            for name in losses[0][1]
        }
        return {**means, "cloning/learning_rate": rate}

    def _loss(self, batch: Batch, places: Places) -> tuple[Tensor, Numbers]:
        """The module's equation; `sure` is the share of expert actions above probability 0.5."""
        del places
        log_probs_N = evaluate(self.model, batch).log_probs
        loss = -log_probs_N.mean()
        sure = (log_probs_N.detach() > np.log(0.5)).float().mean()
        return loss, {"cloning/loss": float(loss.detach()), "cloning/sure": float(sure)}
