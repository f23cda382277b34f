"""Minibatches of whole episodes for one forward pass each.

Shapes: B episodes, T tokens of the longest, N states in all of them, A actions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from agents.episodes import Episode, packed_masks, unpack
from agents.models.distribution import (
    log_probs_and_entropies,
    masked_log_softmax,
)
from agents.models.heads import States
from agents.models.model import AgentModel

Places = npt.NDArray[np.intp]
"""Which of a sequence of episodes."""


class Batch(NamedTuple):
    """Episodes as tensors; states are in episode order, then in time order.

    Attributes:
        tokens_BT: int64, padded on the right.
        prompts_B: how many tokens of each are its prompt.
        rows_N: the episode of each state.
        columns_N: the position of its last token.
        actions_N: the action taken.
        legal_NA: bool, or None.
    """

    tokens_BT: Tensor
    prompts_B: Tensor
    rows_N: Tensor
    columns_N: Tensor
    actions_N: Tensor
    legal_NA: Tensor | None


class Evaluation(NamedTuple):
    """What a model makes of the states and actions of a batch, each (N,)."""

    log_probs: Tensor
    entropies: Tensor
    values: Tensor


def make_batch(episodes: Sequence[Episode], n_actions: int, device: torch.device) -> Batch:
    """Pad episodes to one length and put their states side by side."""
    lengths_B = np.array([len(episode.tokens_L) for episode in episodes])
    tokens_BT = np.zeros((len(episodes), lengths_B.max()), np.int64)
    for row, episode in enumerate(episodes):
        tokens_BT[row, : lengths_B[row]] = episode.tokens_L
    steps_B = [episode.steps for episode in episodes]
    masks = packed_masks(episodes)
    legal_NA = None if masks is None else unpack(np.concatenate(masks), n_actions)
    return Batch(
        tokens_BT=torch.from_numpy(tokens_BT).to(device),
        prompts_B=torch.tensor([int(e.positions_T[0]) + 1 for e in episodes], device=device),
        rows_N=torch.from_numpy(np.repeat(np.arange(len(episodes)), steps_B)).to(device),
        columns_N=_joined([episode.positions_T for episode in episodes], device),
        actions_N=_joined([episode.actions_T for episode in episodes], device),
        legal_NA=None if legal_NA is None else torch.from_numpy(legal_NA).to(device),
    )


def final_states(
    episodes: Sequence[Episode], n_actions: int, device: torch.device
) -> tuple[list[int], Batch] | None:
    """Which episodes were truncated, and the states in which they were; None if none was.

    No action was taken in these states: those of the batch mean nothing.
    """
    places = [place for place, episode in enumerate(episodes) if episode.cut is not None]
    if not places:
        return None
    prompts_B = torch.tensor([int(episodes[place].positions_T[0]) + 1 for place in places])
    ends = [_final_state(episodes[place]) for place in places]
    return places, make_batch(ends, n_actions, device)._replace(prompts_B=prompts_B.to(device))


def _final_state(episode: Episode) -> Episode:
    """A truncated episode with its final state as the only one."""
    assert episode.cut is not None
    tokens_L, legal_A8 = episode.cut
    return dataclasses.replace(
        episode,
        tokens_L=tokens_L,
        positions_T=np.array([len(tokens_L) - 1], np.int32),
        actions_T=np.zeros(1, np.int32),
        legal_TA8=None if legal_A8 is None else legal_A8[None],
    )


def _joined(arrays: Sequence[npt.NDArray[np.int32]], device: torch.device) -> Tensor:
    return torch.from_numpy(np.concatenate(arrays).astype(np.int64)).to(device)


def read(model: AgentModel, batch: Batch) -> States:
    """All states in one forward pass."""
    return model.read(batch.tokens_BT, batch.prompts_B, batch.rows_N, batch.columns_N)


def evaluate(model: AgentModel, batch: Batch) -> Evaluation:
    """Log-probabilities, entropies and values of all states in one forward pass."""
    states = read(model, batch)
    return _evaluated(model, batch, states, model.logits(states))


def evaluate_with_policy(model: AgentModel, batch: Batch) -> tuple[Evaluation, Tensor]:
    """The same, and the log-probabilities of all actions, (N, A)."""
    states = read(model, batch)
    logits_NA = model.logits(states)
    evaluation = _evaluated(model, batch, states, logits_NA)
    return evaluation, masked_log_softmax(logits_NA, batch.legal_NA)


def _evaluated(model: AgentModel, batch: Batch, states: States, logits_NA: Tensor) -> Evaluation:
    both_N = log_probs_and_entropies(logits_NA, batch.legal_NA, batch.actions_N)
    return Evaluation(*both_N, model.values(states))


def minibatches(
    episodes: Sequence[Episode], max_tokens: int, rng: np.random.Generator
) -> Iterator[Places]:
    """Indices of every episode once, in minibatches of like length and at most `max_tokens`.

    Episodes are shuffled, then sorted by length within pools of several minibatches, so that
    little is padded and yet the composition of a minibatch changes; the minibatches come in random
    order. An episode longer than `max_tokens` has a minibatch for itself.

    Args:
        episodes: those to divide.
        max_tokens: padded tokens in a minibatch.
        rng: of the order.
    """
    lengths_E = np.array([len(episode.tokens_L) for episode in episodes])
    order_E = rng.permutation(len(episodes))
    pools = max(1, round(lengths_E.sum() / (8 * max_tokens)))
    groups: list[Places] = []
    for pool in np.array_split(order_E, pools):
        by_length = pool[np.argsort(lengths_E[pool], kind="stable")]
        groups += _even_groups(by_length, lengths_E[by_length], max_tokens)
    for group in rng.permutation(len(groups)):
        yield groups[group]


def _even_groups(
    episodes: npt.NDArray[np.intp], lengths: npt.NDArray[np.intp], max_tokens: int
) -> list[Places]:
    """The fewest groups of about equal size that each fit into `max_tokens`.

    A step is taken on the mean over a group, so that a small rest would weigh as much as a whole.

    Args:
        episodes: from the shortest to the longest.
        lengths: of each.
        max_tokens: padded tokens of a group of more than one.
    """
    tokens = np.cumsum(lengths)
    for count in range(max(1, int(tokens[-1] // max_tokens)), len(episodes)):
        ends = np.searchsorted(tokens, tokens[-1] * np.arange(1, count) / count)
        groups = [g for g in np.split(np.arange(len(episodes)), ends) if len(g)]
        if all(len(g) == 1 or lengths[g[-1]] * len(g) <= max_tokens for g in groups):
            return [episodes[g] for g in groups]
    return [episodes[i : i + 1] for i in range(len(episodes))]


def microbatches(episodes: Sequence[Episode], max_tokens: int | None) -> list[Places]:
    """Places of all episodes, in groups of at most `max_tokens` padded tokens; None for one group.

    An episode longer than that has a group for itself.
    """
    if not episodes:
        return []
    if max_tokens is None:
        return [np.arange(len(episodes))]
    lengths_E = np.array([len(episode.tokens_L) for episode in episodes])
    order_E = np.argsort(lengths_E, kind="stable")
    return _even_groups(order_E, lengths_E[order_E], max_tokens)
