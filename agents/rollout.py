"""Playing: whole episodes of an agent, and given examples of any chooser of actions.

Shapes: S slots, L tokens of an observation, A actions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from gymnasium.vector import VectorEnv

from agents.acting import Actor, Observations
from agents.environment import (
    Contract,
    Ints,
    Mask,
    attribute,
    legal_actions,
    prefix_lengths,
    start_examples,
)
from agents.episodes import (
    Cut,
    Episode,
    StepLog,
    final_metrics,
    final_text,
    make_episode,
    pack,
    total_steps,
)
from agents.models.prefix_cache import Upcoming
from agents.processes import Processes


class Collector:
    """Collects whole episodes from a SAME_STEP vector environment.

    Episodes that are running when enough steps are collected carry on in the next collection, so
    that no step is wasted and no collection prefers short episodes. The weights may have changed
    by then: the cache drops itself, and each step keeps the log-probability that it was taken
    with, which is the one that importance ratios need. `finish=True` lets the running episodes end
    instead, and leaves nothing to carry on (before a checkpoint, so that a resumed run can repeat
    exactly what follows).

    Args:
        env: a vector environment with autoreset mode SAME_STEP.
        contract: its constants.
        actor: who acts.
        processes: who plays the run's other slots.

    Attributes:
        observations_SL: what the next actions are chosen on.
        fresh: whether nothing was begun yet.
    """

    def __init__(
        self,
        env: VectorEnv[Any, Any, Any],
        contract: Contract,
        actor: Actor,
        processes: Processes | None = None,
    ) -> None:
        """Nothing is played before `restart`."""
        self.env = env
        self.processes = processes or Processes()
        self.contract = contract
        self.actor = actor
        self._log = StepLog(env.num_envs)
        self.observations_SL: Observations = np.zeros((env.num_envs, 1), np.int64)
        self._legal_SA: Mask | None = None
        self._upcoming: Upcoming | None = attribute(env, "upcoming_prompt", None)
        self.fresh = True

    def restart(self, seed: int) -> None:
        """Begin a new episode in every slot."""
        self.fresh = False
        self.observations_SL, info = self.env.reset(seed=seed)
        self._legal_SA = legal_actions(info)
        self._log.restart()
        self.actor.cache.forget()

    def collect(
        self, min_steps: int, generator: torch.Generator, finish: bool = False
    ) -> list[Episode]:
        """Play until the episodes that ended have `min_steps` steps in all.

        Several processes play until theirs have so many together, and each gets them all.

        Args:
            min_steps: at least this many.
            generator: of the sampled actions.
            finish: go on until the episodes then running have ended too; those begun meanwhile are
                left out.
        """
        episodes: list[Episode] = []
        ended_E: list[int] = []
        steps = time = 0
        while steps < min_steps:
            finished = [episode for _, episode in self._step(generator, self._upcoming)]
            episodes += finished
            ended_E += [time] * len(finished)
            steps += self.processes.total(total_steps(finished))
            time += 1
        running_S = self._log.running_S & finish
        while running_S.any():
            for slot, episode in self._step(generator):
                if running_S[slot]:
                    episodes.append(episode)
                    ended_E.append(time)
                    running_S[slot] = False
            time += 1
        self._log.forget_finished()
        return self.processes.gather_episodes(episodes, ended_E)

    def _step(
        self, generator: torch.Generator, upcoming: Upcoming | None = None
    ) -> list[tuple[int, Episode]]:
        lengths_S = prefix_lengths(self.observations_SL, self.contract.pad_token_id)
        decision = self.actor.act(
            self.observations_SL, lengths_S, self._legal_SA, generator, upcoming
        )
        actions_S = decision.actions.cpu().numpy()
        self.observations_SL, rewards_S, terminated_S, truncated_S, info = self.env.step(actions_S)
        legal = {} if self._legal_SA is None else {"legal": pack(self._legal_SA)}
        self._log.append(
            positions=lengths_S - 1,
            actions=actions_S,
            rewards=np.asarray(rewards_S, np.float64),
            log_probs=decision.log_probs.cpu().numpy(),
            values=decision.values.cpu().numpy(),
            **legal,
        )
        self._legal_SA = legal_actions(info)
        finished = []
        ended_S = terminated_S | truncated_S
        self.actor.cache.end(ended_S)
        for slot in map(int, np.flatnonzero(ended_S)):
            final_L = info["final_obs"][slot]
            fields, metrics = self._log.cut(slot), final_metrics(info, slot)
            cut, bootstrap = None, 0.0
            if not terminated_S[slot]:
                legal_SA = legal_actions(info.get("final_info", {}))
                cut = cut_at(final_L, slot, legal_SA, self.contract)
                prompt = int(fields["positions"][0]) + 1
                legal_1A = None if legal_SA is None else legal_SA[slot : slot + 1]
                decision = self.actor.decide(final_L, len(cut.tokens_L), prompt, legal_1A)
                bootstrap = float(decision.values)
            finished.append((slot, make_episode(fields, final_L, bootstrap, metrics, cut)))
        return finished


def cut_at(
    observation_L: Observations, slot: int, legal_SA: Mask | None, contract: Contract
) -> Cut:
    """The state in which a slot's episode was truncated."""
    length = int(prefix_lengths(observation_L[None], contract.pad_token_id)[0])
    legal_A8 = None if legal_SA is None else pack(legal_SA[slot])
    return Cut(observation_L[:length].astype(np.int32), legal_A8)


class Choose(NamedTuple):
    """What a chooser of actions sees: all slots' observations, masks, and which just started."""

    observations_SL: Observations
    legal_SA: Mask | None
    started_S: Mask


class Played(NamedTuple):
    """The end of one example's episode: its steps (without log-probabilities) and its text."""

    episode: Episode
    text: str


def play_examples(
    env: VectorEnv[Any, Any, Any],
    contract: Contract,
    examples: Ints,
    choose: Callable[[Choose], npt.NDArray[np.integer]],
    seed: int = 0,
) -> list[Played]:
    """Play each given example once, in the slots of a vector env with autoreset mode DISABLED.

    Args:
        env: the environment.
        contract: its constants.
        examples: indices into the split.
        choose: picks an action for every slot.
        seed: of what the task draws at random.

    Returns:
        One entry an example, in the order of `examples`.
    """
    slots = env.num_envs
    played: dict[int, Played] = {}
    env.reset(seed=seed)
    # A slot without an example left replays the first one; what it does is not recorded.
    places_S = np.arange(slots)
    following = slots
    log = StepLog(slots)
    started_S = np.ones(slots, np.bool_)
    observations_SL, info = start_examples(
        env, np.arange(slots), examples[np.where(places_S < len(examples), places_S, 0)]
    )
    legal_SA = legal_actions(info)
    while len(played) < len(examples):
        lengths_S = prefix_lengths(observations_SL, contract.pad_token_id)
        actions_S = choose(Choose(observations_SL, legal_SA, started_S))
        observations_SL, rewards_S, terminated_S, truncated_S, info = env.step(actions_S)
        legal = {} if legal_SA is None else {"legal": pack(legal_SA)}
        log.append(
            positions=lengths_S - 1,
            actions=np.asarray(actions_S, np.int64),
            rewards=np.asarray(rewards_S, np.float64),
            **legal,
        )
        legal_SA = legal_actions(info)
        started_S = terminated_S | truncated_S
        ended = np.flatnonzero(started_S)
        for slot in map(int, ended):
            fields = log.cut(slot)
            if places_S[slot] < len(examples):
                metrics, final_L = final_metrics(info, slot), observations_SL[slot]
                cut = None
                if not terminated_S[slot]:
                    cut = cut_at(final_L, slot, legal_SA, contract)
                episode = make_episode(fields, final_L, 0.0, metrics, cut)
                played[int(places_S[slot])] = Played(episode, final_text(info, slot))
        if ended.size and len(played) < len(examples):
            places_S[ended] = following + np.arange(ended.size)
            following += ended.size
            restarted = examples[np.where(places_S[ended] < len(examples), places_S[ended], 0)]
            observations_SL, new_info = start_examples(env, ended, restarted)
            new_legal_SA = legal_actions(new_info)
            if new_legal_SA is not None:
                if legal_SA is None:
                    legal_SA = np.ones_like(new_legal_SA)
                legal_SA[ended] = new_legal_SA[ended]
        log.forget_finished()
    return [played[place] for place in range(len(examples))]
