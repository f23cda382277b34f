"""Proximal policy optimisation of a language model, on whole episodes.

Schulman et al. 2017, "Proximal Policy Optimization Algorithms", equations 7 and 9:

    L(theta) = E[ min(r A, clip(r, 1 - eps, 1 + eps) A) - c_v (V - R)^2 / 2 + c_e H ],
    r = pi_theta(a | s) / pi_old(a | s),

with A by generalised advantage estimation. An episode's states are the prefixes of one sequence:
one forward pass gives r, V and H of all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from agents.agent import Numbers, Places
from agents.batching import Batch, Evaluation, evaluate, minibatches
from agents.episodes import Episode
from agents.returns import Floats, generalised_advantages, normalised, step_mask
from agents.rollout_agent import RolloutAgent
from agents.settings import RolloutConfig


@dataclass(frozen=True, kw_only=True)
class PPOConfig(RolloutConfig):
    """Settings of PPO."""

    epochs: int = 2
    """Passes over the collected episodes in an update."""
    lam: float = 0.95
    """Of the advantages: 0 for one-step, 1 for Monte Carlo."""
    clip: float = 0.2
    """How far the probability ratio may move from 1 before its gradient is cut."""
    value_clip: float | None = None
    """How far a value may move from its estimate at acting; None for no limit."""
    value_coefficient: float = 0.5
    """Weight of the value loss."""
    entropy_coefficient: float = 0.01
    """Weight of the entropy bonus."""
    normalise_advantages: bool = True
    """Scale the advantages of an update to mean 0 and deviation 1."""
    target_kl: float | None = 0.03
    """End an update when the policy has moved 1.5 times as far as this; None for never."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        self.expect_at_least_one("epochs")
        self.expect_between(0, 1, "lam")
        self.expect_above_zero("clip")


class Targets(NamedTuple):
    """What an update needs of each state, (N,), in the order of the batch."""

    old_log_probs: Tensor
    old_values: Tensor
    advantages: Tensor
    returns: Tensor


class PPO(RolloutAgent):
    """Proximal policy optimisation; see the module and `LanguageAgent` for the arguments."""

    config: PPOConfig
    config_type: ClassVar[type[PPOConfig]] = PPOConfig

    def update(
        self, episodes: Sequence[Episode], rng: np.random.Generator, run_dir: Path | None = None
    ) -> Numbers:
        """Improve the policy and the values on some episodes; numbers to log."""
        config = self.config
        rate = self._schedule()
        advantages, returns = advantages_and_returns(episodes, config)

        def loss_of(batch: Batch, places: Places) -> tuple[Tensor, Numbers]:
            targets = make_targets(
                [episodes[place] for place in places],
                [advantages[place] for place in places],
                [returns[place] for place in places],
                self.device,
            )
            return ppo_loss(evaluate(self.model, batch), targets, config)

        losses: list[Numbers] = []
        epoch, stop, kl = 0, False, 0.0
        while epoch < config.epochs and not stop:
            kl_sum, states = 0.0, 0
            for group in minibatches(episodes, config.minibatch_tokens, rng):
                numbers = self._accumulate(episodes, group, loss_of, run_dir)
                losses.append(numbers)
                steps = sum(episodes[place].steps for place in group)
                kl_sum += numbers["policy/kl"] * steps
                states += steps
                kl = kl_sum / states  # of the epoch so far: one minibatch's is mostly noise
                stop = config.target_kl is not None and kl > 1.5 * config.target_kl
                if stop:
                    break
                numbers["policy/gradient_norm"] = self._step(episodes, group, run_dir)
            epoch += 1
        return {
            **{key: float(np.mean([n[key] for n in losses if key in n])) for key in losses[0]},
            "policy/kl": kl,
            "value/explained_variance": explained_variance(episodes, returns),
            "policy/epochs": epoch,
            "policy/learning_rate": rate,
        }


def ppo_loss(
    new: Evaluation, targets: Targets, config: PPOConfig
) -> tuple[Tensor, dict[str, float]]:
    """The loss to minimise (see the module's equation), and its parts to log."""
    log_ratios_N = new.log_probs - targets.old_log_probs
    ratios_N = log_ratios_N.exp()
    clipped_N = ratios_N.clamp(1 - config.clip, 1 + config.clip)
    policy_loss = -torch.minimum(
        ratios_N * targets.advantages, clipped_N * targets.advantages
    ).mean()

    errors_N = (new.values - targets.returns).square()
    if config.value_clip is not None:
        moved_N = (new.values - targets.old_values).clamp(-config.value_clip, config.value_clip)
        clipped_errors_N = (targets.old_values + moved_N - targets.returns).square()
        errors_N = torch.maximum(errors_N, clipped_errors_N)
    value_loss = 0.5 * errors_N.mean()

    entropy = new.entropies.mean()
    loss = (
        policy_loss + config.value_coefficient * value_loss - config.entropy_coefficient * entropy
    )
    with torch.no_grad():
        # Schulman 2020, "Approximating KL divergence": unbiased, and never negative.
        kl = (ratios_N - 1 - log_ratios_N).mean()
        clip_fraction = ((ratios_N - 1).abs() > config.clip).float().mean()
    return loss, {
        "policy/loss": float(policy_loss.detach()),
        "policy/kl": float(kl),
        "policy/entropy": float(entropy.detach()),
        "policy/clip_fraction": float(clip_fraction),
        "value/loss": float(value_loss.detach()),
    }


def advantages_and_returns(
    episodes: Sequence[Episode], config: PPOConfig
) -> tuple[list[Floats], list[Floats]]:
    """Advantages (normalised over all steps, if so configured) and value targets A + V.

    One array an episode.
    """
    lengths_E = np.array([episode.steps for episode in episodes])
    inside_ET = step_mask(lengths_E, int(lengths_E.max()))
    rewards_ET, values_ET = np.zeros(inside_ET.shape), np.zeros(inside_ET.shape)
    rewards_ET[inside_ET] = np.concatenate([episode.rewards_T for episode in episodes])
    values_ET[inside_ET] = np.concatenate([episode.values_T for episode in episodes])
    advantages_ET = generalised_advantages(
        rewards_ET,
        values_ET,
        lengths_E,
        np.array([episode.bootstrap for episode in episodes]),
        gamma=config.gamma,
        lam=config.lam,
    )
    flat, ends = advantages_ET[inside_ET], np.cumsum(lengths_E)[:-1]
    returns = flat + values_ET[inside_ET]
    if config.normalise_advantages:
        flat = normalised(flat)
    return np.split(flat, ends), np.split(returns, ends)


def make_targets(
    episodes: Sequence[Episode],
    advantages: Sequence[Floats],
    returns: Sequence[Floats],
    device: torch.device,
) -> Targets:
    """The states' targets side by side, in the order of `make_batch`."""
    columns = (
        [episode.log_probs_T for episode in episodes],
        [episode.values_T for episode in episodes],
        advantages,
        returns,
    )
    return Targets(
        *(torch.from_numpy(np.concatenate(c).astype(np.float32)).to(device) for c in columns)
    )


def explained_variance(episodes: Sequence[Episode], returns: Sequence[Floats]) -> float:
    """How much of the returns' variance the values at acting explain: 1 for all, 0 for none."""
    target, value = np.concatenate(returns), np.concatenate([e.values_T for e in episodes])
    variance = float(target.var())
    return 1.0 - float((target - value).var()) / variance if variance > 0 else 0.0
