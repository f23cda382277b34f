"""Proximal policy optimisation of a language model, on whole episodes.

Schulman et al. 2017, "Proximal Policy Optimization Algorithms", equations 7 and 9:

    L(theta) = E[ min(r A, clip(r, 1 - eps, 1 + eps) A) - c_v (V - R)^2 / 2 + c_e H ],
    r = pi_theta(a | s) / pi_old(a | s),

with A by generalised advantage estimation. An episode's states are the prefixes of one sequence:
one forward pass gives r, V and H of all of them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from torch import Tensor

from agents.agent import Callback, LanguageAgent
from agents.batching import Evaluation, evaluate, make_batch, minibatches
from agents.environment import attribute
from agents.episodes import Episode, mean_metrics, total_steps
from agents.errors import AgentError
from agents.returns import Floats, generalised_advantages, normalised, step_mask
from agents.rollout import Collector
from agents.run_log import RunLog


@dataclass(frozen=True, kw_only=True)
class PPOConfig:
    """Settings of PPO."""

    num_envs: int = 32
    """Slots of the vector environment."""
    steps: int = 2048
    """Actions to collect, in whole episodes, before each update."""
    epochs: int = 2
    """Passes over the collected episodes in an update."""
    minibatch_tokens: int = 2048
    """Padded tokens of a minibatch, prompts included."""
    learning_rate: float = 5e-4
    """Of AdamW, at the start."""
    linear_schedule: bool = True
    """Let the learning rate fall to 0 over the run."""
    weight_decay: float = 0.0
    """Of AdamW."""
    gamma: float = 1.0
    """Discount."""
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
    max_grad_norm: float = 0.5
    """The gradient is scaled down to this norm."""
    target_kl: float | None = 0.03
    """End an update when the policy has moved 1.5 times as far as this; None for never."""
    checkpoint_every: int = 10
    """Iterations between checkpoints; at each, running episodes end and new ones begin."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("num_envs", "steps", "epochs", "minibatch_tokens", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise AgentError(f"{name} is {getattr(self, name)}; expected at least 1")
        for name in ("gamma", "lam"):
            if not 0 <= getattr(self, name) <= 1:
                raise AgentError(f"{name} is {getattr(self, name)}; expected 0 to 1")
        if self.learning_rate <= 0 or self.clip <= 0:
            raise AgentError("learning_rate and clip must be above 0")


class Targets(NamedTuple):
    """What an update needs of each state, (N,), in the order of the batch."""

    old_log_probs: Tensor
    old_values: Tensor
    advantages: Tensor
    returns: Tensor


class PPO(LanguageAgent):
    """Proximal policy optimisation; see the module and `LanguageAgent` for the arguments."""

    config: PPOConfig
    config_type = PPOConfig
    autoreset = AutoresetMode.SAME_STEP

    def learn(
        self,
        total_timesteps: int | None = None,
        progress_bar: bool = True,
        callback: Callback | None = None,
        run_dir: str | Path | None = None,
    ) -> PPO:
        """Train for at least `total_timesteps` more actions, in whole iterations.

        Args:
            total_timesteps: None goes on with an interrupted training (of a loaded checkpoint)
                exactly as it would have gone.
            progress_bar: a bar on a terminal; elsewhere a line now and then.
            callback: called with the agent after each iteration; False ends the training.
            run_dir: for metrics.jsonl, TensorBoard events and the checkpoint.

        Raises:
            TrainingDiverged: a loss, gradient or reward is not finite.
        """
        self._begin_leg(total_timesteps)
        folder = None if run_dir is None else Path(run_dir)
        leg = (self.leg_start, self.leg_end)
        collector = Collector(self.env, self.contract, self.model)
        fresh = True
        with RunLog("PPO", leg, self.num_timesteps, folder, progress_bar, SHOWN) as log:
            while self.num_timesteps < self.leg_end:
                began = time.perf_counter()
                generator, rng, env_seed = self._streams()
                if fresh:
                    collector.restart(env_seed)
                fresh = (self.iteration + 1) % self.config.checkpoint_every == 0
                try:
                    episodes = collector.collect(self.config.steps, generator, finish=fresh)
                except FloatingPointError as error:
                    arrays = {"observations": collector.observations_SL}
                    raise self._diverged("the policy", folder, arrays) from error
                acted = time.perf_counter()
                numbers = self.update(episodes, rng, folder)
                steps = total_steps(episodes)
                self.num_timesteps += steps
                self.iteration += 1
                numbers |= {
                    "time/act_tokens_per_s": steps / (acted - began),
                    "time/tokens_per_s": steps / (time.perf_counter() - began),
                }
                log.record(self.num_timesteps, numbers)
                # The callback comes first: what it records is then there up to any checkpoint.
                stop = callback is not None and callback(self) is False
                if fresh and folder is not None:
                    self.save(folder / "checkpoint")
                if stop:
                    break
        return self

    def update(
        self, episodes: Sequence[Episode], rng: np.random.Generator, run_dir: Path | None = None
    ) -> dict[str, float]:
        """Improve the policy and the values on some episodes; numbers to log."""
        config = self.config
        if not np.isfinite(sum(episode.episode_return + episode.bootstrap for episode in episodes)):
            raise self._diverged("a reward", run_dir, arrays_of(episodes))
        rate = self._schedule()
        advantages, returns = advantages_and_returns(episodes, config)
        losses: list[dict[str, float]] = []
        epoch, stop, kl = 0, False, 0.0
        while epoch < config.epochs and not stop:
            kl_sum, states = 0.0, 0
            for group in minibatches(episodes, config.minibatch_tokens, rng):
                chosen = [episodes[i] for i in group]
                batch = make_batch(chosen, self.contract.n_actions, self.device)
                targets = make_targets(
                    chosen, [advantages[i] for i in group], [returns[i] for i in group], self.device
                )
                loss, numbers = ppo_loss(evaluate(self.model, batch), targets, config)
                if not torch.isfinite(loss):
                    raise self._diverged("the loss", run_dir, arrays_of(chosen))
                losses.append(numbers)
                kl_sum += numbers["policy/kl"] * len(batch.actions_N)
                states += len(batch.actions_N)
                kl = kl_sum / states  # of the epoch so far: one minibatch's is mostly noise
                stop = config.target_kl is not None and kl > 1.5 * config.target_kl
                if stop:
                    break
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), config.max_grad_norm)
                if not torch.isfinite(norm):
                    raise self._diverged("the gradient", run_dir, arrays_of(chosen))
                numbers["policy/gradient_norm"] = float(norm)
                self.optimizer.step()
            epoch += 1
        means = {key: float(np.mean([n[key] for n in losses if key in n])) for key in losses[0]}
        metrics = mean_metrics(episodes)
        score_name = str(attribute(self.env, "score_name", ""))
        score = {"rollout/score": metrics[score_name]} if score_name in metrics else {}
        return {
            **score,
            "rollout/reward": float(np.mean([e.episode_return for e in episodes])),
            "rollout/episode_steps": total_steps(episodes) / len(episodes),
            **{
                name if name.startswith("reward/") else f"score/{name}": value
                for name, value in metrics.items()
            },
            **means,
            "policy/kl": kl,
            "value/explained_variance": explained_variance(episodes, returns),
            "policy/epochs": epoch,
            "policy/learning_rate": rate,
        }


SHOWN = {
    "rollout/reward": ".3f",
    "rollout/score": ".3f",
    "policy/kl": ".4f",
    "policy/entropy": ".3f",
    "value/explained_variance": ".2f",
    "time/tokens_per_s": ",.0f",
}
"""The numbers on the progress line."""


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


def arrays_of(episodes: Sequence[Episode]) -> dict[str, np.ndarray]:
    """The episodes' arrays by name and number, for a file."""
    return {
        f"{field.rpartition('_')[0]}_{number}": getattr(episode, field)
        for number, episode in enumerate(episodes)
        for field in (
            "tokens_L",
            "positions_T",
            "actions_T",
            "rewards_T",
            "log_probs_T",
            "values_T",
        )
    }
