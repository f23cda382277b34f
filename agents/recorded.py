"""Recorded episodes in a file: of any agent, of the expert, or of people.

One safetensors file holds the episodes as a few flat tensors, and in its header, as JSON, the
constants of the environment that they were played in. Reading it runs no code.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from gymnasium.vector import AutoresetMode
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from agents.checkpoint import from_json, write_atomically
from agents.environment import Contract, check_same_contract, make_env, read_contract
from agents.episodes import (
    STEP_FIELDS,
    Episode,
    episodes_to_tensors,
    tensors_to_episodes,
    unpack,
)
from agents.errors import AgentError, RecordingError
from agents.playing import play_split
from agents.predictor import Predictor, as_predictor

FORMAT = "episodes-1"
KINDS: Mapping[str, npt.DTypeLike] = {
    "tokens": np.int32,
    "token_counts": np.int32,
    "step_counts": np.int32,
    "bootstraps": np.float64,
    **STEP_FIELDS,
}
"""The tensors that every file has, (...,) each, and their types."""


def record(
    agent: Predictor | str,
    env_id: str,
    path: str | Path,
    episodes: int | None = None,
    split: str | None = "train",
    deterministic: bool = True,
    num_envs: int = 64,
    seed: int = 0,
    **env_kwargs: Any,
) -> list[Episode]:
    """Let an agent, or a person behind the same `predict`, play examples; write what was played.

    Args:
        agent: who plays, or the place of one; see `agents.evaluate`.
        env_id: the environment.
        path: of the file.
        episodes: how many examples, spread evenly over the split; None for all.
        split: of the examples; None for an environment without this option.
        deterministic: passed on to `agent.predict`.
        num_envs: slots of the vector environment.
        seed: of what the task draws.
        env_kwargs: the environment's other options.
    """
    agent = as_predictor(agent)
    options = env_kwargs if split is None else {"split": split, **env_kwargs}
    env = make_env(env_id, num_envs, AutoresetMode.DISABLED, **options)
    try:
        contract = read_contract(env)
        text_env = env_id, options
        _, played = play_split(agent, env, contract, text_env, episodes, deterministic, seed)
    finally:
        env.close()
    recorded = [each.episode for each in played]
    save_episodes(path, recorded, contract)
    return recorded


def save_episodes(path: str | Path, episodes: Sequence[Episode], contract: Contract) -> None:
    """Write episodes, at least one, to one file, atomically.

    Raises:
        RecordingError: there are none, or they are not of an environment with this contract.
    """
    check_episodes(episodes, contract, "cannot save")
    header = {"format": FORMAT, "contract": json.dumps(dataclasses.asdict(contract))}
    tensors = {name: t.contiguous() for name, t in episodes_to_tensors(episodes).items()}
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_atomically(Path(path), save(tensors, header))


def load_episodes(path: str | Path, contract: Contract) -> list[Episode]:
    """The episodes of a file, checked against the environment that is to be learnt.

    Raises:
        RecordingError: the file is missing, damaged, or of another environment.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header: Mapping[str, str] = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise RecordingError(f"there are no recorded episodes at {path}") from None
    except (OSError, SafetensorError) as error:
        raise RecordingError(f"cannot read {path}: {error}") from error
    if header.get("format") != FORMAT:
        raise RecordingError(
            f"{path} is no file of recorded episodes: expected format {FORMAT}, "
            f"got {header.get('format')}. agents.recorded.save_episodes writes such files"
        )
    try:
        constants = dict(json.loads(header["contract"]))
        played_in = from_json(Contract, constants)
        _check_kinds(tensors)
        episodes = tensors_to_episodes(tensors)
    except (LookupError, TypeError, ValueError) as error:
        raise RecordingError(f"{path} is damaged: {error}") from error
    try:
        check_same_contract(contract, played_in)
    except AgentError as error:
        raise RecordingError(
            f"the episodes in {path} were played in another environment: {error}"
        ) from error
    check_episodes(episodes, contract, f"{path} is damaged")
    return episodes


def _check_kinds(tensors: Mapping[str, Tensor]) -> None:
    """Raise a ValueError for a tensor of another type or shape than `episodes_to_tensors` gives."""
    for name, kind in KINDS.items():
        array = tensors[name].numpy()
        if array.dtype != kind or array.ndim != 1:
            raise ValueError(
                f"{name} is {array.dtype}{list(array.shape)}; expected {np.dtype(kind)}[...]"
            )
    if (
        not len(tensors["token_counts"])
        == len(tensors["step_counts"])
        == len(tensors["bootstraps"])
    ):
        raise ValueError("token_counts, step_counts and bootstraps differ in length")
    masks = tensors.get("legal_TA8")
    if masks is not None and (masks.dtype != torch.uint8 or masks.ndim != 2):
        raise ValueError(f"legal_TA8 is {masks.dtype}{list(masks.shape)}; expected uint8 (T, ...)")


def check_episodes(episodes: Sequence[Episode], contract: Contract, what: str) -> None:
    """Check episodes, of which there must be some, against an environment's constants.

    Raises:
        RecordingError: `what` is wrong; says why.
    """
    if not episodes:
        raise RecordingError(f"{what}: there are no episodes")
    for number, episode in enumerate(episodes):
        fault = _fault(episode, contract)
        if fault is not None:
            raise RecordingError(f"{what}: in episode {number}, {fault}")


def _fault(episode: Episode, contract: Contract) -> str | None:
    """What makes it no episode of an environment with this contract; None for nothing."""
    tokens_L, positions_T, actions_T = episode.tokens_L, episode.positions_T, episode.actions_T
    if not 0 < len(tokens_L) <= contract.max_tokens:
        return f"there are {len(tokens_L)} tokens; expected 1 to {contract.max_tokens}"
    if tokens_L.min() < 0 or tokens_L.max() >= contract.vocab_size:
        return f"tokens are outside of 0 to {contract.vocab_size - 1}"
    if positions_T[0] < 0 or (np.diff(positions_T) <= 0).any():
        return "the states' positions do not increase"
    if positions_T[-1] != len(tokens_L) - 1:
        return f"the last state ends at {positions_T[-1]}, not at token {len(tokens_L) - 1}"
    if actions_T.min() < 0 or actions_T.max() >= contract.n_actions:
        return f"actions are outside of 0 to {contract.n_actions - 1}"
    if not (np.isfinite(episode.rewards_T).all() and np.isfinite(episode.bootstrap)):
        return "a reward is not finite"
    if episode.cut is not None:
        tokens, masks = episode.cut
        if not len(tokens_L) <= len(tokens) <= contract.max_tokens:
            return f"the state in which it was cut has {len(tokens)} tokens"
        if (tokens[: len(tokens_L)] != tokens_L).any() or tokens.max() >= contract.vocab_size:
            return "the state in which it was cut does not follow on the others"
        if masks is not None and masks.shape != (-(-contract.n_actions // 8),):
            return f"the mask where it was cut has {8 * len(masks)} bits"
    legal_TA8 = episode.legal_TA8
    if legal_TA8 is None:
        return None
    if legal_TA8.shape[1:] != (-(-contract.n_actions // 8),):
        return f"masks have {8 * legal_TA8.shape[1]} bits; expected {contract.n_actions} actions"
    taken_T = unpack(legal_TA8, contract.n_actions)[np.arange(len(actions_T)), actions_T]
    return (
        None if taken_T.all() else f"action {actions_T[~taken_T][0]} is taken where it is illegal"
    )
