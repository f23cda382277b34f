"""Anybody plays a split: agents of tokens in all slots together, agents of text in threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.vector import VectorEnv

from agents.environment import (
    Contract,
    Ints,
    attribute,
    check_same_contract,
    prefix_lengths,
)
from agents.episodes import examples_in_order
from agents.errors import AgentError
from agents.network import PROMPT_LENGTH, TOKENS
from agents.predictor import (
    NeedsEnv,
    Predictor,
    TextPredictor,
    takes_masks,
    takes_prompt_lengths,
)
from agents.rollout import Choose, Played, play_examples
from agents.text_play import play_texts
from agents.threads import threads_for


def play_split(
    agent: Predictor,
    env: VectorEnv[Any, Any, Any],
    contract: Contract,
    text_env: tuple[str, Mapping[str, Any]],
    episodes: int | None,
    deterministic: bool,
    seed: int,
) -> tuple[Ints, list[Played]]:
    """Let an agent play examples that are spread evenly over a split, once each.

    Args:
        agent: who plays.
        env: with autoreset mode DISABLED.
        contract: its constants.
        text_env: its id and options, of which an agent of text gets environments of its own.
        episodes: how many examples; None for all.
        deterministic: passed on to `agent.predict`.
        seed: of what the task draws.

    Returns:
        The examples, and what was played of each, in this order.

    Raises:
        AgentError: `episodes` is below 1, or the agent was made for another environment.
    """
    if episodes is not None and episodes < 1:
        raise AgentError(f"episodes is {episodes}; expected at least 1, or None for all")
    made_for = getattr(agent, "contract", None)
    if isinstance(made_for, Contract):
        check_same_contract(contract, made_for)
    available = int(attribute(env, "num_examples"))
    examples = examples_in_order(min(episodes or available, available), available)
    if isinstance(agent, NeedsEnv):
        agent.attach(env)
    if isinstance(agent, TextPredictor):
        slots = min(agent.text_concurrency, env.num_envs)
        return examples, play_texts(agent, *text_env, examples, slots, deterministic, seed)
    with threads_for(getattr(agent, "model", None)):
        return examples, play_examples(
            env, contract, examples, chooser(agent, contract, deterministic), seed
        )


def chooser(
    agent: Predictor, contract: Contract, deterministic: bool
) -> Callable[[Choose], npt.NDArray[np.integer]]:
    """The agent as `play_examples` calls it: it keeps the state and passes masks on."""
    with_masks, with_prompts = takes_masks(agent), takes_prompt_lengths(agent)
    state: Any = None
    prompts_S = np.zeros(0, np.int64)

    def choose(now: Choose) -> npt.NDArray[np.integer]:
        nonlocal state, prompts_S
        observations: Any = now.observations_SL
        if with_prompts:
            lengths_S = prefix_lengths(now.observations_SL, contract.pad_token_id)
            begun_S = prompts_S if prompts_S.size else lengths_S
            prompts_S = np.where(now.started_S, lengths_S, begun_S)
            observations = {TOKENS: now.observations_SL, PROMPT_LENGTH: prompts_S[:, None]}
        masks = {"action_masks": now.legal_SA} if with_masks else {}
        predicted = agent.predict(
            observations,
            state=state,
            episode_start=now.started_S,
            deterministic=deterministic,
            **masks,
        )
        if not (isinstance(predicted, tuple) and len(predicted) == 2):
            raise AgentError(
                f"{type(agent).__name__}.predict returned {type(predicted).__name__}; expected a "
                "pair: the actions of all slots, and the state for the next call (None will do)"
            )
        actions_S, state = predicted
        return np.asarray(actions_S)

    return choose
