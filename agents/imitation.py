"""Demonstrations, and the losses of imitating them, alone or beside another algorithm's loss.

Shapes: K heads, N states, A actions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from torch import Tensor

from agents.batching import Batch, Places, evaluate, minibatches, read
from agents.descent import Minibatch, Numbers
from agents.environment import Contract, attribute, make_env, reference_actions
from agents.episodes import Episode
from agents.errors import AgentError
from agents.models.model import AgentModel
from agents.offline import load_recorded
from agents.rollout import play_examples

MARGIN = 0.1
"""How much better the demonstrated action's value should be than any other's; rewards are in
[0, 1]."""


def play_expert(
    env: VectorEnv[Any, Any, Any], contract: Contract, episodes: int, seed: int
) -> list[Episode]:
    """The expert's episode on each of some examples, drawn without repetition.

    Args:
        env: with autoreset mode DISABLED.
        contract: its constants.
        episodes: how many (at most as many as the split has examples).
        seed: of the choice of examples, and of what the task draws.
    """
    available = int(attribute(env, "num_examples"))
    rng = np.random.default_rng(seed)
    count = min(episodes, available)
    examples = rng.choice(available, size=count, replace=False).astype(np.int64)
    played = play_examples(
        env, contract, examples, lambda state: reference_actions(env, "expert"), seed=seed
    )
    return [each.episode for each in played]


def demonstrations(
    env_id: str | None,
    env_kwargs: Mapping[str, Any],
    contract: Contract,
    episodes: int,
    recorded: str | None,
    seed: int,
) -> list[Episode]:
    """Recorded episodes, or the expert's in an environment that is made for it.

    Args:
        env_id: of the environment; not needed for recorded episodes.
        env_kwargs: its options.
        contract: its constants.
        episodes: how many the expert plays.
        recorded: a file of recorded episodes, or ``"minari:ID"``, of which all are taken; None for
            the expert's.
        seed: of `play_expert`.

    Raises:
        AgentError: the expert is wanted and there is no id to make an environment of.
        RecordingError: the recorded episodes are missing, damaged, or of another environment.
    """
    if recorded is not None:
        return load_recorded(recorded, contract)
    if env_id is None:
        raise AgentError(
            "imitation needs an environment of its own for the expert to play in: give the agent "
            "the environment's id and env_kwargs instead of an environment, or name a file of "
            "recorded episodes in imitation_recorded"
        )
    env = make_env(env_id, min(64, episodes), AutoresetMode.DISABLED, **env_kwargs)
    try:
        return play_expert(env, contract, episodes, seed)
    finally:
        env.close()


class Imitation:
    """The loss of imitating demonstrations, on one minibatch of them after the other.

    Args:
        episodes: the demonstrations.
        model: learns.
        by_values: whether it acts by action values: then `margin_loss`, else `cloning_loss`.
        weight: of the loss beside the algorithm's own.
    """

    def __init__(
        self, episodes: Sequence[Episode], model: AgentModel, by_values: bool, weight: float
    ) -> None:
        """Keep them."""
        self.episodes = episodes
        self.model = model
        self.by_values = by_values
        self.weight = weight

    def minibatches(self, max_tokens: int, rng: np.random.Generator) -> Iterator[Minibatch]:
        """Minibatches without end: every demonstration once, then all again in another order."""
        while True:
            for places in minibatches(self.episodes, max_tokens, rng):
                yield Minibatch(self.episodes, places, self.loss)

    def loss(self, batch: Batch, places: Places) -> tuple[Tensor, Numbers]:
        """The weighted mean loss over a batch's states, and its plain size to log."""
        del places
        if self.by_values:
            values_KNA = self.model.q_values(read(self.model, batch), batch.legal_NA)
            loss = margin_loss(values_KNA, batch.actions_N, batch.legal_NA).mean()
        else:
            loss = cloning_loss(self.model, batch).mean()
        return self.weight * loss, {"imitation/loss": float(loss.detach())}


def cloning_loss(model: AgentModel, batch: Batch) -> Tensor:
    """- log pi(a | s) of the demonstrated actions, (N,)."""
    return -evaluate(model, batch).log_probs


def margin_loss(
    values_KNA: Tensor, actions_N: Tensor, legal_NA: Tensor | None, margin: float = MARGIN
) -> Tensor:
    """How far the demonstrated actions are from the best by a margin, summed over heads, (N,).

    Hester et al. 2018, "Deep Q-learning from Demonstrations", equation 2:
    max over legal a of (Q(s, a) + margin if a is another action) - Q(s, a_demonstrated).
    """
    taken_KN1 = actions_N.expand(len(values_KNA), -1).unsqueeze(-1)
    taken_values_KN1 = values_KNA.gather(-1, taken_KN1)
    rivals_KNA = (values_KNA + margin).scatter(-1, taken_KN1, taken_values_KN1)
    if legal_NA is not None:
        rivals_KNA = rivals_KNA.masked_fill(~legal_NA, -torch.inf)
    return (rivals_KNA.amax(dim=-1) - taken_values_KN1.squeeze(-1)).sum(dim=0)
