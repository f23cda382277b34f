"""Proximal policy optimisation of a language model, on whole episodes.

Schulman et al. 2017, "Proximal Policy Optimization Algorithms", equations 7 and 9:

    L(theta) = E[ min(r A, clip(r, 1 - eps, 1 + eps) A) - c_v (V - R)^2 / 2 + c_e H ],
    r = pi_theta(a | s) / pi_old(a | s),

with A by generalised advantage estimation. An episode's states are the prefixes of one sequence:
one forward pass gives r, V and H of all of them.

To stay near the policy that training began with, rho, the distance can be a part of each action's
reward, R(s, a) - beta log(pi_old(a | s) / rho(a | s)) (Ziegler et al. 2019, "Fine-Tuning Language
Models from Human Preferences", equation 2), or of the loss, + beta KL(pi_theta || rho), exact over
the legal actions. beta is fixed, or follows a target (`adapted_coefficient`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from agents.advantages import by_episode, explained_variance, steps_of
from agents.batching import Batch, Evaluation, Places, evaluate, evaluate_with_policy, minibatches
from agents.descent import Minibatch, Numbers, mean_numbers
from agents.episodes import Episode, total_steps
from agents.errors import AgentError
from agents.policy_gradient import PolicyGradientAgent
from agents.reference import ReferencePolicy, adapted_coefficient, kl_divergence
from agents.returns import Floats, generalised_advantages, normalised
from agents.schedules import Schedule, scheduled
from agents.settings import PolicyConfig


@dataclass(frozen=True, kw_only=True)
class PPOConfig(PolicyConfig):
    """Settings of PPO."""

    epochs: int = 2
    """Passes over the collected episodes in an update."""
    lam: float = 0.95
    """Of the advantages: 0 for one-step, 1 for Monte Carlo."""
    clip: float = 0.2
    """How far the probability ratio may move from 1 before its gradient is cut."""
    clip_schedule: Schedule = "constant"
    """How `clip` falls over the training: constant, linear (to 0), cosine (to 0)."""
    value_clip: float | None = None
    """How far a value may move from its estimate at acting; None for no limit."""
    value_coefficient: float = 0.5
    """Weight of the value loss."""
    entropy_coefficient: float = 0.01
    """Weight of the entropy bonus."""
    entropy_schedule: Schedule = "constant"
    """How it falls over the training: constant, linear (to 0), cosine (to 0)."""
    normalise_advantages: bool = True
    """Scale the advantages of an update to mean 0 and deviation 1."""
    target_kl: float | None = 0.03
    """End an update when the policy has moved 1.5 times as far as this; None for never."""
    kl_penalty: Literal["none", "reward", "loss"] = "none"
    """Whether the distance to the policy that training began with lowers the rewards, or is a part
    of the loss (which costs another forward pass a minibatch)."""
    kl_coefficient: float = 0.1
    """Weight of that distance, in rewards per nat; what it begins with where it is adapted."""
    kl_target: float | None = None
    """Adapt the weight until the distance is so many nats an action; None for a fixed weight."""
    kl_horizon: int = 20_000
    """Actions over which the weight changes by a fifth while the distance is far off its target."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        self.expect_at_least_one("epochs", "kl_horizon")
        self.expect_between(0, 1, "lam")
        self.expect_above_zero("clip")
        self.expect_between(0, float("inf"), "kl_coefficient")
        for name in ("value_clip", "target_kl", "kl_target"):
            if getattr(self, name) is not None:
                self.expect_above_zero(name)
        if self.kl_target is not None and not self.kl_coefficient:
            raise AgentError("kl_coefficient is 0, and no target changes that: begin above 0")


class Targets(NamedTuple):
    """What an update needs of each state, (N,), in the order of the batch."""

    old_log_probs: Tensor
    old_values: Tensor
    advantages: Tensor
    returns: Tensor


class PPO(PolicyGradientAgent):
    """Proximal policy optimisation; see the module and `LanguageAgent` for the arguments."""

    config: PPOConfig
    config_type: ClassVar[type[PPOConfig]] = PPOConfig

    _reference: ReferencePolicy | None = None
    _kl_coefficient: float | None = None

    def update(self, episodes: Sequence[Episode], rng: np.random.Generator) -> Numbers:
        """Improve the policy and the values on some episodes; numbers to log."""
        self._schedule(total_steps(episodes))
        config = self._current_config()
        if config.kl_penalty != "none" and self._reference is None:
            self._reference = ReferencePolicy(self.model)
        distance, rewarded = 0.0, episodes
        if config.kl_penalty == "reward":
            distance, rewarded = self._penalised(episodes, config)
        advantages, returns = advantages_and_returns(rewarded, config)

        def loss_of(batch: Batch, places: Places) -> tuple[Tensor, Numbers]:
            targets = make_targets(
                [episodes[place] for place in places],
                [advantages[place] for place in places],
                [returns[place] for place in places],
                self.device,
            )
            if config.kl_penalty != "loss":
                return ppo_loss(evaluate(self.model, batch), targets, config)
            assert self._reference is not None
            new, log_probs_NA = evaluate_with_policy(self.model, batch)
            loss, numbers = ppo_loss(new, targets, config)
            kl = kl_divergence(log_probs_NA, self._reference.log_probs(batch)).mean()
            numbers["kl/reference"] = float(kl.detach())
            return loss + config.kl_coefficient * kl, numbers

        losses: list[Numbers] = []
        epoch, stop, kl = 0, False, 0.0
        while epoch < config.epochs and not stop:
            kl_sum, states = 0.0, 0
            for group in minibatches(episodes, config.minibatch_tokens, rng):
                minibatch = Minibatch(episodes, group, loss_of)
                numbers = self.descent.accumulate(minibatch)
                losses.append(numbers)
                steps = total_steps(minibatch.chosen)
                kl_sum += numbers["policy/kl"] * steps
                states += steps
                kl = kl_sum / states  # of the epoch so far: one minibatch's is mostly noise
                stop = config.target_kl is not None and kl > 1.5 * config.target_kl
                if stop:
                    break
                numbers["optimizer/gradient_norm"] = self.descent.step(minibatch)
            epoch += 1
        means = mean_numbers(losses)
        if config.kl_penalty != "none":
            means = {"kl/reference": distance, "kl/coefficient": config.kl_coefficient, **means}
            self._adapt(means["kl/reference"], total_steps(episodes), config)
        return {
            **means,
            "policy/kl": kl,
            "value/explained_variance": explained_variance(episodes, returns),
            "policy/epochs": epoch,
        }

    def _current_config(self) -> PPOConfig:
        """The settings with what changes over the training as it is now."""
        config, done = self.config, self._done()
        beta = config.kl_coefficient if self._kl_coefficient is None else self._kl_coefficient
        return dataclasses.replace(
            config,
            clip=scheduled(config.clip_schedule, config.clip, 0.0, done),
            entropy_coefficient=scheduled(
                config.entropy_schedule, config.entropy_coefficient, 0.0, done
            ),
            kl_coefficient=beta,
        )

    def _penalised(
        self, episodes: Sequence[Episode], config: PPOConfig
    ) -> tuple[float, list[Episode]]:
        """The mean distance to the reference, and the episodes with it in their rewards."""
        assert self._reference is not None
        tokens = config.microbatch_tokens or config.minibatch_tokens
        references = self._reference.of_actions(episodes, self.contract.n_actions, tokens)
        distances = [e.log_probs_T - own for e, own in zip(episodes, references, strict=True)]
        penalised = [
            dataclasses.replace(e, rewards_T=e.rewards_T - config.kl_coefficient * distance_T)
            for e, distance_T in zip(episodes, distances, strict=True)
        ]
        return float(np.concatenate(distances).mean()), penalised

    def _adapt(self, kl: float, actions: int, config: PPOConfig) -> None:
        """Move the weight of the KL penalty, where it has a target."""
        if config.kl_target is not None:
            beta, horizon = config.kl_coefficient, config.kl_horizon
            self._kl_coefficient = adapted_coefficient(beta, kl, config.kl_target, actions, horizon)

    def progress_facts(self) -> dict[str, Any]:
        """The weight of the KL penalty, and whether the reference is the adapter switched off."""
        if self._reference is None:
            return {}
        return {
            "kl_coefficient": self._kl_coefficient,
            "adapter_off": self._reference.adapter_off,
        }

    def progress_tensors(self) -> dict[str, Tensor]:
        """The reference's own weights."""
        return {} if self._reference is None else self._reference.weights

    def restore_progress(self, facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Set the reference and the weight of the KL penalty; see `LanguageAgent`."""
        if self.config.kl_penalty == "none" or not facts:
            super().restore_progress(facts, tensors)
            return
        self._reference = ReferencePolicy(self.model, tensors, bool(facts["adapter_off"]))
        beta = facts["kl_coefficient"]
        self._kl_coefficient = None if beta is None else float(beta)


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
    steps = steps_of(episodes)
    advantages_ET = generalised_advantages(*steps, gamma=config.gamma, lam=config.lam)
    returns = by_episode(advantages_ET + steps.values_ET, steps.lengths_E)
    advantages = by_episode(advantages_ET, steps.lengths_E)
    if config.normalise_advantages:
        flat = normalised(np.concatenate(advantages))
        advantages = np.split(flat, np.cumsum(steps.lengths_E)[:-1])
    return advantages, returns


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
