"""A PPO update with one forward pass an episode, beside the same one prefix by prefix.

Shapes: N states, M states of a chunk, T tokens.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from agents.batching import Batch, evaluate, make_batch
from agents.episodes import Episode, total_steps
from agents.ppo import PPO, Targets, advantages_and_returns, make_targets, ppo_loss
from benchmarks.acting import PROMPT_TOKENS, SLOTS, make_agent
from benchmarks.measuring import Measurement, beside
from textenvs.tasks import Episode as FinishedEpisode

CHUNK = 64
"""Prefixes that are read at once: a usual minibatch of agents that keep observations."""

TOLERANCE = 1e-5
"""How far gradients may differ, relative to the largest."""


def update_prefix_by_prefix(agent: PPO, episodes: Sequence[Episode]) -> None:
    """One step on all states, each of which is read as a sequence of its own.

    The prefixes are sorted by length, so that next to nothing is padded, and their gradients are
    summed, so that the step is the one that `PPO.update` takes.
    """
    advantages, returns = advantages_and_returns(episodes, agent.config)
    batch = make_batch(episodes, agent.contract.n_actions, agent.device)
    targets = make_targets(episodes, advantages, returns, agent.device)
    assert batch.legal_NA is None
    agent.descent.optimizer.zero_grad(set_to_none=True)
    order_N = torch.argsort(batch.columns_N, stable=True)
    for chosen_M in torch.split(order_N, CHUNK):
        columns_M = batch.columns_N[chosen_M]
        chunk = Batch(
            tokens_BT=batch.tokens_BT[batch.rows_N[chosen_M], : int(columns_M.max()) + 1],
            prompts_B=batch.prompts_B[batch.rows_N[chosen_M]],
            rows_N=torch.arange(len(chosen_M)),
            columns_N=columns_M,
            actions_N=batch.actions_N[chosen_M],
            legal_NA=None,
        )
        chosen = Targets(*(column_N[chosen_M] for column_N in targets))
        loss, _ = ppo_loss(evaluate(agent.model, chunk), chosen, agent.config)
        (loss * (len(chosen_M) / len(order_N))).backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(agent.model.parameters(), agent.config.max_grad_norm)
    agent.descent.optimizer.step()


def update_beside_prefixes(answer_tokens: int, updates: int, rounds: int) -> Measurement:
    """States per second of both updates, on one answer of each slot.

    Args:
        answer_tokens: Length of each answer.
        updates: By episodes, a round; prefix by prefix it is one.
        rounds: How many.

    Raises:
        ArithmeticError: The two updates have different gradients.
    """
    agent = make_agent(answer_tokens, reward=even_share)
    collector = agent.new_collector()
    collector.restart(seed=0)
    episodes = collector.collect(SLOTS * answer_tokens, torch.Generator().manual_seed(0))
    states = total_steps(episodes)
    weights = {name: tensor.clone() for name, tensor in agent.model.state_dict().items()}
    rng = np.random.default_rng(0)

    def by_episodes() -> None:
        agent.update(episodes, rng)

    def by_prefixes() -> None:
        update_prefix_by_prefix(agent, episodes)

    def rate(update: Callable[[], None], times: int) -> float:
        agent.model.load_state_dict(weights)
        start = time.perf_counter()
        for _ in range(times):
            update()
        return times * states / (time.perf_counter() - start)

    rate(by_episodes, 1)
    gradients = gradients_of(agent)
    rate(by_prefixes, 1)
    difference = largest_difference(gradients, gradients_of(agent))
    if not difference <= TOLERANCE:
        raise ArithmeticError(
            f"the gradients of the two updates differ by {difference:.1e} of the largest; at most "
            f"{TOLERANCE:.0e} is rounding: they are not the same update, and no ratio means a thing"
        )
    return beside(
        f"PPO update, tiny, {len(episodes)} x ({PROMPT_TOKENS} + {answer_tokens}) tokens",
        "states/s",
        lambda: rate(by_episodes, updates),
        "prefix by prefix",
        lambda: rate(by_prefixes, 1),
        rounds,
        required=10,
        notes={"gradients_differ_by": difference, "prefixes_at_once": CHUNK},
    )


def even_share(episode: FinishedEpisode) -> float:
    """A reward that differs between random answers, as F1 hardly does: no gradient is trivial."""
    return float(np.mean(episode.actions % 2 == 0))


def gradients_of(agent: PPO) -> list[Tensor]:
    """Copies of what the last update left."""
    return [p.grad.clone() for p in agent.model.parameters() if p.grad is not None]


def largest_difference(one: Sequence[Tensor], other: Sequence[Tensor]) -> float:
    """Between two lists of gradients, relative to the largest entry of the first."""
    largest = max(float(gradient.abs().max()) for gradient in one)
    pairs = zip(one, other, strict=True)
    return max(float((a - b).abs().max()) for a, b in pairs) / largest
