"""What algorithms that learn from their own episodes share: an iteration plays, then learns."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from agents.acting import Actor
from agents.agent import LanguageAgent, Numbers
from agents.environment import attribute
from agents.episodes import Episode, arrays_of, mean_metrics, total_steps
from agents.rollout import Collector
from agents.settings import RolloutConfig


class RolloutAgent(LanguageAgent):
    """An agent that collects whole episodes and then updates its model on them."""

    config: Any
    config_type: ClassVar[type[RolloutConfig]]
    shown: ClassVar[Mapping[str, str]] = {
        "rollout/reward": ".3f",
        "rollout/score": ".3f",
        "policy/kl": ".4f",
        "policy/entropy": ".3f",
        "value/explained_variance": ".2f",
        "time/steps_per_s": ",.0f",
    }
    _collector: Collector | None = None

    @abstractmethod
    def update(
        self, episodes: Sequence[Episode], rng: np.random.Generator, run_dir: Path | None = None
    ) -> Numbers:
        """Improve the model on some episodes; numbers to log."""

    def _begin_leg(self, total_timesteps: int | None) -> None:
        """Set out; whoever played the environment since, episodes begin anew."""
        super()._begin_leg(total_timesteps)
        self._collector = None

    def iterate(self, run_dir: Path | None) -> Numbers:
        """Collect, then update; see `LanguageAgent.iterate`."""
        began = time.perf_counter()
        generator, rng, env_seed = self._streams()
        if self._collector is None:
            self._collector = self.new_collector()
        if self._collector.fresh or self.at_rest():
            self._collector.restart(env_seed)
        finish = (self.iteration + 1) % self.config.checkpoint_every == 0
        try:
            episodes = self._collector.collect(self.config.steps, generator, finish=finish)
        except FloatingPointError as error:
            arrays = {"observations": self._collector.observations_SL}
            raise self._diverged("the policy", run_dir, arrays) from error
        if not np.isfinite(sum(episode.episode_return + episode.bootstrap for episode in episodes)):
            raise self._diverged("a reward", run_dir, arrays_of(episodes))
        acted = time.perf_counter()
        numbers = self.update(episodes, rng, run_dir)
        steps = total_steps(episodes)
        self.num_timesteps += steps
        rate = steps / (acted - began)
        return self._rollout_numbers(episodes) | numbers | {"time/act_steps_per_s": rate}

    def new_collector(self) -> Collector:
        """What plays the training environment as this agent does."""
        actor = Actor(self.model, self._rule, self.env.num_envs)
        return Collector(self.env, self.contract, actor)

    def at_rest(self) -> bool:
        """Whether no episode is running that the next iteration goes on with."""
        return bool(self.iteration % self.config.checkpoint_every == 0)

    def _rollout_numbers(self, episodes: Sequence[Episode]) -> Numbers:
        """What the episodes were worth."""
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
        }
