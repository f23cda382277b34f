"""Exploration for all agents that act by action values.

A strategy turns action values into the probability of every action, which serves to draw, to know
the probability of what was drawn, and to take expected values. Illegal actions have value -inf and
probability 0. The best action is the first of those with the highest value.

Shapes: N states, S slots, A actions, L tokens of an observation, P prefixes, V visited pairs.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from agents.schedules import Schedule, scheduled
from agents.settings import RolloutConfig

Exploration = Literal["epsilon-greedy", "boltzmann", "ucb", "top-k", "nucleus"]


class Strategy(Protocol):
    """How often each action is taken, given what the actions are worth."""

    def __call__(self, values_NA: Tensor, visits_NA: Tensor | None = None) -> Tensor:
        """Probabilities of the actions, (N, A) float32.

        Args:
            values_NA: float32; -inf for illegal actions, at least one legal action a row.
            visits_NA: how often each action was taken in each state, where that is counted.
        """


@dataclass(frozen=True)
class EpsilonStrategy:
    """The best action, and with probability epsilon one of the legal actions, all alike.

    Sutton & Barto 2018, section 5.4: p(a) = epsilon / |legal| + (1 - epsilon) [a is the best].
    """

    epsilon: float

    def __call__(self, values_NA: Tensor, visits_NA: Tensor | None = None) -> Tensor:
        """Probabilities; see `Strategy`."""
        legal_NA = values_NA > -torch.inf
        uniform_NA = legal_NA / legal_NA.sum(dim=-1, keepdim=True)
        return self.epsilon * uniform_NA + (1.0 - self.epsilon) * best(values_NA)


@dataclass(frozen=True)
class BoltzmannStrategy:
    """A softmax of the values over a temperature (Sutton & Barto 2018, section 13.1)."""

    temperature: float

    def __call__(self, values_NA: Tensor, visits_NA: Tensor | None = None) -> Tensor:
        """Probabilities; see `Strategy`."""
        return torch.softmax(values_NA / self.temperature, dim=-1)


@dataclass(frozen=True)
class TopKStrategy:
    """A softmax of the values over a temperature, among the k best actions.

    Fan et al. 2018, "Hierarchical Neural Story Generation", section 5.2, with action values.
    """

    k: int
    temperature: float

    def __call__(self, values_NA: Tensor, visits_NA: Tensor | None = None) -> Tensor:
        """Probabilities; see `Strategy`."""
        values_NA, order_NA = values_NA.sort(dim=-1, descending=True, stable=True)
        probabilities_NK = torch.softmax(values_NA[:, : self.k] / self.temperature, dim=-1)
        chosen_NK = order_NA[:, : self.k]
        return torch.zeros_like(values_NA).scatter(-1, chosen_NK, probabilities_NK)


@dataclass(frozen=True)
class NucleusStrategy:
    """A softmax of the values, among the fewest best actions whose probabilities reach p.

    Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration", equations 2 and 3, with
    action values.
    """

    p: float
    temperature: float

    def __call__(self, values_NA: Tensor, visits_NA: Tensor | None = None) -> Tensor:
        """Probabilities; see `Strategy`."""
        values_NA, order_NA = values_NA.sort(dim=-1, descending=True, stable=True)
        sorted_NA = torch.softmax(values_NA / self.temperature, dim=-1)
        better_NA = sorted_NA.cumsum(dim=-1) - sorted_NA
        better_NA[:, 0] = 0.0
        kept_NA = sorted_NA * (better_NA < self.p)
        kept_NA = kept_NA / kept_NA.sum(dim=-1, keepdim=True)
        return torch.zeros_like(values_NA).scatter(-1, order_NA, kept_NA)


@dataclass(frozen=True)
class UCBStrategy:
    """The action with the highest upper confidence bound; those never taken come first.

    Auer et al. 2002, "Finite-time Analysis of the Multiarmed Bandit Problem", figure 1 (there with
    c the square root of 2): argmax of Q(s, a) + c sqrt(ln n(s) / n(s, a)), n counting visits. Of
    the actions never taken it takes the best; so it does where nothing is counted.
    """

    c: float

    def __call__(self, values_NA: Tensor, visits_NA: Tensor | None = None) -> Tensor:
        """Probabilities, all of them 0 or 1; see `Strategy`."""
        if visits_NA is None:
            return best(values_NA)
        new_NA = (visits_NA == 0) & (values_NA > -torch.inf)
        total_N1 = visits_NA.sum(dim=-1, keepdim=True).clamp(min=1)
        bounds_NA = values_NA + self.c * (total_N1.log() / visits_NA.clamp(min=1)).sqrt()
        new_values_NA = values_NA.masked_fill(~new_NA, -torch.inf)
        return best(torch.where(new_NA.any(dim=-1, keepdim=True), new_values_NA, bounds_NA))


def best(values_NA: Tensor) -> Tensor:
    """Probability 1 for the first action with the highest value, (N, A) float32."""
    return F.one_hot(values_NA.argmax(dim=-1), values_NA.shape[-1]).float()


@dataclass(frozen=True, kw_only=True)
class ExplorationConfig(RolloutConfig):
    """Settings of the algorithms that explore by action values."""

    exploration: Exploration = "epsilon-greedy"
    """epsilon-greedy: a share of actions at random; boltzmann: a softmax of the values; ucb: upper
    confidence bounds by visit counts; top-k, nucleus: a softmax among the best actions."""
    epsilon_start: float = 0.1
    """Share of random actions at the start of the training (epsilon-greedy)."""
    epsilon_end: float = 0.02
    """Share of random actions from `epsilon_share` of the training on."""
    epsilon_share: float = 0.8
    """Share of the training over which epsilon goes from start to end."""
    epsilon_schedule: Schedule = "linear"
    """How epsilon goes there: constant (stays at the start), linear, cosine."""
    temperature: float = 0.05
    """The values are divided by it before a softmax (boltzmann, top-k, nucleus)."""
    ucb_c: float = 0.1
    """Weight of the confidence bound (ucb); rewards of the tasks are in [0, 1]."""
    ucb_prefixes: int = 100_000
    """Visits are counted for so many prefixes, those visited last (ucb)."""
    top_k: int = 5
    """How many of the best actions are drawn from (top-k)."""
    top_p: float = 0.9
    """Probability that the best actions drawn from must reach (nucleus)."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        self.expect_between(0, 1, "epsilon_start", "epsilon_end", "top_p")
        self.expect_above_zero("epsilon_share", "temperature", "top_p")
        self.expect_between(0, float("inf"), "ucb_c")
        self.expect_at_least_one("ucb_prefixes", "top_k")

    def epsilon(self, done: float) -> float:
        """Share of random actions when a share `done` of the training is done."""
        share = done / self.epsilon_share
        return scheduled(self.epsilon_schedule, self.epsilon_start, self.epsilon_end, share)

    def strategy(self, done: float) -> Strategy:
        """How to explore when a share `done` of the training is done."""
        if self.exploration == "epsilon-greedy":
            return EpsilonStrategy(self.epsilon(done))
        if self.exploration == "boltzmann":
            return BoltzmannStrategy(self.temperature)
        if self.exploration == "ucb":
            return UCBStrategy(self.ucb_c)
        if self.exploration == "top-k":
            return TopKStrategy(self.top_k, self.temperature)
        return NucleusStrategy(self.top_p, self.temperature)


class VisitCounts:
    """How often each action was taken in each of the prefixes that were visited last.

    Args:
        capacity: prefixes to keep; beyond that, the one visited longest ago is forgotten.
    """

    def __init__(self, capacity: int) -> None:
        """Nothing was visited."""
        self.capacity = capacity
        self._visits: OrderedDict[int, dict[int, int]] = OrderedDict()

    def of(self, keys_S: Sequence[int], n_actions: int) -> Tensor:
        """How often each action was taken in each prefix, (S, A) int64."""
        visits_SA = np.zeros((len(keys_S), n_actions), np.int64)
        for slot, key in enumerate(keys_S):
            for action, count in self._visits.get(key, {}).items():
                visits_SA[slot, action] = count
        return torch.from_numpy(visits_SA)

    def add(self, keys_S: Sequence[int], actions_S: Sequence[int]) -> None:
        """Count an action in each prefix."""
        for key, action in zip(keys_S, actions_S, strict=True):
            counts = self._visits.setdefault(key, {})
            counts[action] = counts.get(action, 0) + 1
            self._visits.move_to_end(key)
            if len(self._visits) > self.capacity:
                self._visits.popitem(last=False)

    def tensors(self) -> dict[str, Tensor]:
        """All counts, for a checkpoint: keys (P,), and place of key, action, count (V, 3)."""
        pairs = [
            (place, action, count)
            for place, counts in enumerate(self._visits.values())
            for action, count in counts.items()
        ]
        return {
            "visited_prefixes": torch.tensor(list(self._visits), dtype=torch.int64),
            "visits": torch.tensor(pairs, dtype=torch.int64).reshape(-1, 3),
        }

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Set the counts that `tensors` gave.

        Raises:
            KeyError, IndexError, ValueError: these are no counts.
        """
        keys = tensors["visited_prefixes"].tolist()
        self._visits = OrderedDict((key, {}) for key in keys)
        for place, action, count in tensors["visits"].tolist():
            self._visits[keys[place]][action] = count


def prefix_keys(
    observations_SL: npt.NDArray[np.integer], lengths_S: npt.NDArray[np.integer]
) -> list[int]:
    """A 64-bit hash of each slot's prefix, the same in every process."""
    tokens_SL = np.ascontiguousarray(observations_SL, np.int32)
    return [
        int.from_bytes(
            blake2b(tokens_L[:length].tobytes(), digest_size=8).digest(), "little", signed=True
        )
        for tokens_L, length in zip(tokens_SL, lengths_S, strict=True)
    ]
