"""What agents that learn action values share: acting on them, and targets from them.

Shapes: N states, S slots, A actions, K heads, L tokens of an observation.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from agents.acting import ActionRule, Actor, Observations
from agents.advantages import monte_carlo_returns, side_by_side
from agents.batching import Batch, Places, final_states, make_batch, microbatches, read
from agents.environment import Contract, Ints
from agents.episodes import Episode
from agents.errors import AgentError
from agents.exploration import ExplorationConfig, Strategy, VisitCounts, prefix_keys
from agents.models.distribution import invert, take
from agents.models.heads import QForm, States
from agents.models.model import AgentModel, Decision, Heads
from agents.rollout import Collector
from agents.rollout_agent import RolloutAgent


def legal_values(values_KNA: Tensor, legal_NA: Tensor | None) -> Tensor:
    """Action values to act by, (N, A): of twin heads the lower, -inf for illegal actions.

    Fujimoto et al. 2018, "Addressing Function Approximation Error in Actor-Critic Methods",
    equation 10.
    """
    values_NA = values_KNA.amin(dim=0)
    return values_NA if legal_NA is None else values_NA.masked_fill(~legal_NA, -torch.inf)


def taken_values(values_KNA: Tensor, actions_N: Tensor) -> Tensor:
    """The values that each head gives to the actions that were taken, (K, N)."""
    index_KN1 = actions_N.expand(len(values_KNA), -1).unsqueeze(-1)
    return values_KNA.gather(-1, index_KN1).squeeze(-1)


def expected_values(values_NA: Tensor, probabilities_NA: Tensor) -> Tensor:
    """The mean value of each state's actions, (N,); those of probability 0 may be -inf."""
    return (probabilities_NA * values_NA.masked_fill(probabilities_NA == 0, 0.0)).sum(dim=-1)


def next_values(values_N: Tensor, rows_N: Tensor, bootstrap_B: Tensor) -> Tensor:
    """For each state the value of the next one in its episode, (N,).

    Args:
        values_N: of the states, in episode order, then in time order.
        rows_N: the episode of each state.
        bootstrap_B: stands behind the last state of each episode.
    """
    last_N = torch.ones_like(rows_N, dtype=torch.bool)
    last_N[:-1] = rows_N[1:] != rows_N[:-1]
    return torch.where(last_N, bootstrap_B[rows_N], values_N.roll(-1))


def one_step_targets(
    values_N: Tensor, batch: Batch, episodes: Sequence[Episode], gamma: float
) -> Tensor:
    """r_t + gamma v(s_t+1) of every state, (N,).

    Args:
        values_N: v of every state; behind an episode stands its bootstrap.
        batch: the states.
        episodes: those of the batch.
        gamma: discount.
    """
    rewards_N = torch.from_numpy(np.concatenate([episode.rewards_T for episode in episodes]))
    bootstrap_B = torch.tensor([episode.bootstrap for episode in episodes])
    next_N = next_values(values_N, batch.rows_N, bootstrap_B.to(values_N))
    return rewards_N.to(values_N) + gamma * next_N


class ActionValueRule:
    """Explores by the model's action values; without a generator it takes the best legal action.

    A decision's value is that of the best legal action, and its log-probability that of the action
    under the exploration strategy.

    Args:
        model: whose action values.
        strategy: how to explore now.
    """

    def __init__(self, model: AgentModel, strategy: Callable[[], Strategy]) -> None:
        """Ask for the strategy anew in every call."""
        self.model = model
        self.strategy = strategy

    def __call__(
        self,
        states: States,
        legal_SA: Tensor | None,
        generator: torch.Generator | None,
        visits_SA: Tensor | None = None,
    ) -> Decision:
        """Choose an action in every slot; see `agents.acting.ActionRule` and `Strategy`."""
        values_SA = legal_values(self.model.q_values(states, legal_SA), legal_SA)
        best_S, actions_S = values_SA.max(dim=-1)
        if not best_S.isfinite().all():
            raise FloatingPointError("the action values are not finite")
        if generator is None:
            return Decision(actions_S, torch.zeros_like(best_S), best_S)
        probabilities_SA = self.strategy()(values_SA, visits_SA)
        actions_S = invert(probabilities_SA, generator)
        return Decision(actions_S, take(probabilities_SA, actions_S).log(), best_S)


class CountingActor(Actor):
    """An actor that counts its visits to prefixes, and tells its rule of them.

    Args:
        model: reads.
        rule: chooses.
        num_slots: slots of the vector environment.
        visits: the counts.
    """

    def __init__(
        self, model: AgentModel, rule: ActionValueRule, num_slots: int, visits: VisitCounts
    ) -> None:
        """Start with an empty cache."""
        super().__init__(model, rule, num_slots)
        self.counting_rule = rule
        self.visits = visits

    def choose(
        self,
        states: States,
        legal_SA: Tensor | None,
        generator: torch.Generator | None,
        prefixes: tuple[Observations, Ints],
    ) -> Decision:
        """Choose an action in every slot and count it; see `Actor.choose`."""
        keys_S = prefix_keys(*prefixes)
        visits_SA = self.visits.of(keys_S, len(self.model.action_tokens)).to(self.model.device)
        decision = self.counting_rule(states, legal_SA, generator, visits_SA)
        self.visits.add(keys_S, decision.actions.tolist())
        return decision


NARROWEST = 0.1
"""New action values are brought together by no more than this factor."""


@dataclass(frozen=True, kw_only=True)
class ActionValueConfig(ExplorationConfig):
    """Settings of the algorithms that learn action values."""

    q_head: QForm = "softmax"
    """How action values follow from the head's scores: as the state's value and a softmax of the
    scores, which fits where few actions are right (softmax); as the state's value and the actions'
    advantages (dueling); as they are (plain)."""
    twins: bool = False
    """Learn two heads of action values; targets and acting take the lower value."""
    huber_delta: float = 1.0
    """Errors count as their half square up to this, and linearly beyond it."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        self.expect_above_zero("huber_delta")


class ActionValueAgent(RolloutAgent):
    """An agent that acts by learnt action values; see `LanguageAgent` for the arguments."""

    config: Any
    config_type: ClassVar[type[ActionValueConfig]]
    shown: ClassVar[Mapping[str, str]] = {
        "rollout/reward": ".3f",
        "rollout/score": ".3f",
        "q/loss": ".4f",
        "q/mean": ".3f",
        "time/steps_per_s": ",.0f",
    }

    def heads(self, contract: Contract) -> Heads:
        """The usual policy head, from which those for action values begin."""
        return Heads(
            policy=super().heads(contract).policy,
            q=self.config.q_head,
            twins=self.config.twins,
        )

    def make_rule(self) -> ActionRule:
        """Explore as the config says at this point of the training."""
        self._visits = VisitCounts(self.config.ucb_prefixes)
        self._value_rule = ActionValueRule(self.model, self.strategy)
        return self._value_rule

    def strategy(self) -> Strategy:
        """How to explore at this point of the training; before it, as at its start."""
        strategy: Strategy = self.config.strategy(self._done())
        return strategy

    def new_collector(self) -> Collector:
        """What plays the training environment; it counts visits where the strategy needs them."""
        if self.config.exploration != "ucb":
            return super().new_collector()
        if self.processes.count > 1:
            raise AgentError("exploration 'ucb' counts visits in one process: train in one")
        actor = CountingActor(self.model, self._value_rule, self.env.num_envs, self._visits)
        return Collector(self.env, self.contract, actor, self.processes)

    def progress_tensors(self) -> dict[str, Tensor]:
        """The visit counts, where the strategy needs them."""
        if self.config.exploration != "ucb":
            return super().progress_tensors()
        return {**super().progress_tensors(), **self._visits.tensors()}

    def restore_progress(self, facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Set what `progress_tensors` gave; see `LanguageAgent.restore_progress`."""
        rest = dict(tensors)
        if self.config.exploration == "ucb":
            self._visits.restore({n: rest.pop(n) for n in ("visited_prefixes", "visits")})
        super().restore_progress(facts, rest)

    @torch.inference_mode()
    def begin_at_the_returns(self, episodes: Sequence[Episode]) -> None:
        """Scale and shift new action values so that they fit the returns as well as they can.

        A clone's scores lie as far apart as its likelihoods do, which has nothing to do with
        returns. Neither change upsets the actions' ranking, and what follows is not upset by errors
        that all values share.
        """
        q_head = self.model.q_head
        assert q_head is not None
        returns = monte_carlo_returns(episodes, self.config.gamma)
        tokens = self.config.microbatch_tokens or self.config.minibatch_tokens
        groups = microbatches(episodes, tokens)
        returns_N = side_by_side(returns, np.concatenate(groups), self.device)
        values_KN = self._values_of(episodes, groups)
        if q_head.new:  # so far, values are scaled scores and nothing else
            factor = narrowing(returns_N, values_KN.mean(dim=0))
            q_head.narrow(factor)
            values_KN = factor * values_KN
        q_head.shift((returns_N - values_KN).mean(dim=1))
        self.model.note_change()

    @torch.no_grad()
    def valued_anew(self, episodes: Sequence[Episode]) -> Sequence[Episode]:
        """The same, with what their final states are now worth behind truncated episodes."""
        cut = final_states(episodes, self.contract.n_actions, self.device)
        if cut is None:
            return episodes
        places, final = cut
        values_KBA = self.model.q_values(read(self.model, final), final.legal_NA)
        values_B = legal_values(values_KBA, final.legal_NA).amax(dim=-1)
        found = list(episodes)
        for place, value in zip(places, values_B.tolist(), strict=True):
            found[place] = dataclasses.replace(found[place], bootstrap=value)
        return found

    def _values_of(self, episodes: Sequence[Episode], groups: Sequence[Places]) -> Tensor:
        """The values of the actions taken, (K, N).

        Args:
            episodes: all.
            groups: places of some of them at a time.
        """
        values: list[Tensor] = []
        for places in groups:
            chosen = [episodes[place] for place in places]
            batch = make_batch(chosen, self.contract.n_actions, self.device)
            values_KNA = self.model.q_values(read(self.model, batch), batch.legal_NA)
            values.append(taken_values(values_KNA, batch.actions_N))
        return torch.cat(values, dim=1)


def narrowing(returns_N: Tensor, values_N: Tensor) -> float:
    """The factor that brings values closest to returns but for a constant, `NARROWEST` to 1.

    That of least squares; 1 where it may be an accident of two standard errors.

    Args:
        returns_N: what came of the actions that were taken.
        values_N: what they were held to be worth.
    """
    values_N, returns_N = values_N - values_N.mean(), returns_N - returns_N.mean()
    square = float(values_N.square().sum())
    if square == 0:
        return 1.0
    slope = float(values_N @ returns_N) / square
    error = float((returns_N - slope * values_N).square().mean()) / square
    return min(max(slope, NARROWEST), 1.0) if slope > 2 * error**0.5 else 1.0
