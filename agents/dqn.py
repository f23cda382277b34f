"""Deep Q-learning of a language model, from a replay of whole episodes.

Mnih et al. 2015, "Human-level control through deep reinforcement learning", algorithm 1, with
n-step targets (Sutton & Barto 2018, equation 7.1) and Huber's loss H:

    L(theta) = E[ w H(Q_theta(s_t, a_t) - y_t) ],
    y_t = r_t + ... + gamma^(n-1) r_(t+n-1) + gamma^n Q'(s_(t+n), a*),

cut short at the episode's end, where 0 stands after termination and after truncation what the best
action in the final state is worth, as in any other. Q' are the values of the target network,
a* = argmax over legal a of Q' or, double (van Hasselt et al. 2016, "Deep Reinforcement Learning
with Double Q-learning", equation 4), of Q_theta. Of twin heads the lower one is Q. w are the
importance weights of a prioritised replay (see `agents.replay`).

With an `imitation_weight` the demonstrations stay in the replay for good, beside the large-margin
loss on them (Hester et al. 2018, "Deep Q-learning from Demonstrations", equations 2 and 3).

An episode's states are the prefixes of one sequence: one forward pass of the model, and one of the
target network, gives all of its values.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agents.action_values import ActionValueAgent, ActionValueConfig, legal_values, taken_values
from agents.advantages import steps_of
from agents.batching import Batch, Places, final_states, read
from agents.descent import Numbers, mean_numbers
from agents.episodes import Episode, total_steps
from agents.models.distribution import take
from agents.models.model import AgentModel
from agents.replay import Draw, Replay, episode_errors
from agents.returns import n_step_returns, step_mask
from agents.schedules import scheduled


@dataclass(frozen=True, kw_only=True)
class DQNConfig(ActionValueConfig):
    """Settings of DQN."""

    steps: int = 1024
    """Actions to collect, in whole episodes, before each update."""
    replay_steps: int = 100_000
    """Steps that the replay holds; the oldest episodes go first."""
    learning_starts: int = 1024
    """Actions before the first update."""
    replay_ratio: float = 4.0
    """Steps learnt from for each one acted."""
    minibatch_tokens: int = 512
    """Padded tokens of a minibatch, prompts included; it takes many small steps."""
    learning_rate: float = 1e-3
    """Of AdamW, at its highest."""
    warmup: float = 0.1
    """Share of the training over which the learning rate first rises from 0."""
    epsilon_start: float = 0.05
    """Share of random actions at the start of the training (epsilon-greedy)."""
    n_step: int = 3
    """Rewards that a target counts before it takes a value; many for Monte Carlo."""
    double: bool = True
    """The model, not the target network, says which action is the best in a target."""
    target_interval: int = 1
    """Updates of the model between those of the target network."""
    target_rate: float = 0.01
    """How far the target network moves towards the model (Polyak averaging); 1 copies it."""
    priority_exponent: float = 0.0
    """alpha of the prioritised replay; 0 draws uniformly."""
    priority_correction: float = 0.4
    """beta of the prioritised replay at the start; it rises linearly to 1."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        self.expect_at_least_one("replay_steps", "n_step", "target_interval")
        self.expect_above_zero("replay_ratio", "target_rate")
        self.expect_between(0, 1, "target_rate", "priority_correction")
        self.expect_between(0, float("inf"), "learning_starts", "priority_exponent")


class DQN(ActionValueAgent):
    """Deep Q-learning; see the module and `LanguageAgent` for the arguments.

    Attributes:
        replay: what it learns from.
        target: the target network.
        updates: of the model so far.
    """

    config: DQNConfig
    config_type: ClassVar[type[DQNConfig]] = DQNConfig

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Start with an empty replay and a target network that is the model."""
        super().__init__(*args, **kwargs)
        self.replay = Replay(self.config.replay_steps, self.config.priority_exponent)
        self.target = target_network(self.model)
        self.updates = 0
        self._owed = 0.0

    def update(self, episodes: Sequence[Episode], rng: np.random.Generator) -> Numbers:
        """Take the episodes in, and learn from some that are drawn; numbers to log."""
        config, replay = self.config, self.replay
        self._schedule(total_steps(episodes))
        replay.add(episodes)
        if self._imitation is not None and not replay.demonstrations:
            replay.add_demonstrations(self._imitation.episodes)
        numbers: Numbers = {"replay/steps": replay.steps, "replay/episodes": len(replay.episodes)}
        if self.num_timesteps + total_steps(episodes) < config.learning_starts:
            return numbers
        self._owed += config.replay_ratio * total_steps(episodes)
        if self._owed <= 0:  # the last draw was of longer episodes than are expected
            return numbers
        if self.updates == 0:
            self.begin_at_the_returns(replay.episodes)
            follow(self.target, self.model, 1.0)
        correction = scheduled("linear", config.priority_correction, 1.0, self._done())
        draw = replay.draw(self._owed, rng, correction)
        drawn = [replay.episodes[place] for place in draw.places_E]
        self._owed -= total_steps(drawn)
        return numbers | self._learn(drawn, draw, rng)

    def _learn(self, drawn: Sequence[Episode], draw: Draw, rng: np.random.Generator) -> Numbers:
        """Learn from each drawn episode once, and renew their priorities; numbers to log."""
        config = self.config
        errors_E = np.zeros(len(drawn))

        def loss_of(batch: Batch, places: Places) -> tuple[Tensor, Numbers]:
            chosen = [drawn[place] for place in places]
            values_KNA = self.model.q_values(read(self.model, batch), batch.legal_NA)
            targets_N = self._targets(values_KNA.detach(), batch, chosen)
            weights_N = torch.from_numpy(draw.weights_E[places]).to(targets_N)[batch.rows_N]
            errors_KN = taken_values(values_KNA, batch.actions_N) - targets_N
            loss = td_loss(errors_KN, weights_N, config.huber_delta)
            errors_N = errors_KN.detach().abs().mean(dim=0)
            if config.priority_exponent > 0:
                lengths_B = np.array([episode.steps for episode in chosen])
                errors_E[places] = episode_errors(errors_N.double().cpu().numpy(), lengths_B)
            numbers = {
                "q/loss": float(loss.detach()),
                "q/error": float(errors_N.mean()),
                "q/target": float(targets_N.mean()),
            }
            return loss, numbers

        losses: list[Numbers] = []
        for numbers in self.descent.once(drawn, loss_of, rng):
            losses.append(numbers)
            self.updates += 1
            if self.updates % config.target_interval == 0:
                follow(self.target, self.model, config.target_rate)
        if config.priority_exponent > 0:
            (summed_E,) = self.processes.sum_arrays([errors_E])  # each has those of its share
            self.replay.set_priorities(draw.places_E, summed_E)
        return mean_numbers(losses)

    @torch.no_grad()
    def _targets(self, values_KNA: Tensor, batch: Batch, episodes: Sequence[Episode]) -> Tensor:
        """The targets y of the module's equation, (N,).

        Args:
            values_KNA: the model's action values.
            batch: the states.
            episodes: those of the batch.
        """
        steps, n = steps_of(episodes), self.config.n_step
        inside_ET = step_mask(steps.lengths_E, steps.rewards_ET.shape[1])
        if steps.lengths_E.max() > n:  # else no target reaches a value
            target_KNA = self.target.q_values(read(self.target, batch), batch.legal_NA)
            values_N = best_values(target_KNA, values_KNA, batch.legal_NA, self.config.double)
            steps.values_ET[inside_ET] = values_N.double().cpu().numpy()
        cut = final_states(episodes, self.contract.n_actions, self.device)
        if cut is not None:
            places, final = cut
            target_KBA = self.target.q_values(read(self.target, final), final.legal_NA)
            judge_KBA = target_KBA
            if self.config.double:
                judge_KBA = self.model.q_values(read(self.model, final), final.legal_NA)
            values_B = best_values(target_KBA, judge_KBA, final.legal_NA, self.config.double)
            steps.bootstrap_E[places] = values_B.double().cpu().numpy()
        targets_ET = n_step_returns(*steps, gamma=self.config.gamma, n=n)
        return torch.from_numpy(targets_ET[inside_ET]).to(values_KNA)

    def progress_facts(self) -> dict[str, Any]:
        """The counters."""
        return {**super().progress_facts(), "updates": self.updates, "owed": self._owed}

    def progress_tensors(self) -> dict[str, Tensor]:
        """The replay and the target network, without what it shares with the model."""
        return {
            **super().progress_tensors(),
            **{f"replay.{name}": tensor for name, tensor in self.replay.tensors().items()},
            **{f"target.{name}": weight for name, weight in own_weights(self.target, self.model)},
        }

    def restore_progress(self, facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Set what the others gave; see `LanguageAgent.restore_progress`."""
        rest, remaining = dict(facts), dict(tensors)
        self.updates, self._owed = int(rest.pop("updates")), float(rest.pop("owed"))
        for name, weight in own_weights(self.target, self.model):
            saved = remaining.pop(f"target.{name}")
            if saved.shape != weight.shape:
                raise ValueError(f"target.{name} has shape {tuple(saved.shape)}")
            weight.copy_(saved)
        names = [name for name in remaining if name.startswith("replay.")]
        self.replay.restore({name.removeprefix("replay."): remaining.pop(name) for name in names})
        super().restore_progress(rest, remaining)


def best_values(
    target_KNA: Tensor, values_KNA: Tensor, legal_NA: Tensor | None, double: bool
) -> Tensor:
    """What the best legal action of each state is worth to the target network, (N,).

    Args:
        target_KNA: action values of the target network.
        values_KNA: those of the model.
        legal_NA: bool, or None where every action is legal.
        double: the model says which action is the best.
    """
    target_NA = legal_values(target_KNA, legal_NA)
    judge_NA = legal_values(values_KNA, legal_NA) if double else target_NA
    return take(target_NA, judge_NA.argmax(dim=-1))


def td_loss(errors_KN: Tensor, weights_N: Tensor, huber_delta: float) -> Tensor:
    """The weighted Huber loss of TD errors: the mean over states, summed over heads."""
    zeros_KN = torch.zeros_like(errors_KN)
    losses_KN = F.huber_loss(errors_KN, zeros_KN, reduction="none", delta=huber_delta)
    return (weights_N * losses_KN).sum(dim=0).mean()


def target_network(model: AgentModel) -> AgentModel:
    """A copy of a model that does not learn; weights that are frozen are shared."""
    shared = {id(weight): weight for weight in model.parameters() if not weight.requires_grad}
    return copy.deepcopy(model, shared).requires_grad_(False)


def own_weights(target: AgentModel, model: AgentModel) -> list[tuple[str, nn.Parameter]]:
    """The weights of a target network that it does not share with the model, by name."""
    theirs = dict(model.named_parameters())
    return [(name, w) for name, w in target.named_parameters() if w is not theirs[name]]


@torch.no_grad()
def follow(target: AgentModel, model: AgentModel, rate: float) -> None:
    """Move the target network's weights towards the model's by this share of the way."""
    ours = own_weights(target, model)
    theirs = dict(model.named_parameters())
    torch._foreach_lerp_([w for _, w in ours], [theirs[name] for name, _ in ours], rate)
