"""What an agent thought at every token of some episodes.

Shapes: N states, A actions, K alternatives, T steps of an episode.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from gymnasium.vector import AutoresetMode, VectorEnv

from agents.action_values import ActionValueAgent, legal_values
from agents.advantages import monte_carlo_returns
from agents.agent import LanguageAgent
from agents.batching import Batch, make_batch, microbatches, read
from agents.behaviour_cloning import BehaviourCloning
from agents.environment import Contract, attribute, make_env, read_contract
from agents.episodes import Episode
from agents.errors import AgentError
from agents.evaluation import prompt_texts
from agents.models.distribution import entropy, masked_log_softmax, take
from agents.playing import play_split
from agents.threads import threads_for

MAX_TOKENS = 4096
"""Padded tokens of one forward pass."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One action, and what the agent thought before it.

    Attributes:
        token: the name of the action's token.
        appended: what the task appended after it, such as the next word or the user's turn.
        probability: of the action under the policy; None for an agent that acts by action values.
        entropy: of the policy in nats; None as above.
        value: the estimate of the discounted rewards to come; of action values, the best one. None
            for an agent that learns no values, as a clone.
        advantage: the discounted rewards that came, less that estimate; behind a truncated episode
            nothing is counted.
        reward: that the action brought.
        legal: how many actions were legal.
        alternatives: the best actions, with their probabilities or action values.
    """

    token: str
    appended: str
    probability: float | None
    entropy: float | None
    value: float | None
    advantage: float | None
    reward: float
    legal: int
    alternatives: list[tuple[str, float]]


@dataclass(frozen=True, kw_only=True)
class Trace:
    """One episode, step by step.

    Attributes:
        index: of its example in the split.
        prompt: as text.
        text: the agent's answer.
        score: the undiscounted return.
        metrics: of the episode, but for details.
        steps: its actions.
    """

    index: int
    prompt: str
    text: str
    score: float
    metrics: dict[str, float]
    steps: list[Step]


def trace(
    agent: LanguageAgent,
    env_id: str,
    split: str | None = "test",
    episodes: int | None = 100,
    deterministic: bool = True,
    alternatives: int = 5,
    seed: int = 0,
    **env_kwargs: Any,
) -> list[Trace]:
    """Let an agent play examples that are spread over a split, and look into it at every token.

    Args:
        agent: with a language model of ours.
        env_id: the environment.
        split: its split; None for an environment without this option.
        episodes: how many examples; None for all.
        deterministic: the best actions instead of drawn ones.
        alternatives: how many of the best actions to tell of each state.
        seed: of what the task draws.
        env_kwargs: the environment's other options.

    Raises:
        AgentError: the agent was made for another environment, or a number is too low.
    """
    if split is not None:
        env_kwargs["split"] = split
    env = make_env(env_id, min(64, episodes or 64), AutoresetMode.DISABLED, **env_kwargs)
    try:
        return trace_in(agent, env, episodes, deterministic, alternatives, seed)
    finally:
        env.close()


def trace_in(
    agent: LanguageAgent,
    env: VectorEnv[Any, Any, Any],
    episodes: int | None = None,
    deterministic: bool = True,
    alternatives: int = 5,
    seed: int = 0,
) -> list[Trace]:
    """The same in a vector environment with autoreset mode DISABLED; see `trace`."""
    if alternatives < 0:
        raise AgentError(f"alternatives is {alternatives}; expected at least 0")
    nowhere: tuple[str, dict[str, Any]] = "", {}  # an agent of text would need it
    examples, played = play_split(
        agent, env, read_contract(env), nowhere, episodes, deterministic, seed
    )
    prompts = prompt_texts(env, played)
    names = Names(env, agent.contract)
    found: list[list[Step]] = [[] for _ in played]
    recorded = [each.episode for each in played]
    with threads_for(agent.model):
        for places in microbatches(recorded, MAX_TOKENS):
            chosen = [recorded[place] for place in places]
            steps = thoughts(agent, chosen, names, alternatives)
            for place, own in zip(places, steps, strict=True):
                found[place] = own
    return [
        Trace(
            index=int(index),
            prompt=prompt or "",
            text=each.text,
            score=each.episode.episode_return,
            metrics={n: value for n, value in each.episode.metrics.items() if "/" not in n},
            steps=steps,
        )
        for index, each, prompt, steps in zip(examples, played, prompts, found, strict=True)
    ]


class Names:
    """The names of an environment's tokens and actions.

    Args:
        env: asked for them; where it does not know, a token is named by its number.
        contract: its constants.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], contract: Contract) -> None:
        self._task = attribute(env, "task", None)
        self._contract = contract
        self._known: dict[int, str] = {}

    def action(self, action: int, prefix_L: npt.NDArray[np.int32]) -> str:
        """The name of an action: of one that points, with the token that it points at."""
        name = self[int(self._contract.action_tokens[action])]
        positions = self._contract.action_positions
        if positions is None or not 0 <= positions[action] < len(prefix_L):
            return name
        return f"{self[int(prefix_L[positions[action]])]} {name}"

    def __getitem__(self, token: int) -> str:
        """The name of a token."""
        if token not in self._known:
            name = str(token) if self._task is None else str(self._task.token_name(token))
            self._known[token] = name
        return self._known[token]

    def text(self, tokens: Sequence[int]) -> str:
        """Tokens as text: the tokenizer's as it writes them, others by their names."""
        tokenizer = getattr(self._task, "tokenizer", None)
        if tokenizer is None:
            return " ".join(self[token] for token in tokens)
        parts: list[str] = []
        run: list[int] = []
        for token in tokens:
            if token < tokenizer.vocab_size:
                run.append(token)
                continue
            parts += [tokenizer.decode(run), self[token]] if run else [self[token]]
            run = []
        return "".join([*parts, tokenizer.decode(run) if run else ""])


@torch.inference_mode()
def thoughts(
    agent: LanguageAgent, episodes: Sequence[Episode], names: Names, alternatives: int
) -> list[list[Step]]:
    """The steps of some episodes, which are read in one forward pass."""
    batch = make_batch(episodes, agent.contract.n_actions, agent.device)
    numbers = numbers_of(agent, batch, min(alternatives, agent.contract.n_actions))
    gamma = getattr(agent.config, "gamma", 1.0)
    found, first = [], 0
    for episode, togo_T in zip(episodes, monte_carlo_returns(episodes, gamma), strict=True):
        steps: list[Step] = []
        ends_T = [*(episode.positions_T[1:] + 1), len(episode.tokens_L)]
        for step in range(episode.steps):
            own = {name: column[first + step] for name, column in numbers.items()}
            value = float(own["values"]) if "values" in own else None
            action = int(episode.actions_T[step])
            after = episode.tokens_L[episode.positions_T[step] + 2 : ends_T[step]]
            steps.append(
                Step(
                    token=names.action(action, episode.tokens_L),
                    appended=names.text(after.tolist()),
                    probability=float(own["probs"]) if "probs" in own else None,
                    entropy=float(own["entropies"]) if "probs" in own else None,
                    value=value,
                    advantage=None if value is None else float(togo_T[step]) - value,
                    reward=float(episode.rewards_T[step]),
                    legal=int(own["legal"]),
                    alternatives=[
                        (names.action(int(other), episode.tokens_L), float(score))
                        for other, score in zip(own["best"], own["scores"], strict=True)
                        if np.isfinite(score)
                    ],
                )
            )
        found.append(steps)
        first += episode.steps
    return found


def numbers_of(
    agent: LanguageAgent, batch: Batch, alternatives: int
) -> dict[str, npt.NDArray[Any]]:
    """What the model says of each state: arrays of length N, by name."""
    model = agent.model
    states = read(model, batch)
    if isinstance(agent, ActionValueAgent):
        scores_NA = legal_values(model.q_values(states, batch.legal_NA), batch.legal_NA)
        found = {"values": scores_NA.amax(dim=-1)}
    else:
        log_probs_NA = masked_log_softmax(model.logits(states), batch.legal_NA)
        found = {
            "probs": take(log_probs_NA, batch.actions_N).exp(),
            "entropies": entropy(log_probs_NA),
        }
        if not isinstance(agent, BehaviourCloning):
            found["values"] = model.values(states)
        # An illegal action is none of the alternatives.
        scores_NA = log_probs_NA.exp().masked_fill(log_probs_NA == -torch.inf, -torch.inf)
    found["scores"], found["best"] = scores_NA.topk(alternatives, dim=-1)
    every = torch.full((len(scores_NA),), scores_NA.shape[-1])
    found["legal"] = every if batch.legal_NA is None else batch.legal_NA.sum(dim=-1)
    return {name: column.cpu().numpy() for name, column in found.items()}
