"""Behaviour cloning: learn to act as the environment's expert does.

Pomerleau 1991, "Efficient Training of Artificial Neural Networks for Autonomous Navigation". Over
the states and actions of expert episodes, with the policy a softmax over the legal actions:

    L(theta) = - E[ log pi_theta(a_expert | s) ]

Each example's expert episode is played once and kept; one forward pass an episode gives the
probabilities of all its actions.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from gymnasium.vector import AutoresetMode

from agents.agent import Callback, LanguageAgent
from agents.batching import evaluate, make_batch, minibatches
from agents.environment import attribute, reference_actions
from agents.episodes import Episode, total_steps
from agents.errors import AgentError
from agents.rollout import play_examples
from agents.run_log import RunLog


@dataclass(frozen=True, kw_only=True)
class BCConfig:
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
    """Of AdamW, at the start."""
    linear_schedule: bool = True
    """Let the learning rate fall to 0 over the run."""
    weight_decay: float = 0.01
    """Of AdamW."""
    max_grad_norm: float = 1.0
    """The gradient is scaled down to this norm."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("num_envs", "episodes", "epochs", "minibatch_tokens"):
            if getattr(self, name) < 1:
                raise AgentError(f"{name} is {getattr(self, name)}; expected at least 1")
        if self.learning_rate <= 0:
            raise AgentError("learning_rate must be above 0")


class BehaviourCloning(LanguageAgent):
    """Supervised learning from the expert; see the module and `LanguageAgent` for the arguments.

    A timestep is one expert action learnt from, again in every epoch.
    """

    config: BCConfig
    config_type = BCConfig
    autoreset = AutoresetMode.DISABLED
    _episodes: list[Episode] | None = None

    def learn(
        self,
        total_timesteps: int | None = None,
        progress_bar: bool = True,
        callback: Callback | None = None,
        run_dir: str | Path | None = None,
    ) -> BehaviourCloning:
        """Train on the expert's episodes.

        Args:
            total_timesteps: learn from this many more actions, in whole epochs; None for the
                configured number of epochs, or to go on with an interrupted training.
            progress_bar: a bar on a terminal; elsewhere a line now and then.
            callback: called with the agent after each epoch; False ends the training.
            run_dir: for metrics.jsonl, TensorBoard events and the checkpoint.

        Raises:
            TrainingDiverged: the loss or a gradient is not finite.
        """
        episodes = self.expert_episodes()
        if total_timesteps is None and self.num_timesteps >= self.leg_end:
            total_timesteps = self.config.epochs * total_steps(episodes)
        self._begin_leg(total_timesteps)
        folder = None if run_dir is None else Path(run_dir)
        leg = (self.leg_start, self.leg_end)
        with RunLog(
            "BehaviourCloning", leg, self.num_timesteps, folder, progress_bar, SHOWN
        ) as log:
            while self.num_timesteps < self.leg_end:
                began, before = time.perf_counter(), self.num_timesteps
                numbers = self._epoch(episodes, folder)
                steps = self.num_timesteps - before
                numbers["time/tokens_per_s"] = steps / (time.perf_counter() - began)
                self.iteration += 1
                log.record(self.num_timesteps, numbers)
                stop = callback is not None and callback(self) is False
                if folder is not None:
                    self.save(folder / "checkpoint")
                if stop:
                    break
        return self

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

    def _epoch(self, episodes: Sequence[Episode], run_dir: Path | None) -> dict[str, float]:
        """One pass over the episodes; its mean loss and the share of actions got right."""
        _, rng, _ = self._streams()
        losses, hits, count = 0.0, 0, 0
        for group in minibatches(episodes, self.config.minibatch_tokens, rng):
            rate = self._schedule()
            chosen = [episodes[i] for i in group]
            batch = make_batch(chosen, self.contract.n_actions, self.device)
            log_probs_N = evaluate(self.model, batch).log_probs
            loss = -log_probs_N.mean()
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            norm = torch.nn.utils.clip_grad_norm_(
                self.model.parameters(), self.config.max_grad_norm
            )
            if not torch.isfinite(loss + norm):
                arrays = {f"tokens_{i}": episode.tokens_L for i, episode in enumerate(chosen)}
                arrays |= {f"actions_{i}": episode.actions_T for i, episode in enumerate(chosen)}
                raise self._diverged("the loss or its gradient", run_dir, arrays)
            self.optimizer.step()
            self.num_timesteps += len(log_probs_N)
            losses += float(-log_probs_N.detach().sum())
            hits += int((log_probs_N.detach() > np.log(0.5)).sum())
            count += len(log_probs_N)
        return {
            "cloning/loss": losses / count,
            "cloning/sure": hits / count,
            "cloning/learning_rate": rate,
        }


SHOWN = {"cloning/loss": ".3f", "cloning/sure": ".1%", "time/tokens_per_s": ",.0f"}
"""The numbers on the progress line; `sure` is the share of expert actions above probability 0.5."""
