"""Choosing actions in all slots with a cached model.

Shapes: S slots, L tokens of an observation, A actions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from agents.environment import Ints, Mask
from agents.models.distribution import choose
from agents.models.heads import States
from agents.models.model import AgentModel, Decision
from agents.models.prefix_cache import PrefixCache, Upcoming

Observations = npt.NDArray[np.integer]


class ActionRule(Protocol):
    """How actions follow from states."""

    def __call__(
        self, states: States, legal_SA: Tensor | None, generator: torch.Generator | None
    ) -> Decision:
        """Draw an action in every slot; the best one where there is no generator.

        Raises:
            FloatingPointError: the model gives no finite numbers.
        """


class SoftmaxPolicy:
    """The model's policy: a softmax over the scores of the legal actions.

    Args:
        model: whose policy and values.
    """

    def __init__(self, model: AgentModel) -> None:
        """Prepare nothing before the first call."""
        self.model = model
        self._version: tuple[int, float] | None = None
        self._scores: Callable[[States], Tensor] = model.logits

    def __call__(
        self, states: States, legal_SA: Tensor | None, generator: torch.Generator | None
    ) -> Decision:
        """Draw from the policy, or take the likeliest action; see `ActionRule`."""
        version = self.model.weights_version, self.model.temperature
        if self._version != version:
            self._version, self._scores = version, self.model.prepared_logits()
        actions_S, log_probs_S = choose(self._scores(states), legal_SA, generator)
        if not log_probs_S.isfinite().all():
            raise FloatingPointError("the policy's probabilities are not finite")
        return Decision(actions_S, log_probs_S, self.model.values(states))


class Actor:
    """Reads the slots' prefixes with a cached model, and lets a rule choose.

    Args:
        model: reads.
        rule: chooses.
        num_slots: slots of the vector environment.
    """

    def __init__(self, model: AgentModel, rule: ActionRule, num_slots: int) -> None:
        """Start with an empty cache."""
        self.model = model
        self.rule = rule
        self.cache = PrefixCache(model, num_slots)

    @torch.inference_mode()
    def act(
        self,
        observations_SL: Observations,
        lengths_S: Ints,
        legal_SA: Mask | None,
        generator: torch.Generator | None,
        upcoming: Upcoming | None = None,
    ) -> Decision:
        """Choose an action in every slot.

        Args:
            observations_SL: prefixes, padded on the right.
            lengths_S: tokens of each prefix.
            legal_SA: legal actions; None where all are.
            generator: None for the best actions instead of drawn ones.
            upcoming: the prompts that come next, where they are known.

        Raises:
            ValueError: no action is legal in some slot.
            FloatingPointError: the model gives no finite numbers.
        """
        legal = legal_tensor(legal_SA, self.model.device)
        states = self.cache.states(observations_SL, lengths_S, upcoming)
        return self.choose(states, legal, generator, prefixes=(observations_SL, lengths_S))

    def choose(
        self,
        states: States,
        legal_SA: Tensor | None,
        generator: torch.Generator | None,
        prefixes: tuple[Observations, Ints],
    ) -> Decision:
        """What the rule chooses in states of these prefixes; see `act`."""
        del prefixes
        return self.rule(states, legal_SA, generator)

    @torch.inference_mode()
    def decide(
        self, observation_L: Observations, length: int, prompt: int, legal_1A: Mask | None
    ) -> Decision:
        """The best action in one state, and what the state is worth, without the cache."""
        device = self.model.device
        tokens_1L = torch.from_numpy(observation_L[None, :length].astype(np.int64)).to(device)
        first = torch.zeros(1, dtype=torch.long, device=device)
        prompts = torch.tensor([prompt], device=device)
        states = self.model.read(tokens_1L, prompts, first, first + length - 1)
        return self.rule(states._replace(rows_N=None), legal_tensor(legal_1A, device), None)


def legal_tensor(legal_NA: Mask | None, device: torch.device) -> Tensor | None:
    """The legal actions as a tensor.

    Raises:
        ValueError: no action is legal in some row.
    """
    if legal_NA is None:
        return None
    stuck_N = np.flatnonzero(~legal_NA.any(axis=1))
    if stuck_N.size:
        raise ValueError(
            f"no action is legal in row {stuck_N[0]}: a state that is not final must have one"
        )
    return torch.from_numpy(legal_NA).to(device)
