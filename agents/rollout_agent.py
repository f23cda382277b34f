"""What algorithms that learn from their own episodes share: an iteration plays, then learns."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from gymnasium.vector import VectorEnv

from agents.acting import Actor
from agents.agent import AnyEnv, LanguageAgent
from agents.descent import NotFinite, Numbers
from agents.environment import attribute, make_env
from agents.episodes import Episode, arrays_of, mean_metrics, total_steps
from agents.errors import AgentError
from agents.imitation import Imitation, demonstrations
from agents.rollout import Collector
from agents.settings import RolloutConfig


class RolloutAgent(LanguageAgent):
    """An agent that collects whole episodes and then updates its model on them.

    With an `imitation_weight`, every minibatch of them is accompanied by one of demonstrations.
    """

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
    _imitation: Imitation | None = None

    @abstractmethod
    def update(self, episodes: Sequence[Episode], rng: np.random.Generator) -> Numbers:
        """Improve the model on some episodes; numbers to log."""

    def _begin_leg(self, total_timesteps: int | None) -> None:
        """Set out; whoever played the environment since, episodes begin anew."""
        super()._begin_leg(total_timesteps)
        self._collector = None

    def iterate(self) -> Numbers:
        """Collect, then update; see `LanguageAgent.iterate`."""
        began = time.perf_counter()
        generator, rng, env_seed = self._streams()
        if self._collector is None:
            self._collector = self.new_collector()
        if self._collector.fresh or self.at_rest():
            self._collector.restart(env_seed + self._own_slots().start)
        finish = self._rests_after(self.iteration + 1)
        try:
            episodes = self._collector.collect(self.config.steps, generator, finish=finish)
        except FloatingPointError as error:
            arrays = {"observations": self._collector.observations_SL}
            raise NotFinite("the policy", arrays) from error
        if not np.isfinite(sum(episode.episode_return + episode.bootstrap for episode in episodes)):
            raise NotFinite("a reward", arrays_of(episodes))
        acted = time.perf_counter()
        if self.config.imitation_weight:
            if self._imitation is None:
                self._imitation = self._new_imitation()
            shown = self._imitation.minibatches(self.config.minibatch_tokens, rng.spawn(1)[0])
            self.descent.beside = shown.__next__
        numbers = self.update(self.as_learnt_from(episodes), rng)
        steps = total_steps(episodes)
        self.num_timesteps += steps
        rate = steps / (acted - began)
        return self._rollout_numbers(episodes) | numbers | {"time/act_steps_per_s": rate}

    def as_learnt_from(self, episodes: Sequence[Episode]) -> Sequence[Episode]:
        """The episodes just played as `update` is to see them."""
        return episodes

    def _new_imitation(self) -> Imitation:
        """The demonstrations and how they are imitated, as the config says."""
        config = self.config
        episodes = demonstrations(
            self.env_id,
            self.env_kwargs,
            self.contract,
            config.imitation_episodes,
            config.imitation_recorded,
            self.seeds.envs,
        )
        by_values = self.heads(self.contract).q != "none"
        return Imitation(episodes, self.model, by_values, config.imitation_weight)

    def new_collector(self) -> Collector:
        """What plays the training environment as this agent does."""
        actor = Actor(self.model, self._rule, self.env.num_envs)
        return Collector(self.env, self.contract, actor, self.processes)

    def _own_slots(self) -> range:
        """The slots that this process plays of the run's."""
        return self.processes.slots(self.config.num_envs)

    def _make_env(self, env: AnyEnv) -> VectorEnv[Any, Any, Any]:
        if self.processes.count > 1 and not isinstance(env, str):
            raise AgentError(
                "several processes each make their part of the slots: give the environment's id"
            )
        return make_env(env, len(self._own_slots()), self.autoreset, **self.env_kwargs)

    def at_rest(self) -> bool:
        """Whether no episode is running that the next iteration goes on with."""
        return self._rests_after(self.iteration)

    def _rests_after(self, iteration: int) -> bool:
        """Whether all episodes end with this one, counted from 1.

        The first update may shift new values, which running episodes would have as they were.
        """
        return iteration <= 1 or iteration % self.config.checkpoint_every == 0

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
