"""What the agents ask of an environment: the token MDP's contract, read through Gymnasium.

Nothing here is specific to textenvs: any environment that meets the contract will do, as a native
vector environment or in Gymnasium's `SyncVectorEnv`.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

import textenvs  # noqa: F401  registers its ids
from agents.errors import AgentError, ContractError

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
_MISSING = object()


@dataclass(frozen=True, kw_only=True)
class Contract:
    """The constants of a token MDP that an agent is built for.

    Attributes:
        action_tokens: the token id that each action appends.
        pad_token_id: fills an observation behind its prefix.
        vocab_size: token ids are below it.
        max_tokens: length of an observation.
        action_positions: the position in the prefix that each action points at, -1 for none; None
            where actions do not point.
    """

    action_tokens: tuple[int, ...]
    pad_token_id: int
    vocab_size: int
    max_tokens: int
    action_positions: tuple[int, ...] | None = None

    @property
    def n_actions(self) -> int:
        """How many actions there are."""
        return len(self.action_tokens)


def attribute(env: VectorEnv[Any, Any, Any], name: str, default: object = _MISSING) -> Any:
    """An attribute or bound method of a vector env, or of the first of its single envs.

    Raises:
        ContractError: neither has it, and there is no default.
    """
    base = env.unwrapped
    if hasattr(base, name):
        return getattr(base, name)
    singles = getattr(base, "envs", None)
    if singles and singles[0].has_wrapper_attr(name):
        return singles[0].get_wrapper_attr(name)
    if default is not _MISSING:
        return default
    raise ContractError(
        f"the environment {env} has no attribute {name!r}. Agents need: observations Box(0, "
        "vocab_size - 1, (max_tokens,)) holding the prefix padded on the right; Discrete actions; "
        "env.unwrapped.action_tokens (the token id each action appends); env.unwrapped.pad_token_id"
    )


def read_contract(env: VectorEnv[Any, Any, Any]) -> Contract:
    """Check an environment against the contract and take its constants.

    Raises:
        ContractError: a part is missing or inconsistent; says which and what is needed.
    """
    action_tokens = np.asarray(attribute(env, "action_tokens"))
    pad_token_id = int(attribute(env, "pad_token_id"))
    space = env.single_observation_space
    if not (
        isinstance(space, gymnasium.spaces.Box)
        and len(space.shape) == 1
        and np.issubdtype(space.dtype, np.integer)
    ):
        raise ContractError(
            f"the observation space is {space}; expected an integer Box of shape (max_tokens,) "
            "with token ids from 0 to vocab_size - 1"
        )
    actions = env.single_action_space
    if (
        not isinstance(actions, gymnasium.spaces.Discrete)
        or actions.n != len(action_tokens)
        or actions.start != 0
    ):
        raise ContractError(
            f"the action space is {actions} and there are {len(action_tokens)} action_tokens; "
            "expected Discrete(len(action_tokens)), which starts at 0"
        )
    vocab_size = int(space.high.max()) + 1
    if action_tokens.min() < 0 or action_tokens.max() >= vocab_size:
        raise ContractError(
            f"action_tokens go from {action_tokens.min()} to {action_tokens.max()}; expected token "
            f"ids from 0 to {vocab_size - 1}, as in the observation space"
        )
    positions = attribute(env, "action_positions", None)
    if positions is not None and (
        np.shape(positions) != action_tokens.shape or np.max(positions) >= space.shape[0]
    ):
        raise ContractError(
            f"action_positions has shape {np.shape(positions)} and goes up to {np.max(positions)}; "
            f"expected one position below {space.shape[0]} (or -1) for each action"
        )
    return Contract(
        action_tokens=tuple(map(int, action_tokens)),
        pad_token_id=pad_token_id,
        vocab_size=vocab_size,
        max_tokens=space.shape[0],
        action_positions=None if positions is None else tuple(map(int, positions)),
    )


def check_same_contract(actual: Contract, expected: Contract) -> None:
    """Check that an environment is the one that an agent was made for.

    Raises:
        AgentError: they differ; says in what.
    """
    for field in ("pad_token_id", "vocab_size", "max_tokens"):
        if getattr(actual, field) != getattr(expected, field):
            raise AgentError(
                f"the environment's {field} is {getattr(actual, field)}, but the agent "
                f"was made for {getattr(expected, field)}"
            )
    if actual.n_actions != expected.n_actions:
        raise AgentError(
            f"the environment has {actual.n_actions} action_tokens, but the agent was made for "
            f"{expected.n_actions}"
        )
    for name in ("action_tokens", "action_positions"):
        ours, theirs = getattr(actual, name), getattr(expected, name)
        if ours == theirs:
            continue
        if ours is None or theirs is None:
            has, had = ("has no", "some") if ours is None else ("has", "none")
            raise AgentError(
                f"the environment {has} {name}, but the agent was made for one with {had}"
            )
        action = next(
            a for a, (new, old) in enumerate(zip(ours, theirs, strict=True)) if new != old
        )
        raise AgentError(
            f"the environment's {name}[{action}] is {ours[action]}, but the agent was made "
            f"for {theirs[action]}"
        )


def make_env(
    env: str | gymnasium.Env[Any, Any] | VectorEnv[Any, Any, Any],
    num_envs: int,
    autoreset: AutoresetMode,
    **env_kwargs: Any,
) -> VectorEnv[Any, Any, Any]:
    """A vector environment with the wanted autoreset mode.

    Args:
        env: an id (native vector environment where it has one), a single environment (played in
            one slot) or a vector environment (used as it is).
        num_envs: slots, for an id.
        autoreset: what a slot does after an episode.
        env_kwargs: options of the environment, for an id.

    Raises:
        ContractError: `env` has another autoreset mode, or is no environment.
    """
    if isinstance(env, str):
        if gymnasium.spec(env).vector_entry_point is not None:
            return gymnasium.make_vec(
                env, num_envs=num_envs, autoreset_mode=autoreset.value, **env_kwargs
            )
        return gymnasium.make_vec(
            env,
            num_envs=num_envs,
            vectorization_mode="sync",
            vector_kwargs={"autoreset_mode": autoreset},
            **env_kwargs,
        )
    if env_kwargs:
        raise ContractError(
            f"env_kwargs {sorted(env_kwargs)} go with an environment's id; {env} is made already"
        )
    if isinstance(env, gymnasium.Env):
        single = env
        return SyncVectorEnv([lambda: single], autoreset_mode=autoreset)
    if not isinstance(env, VectorEnv):
        raise ContractError(
            "expected an environment's id, a gymnasium.Env or a VectorEnv; "
            f"got {type(env).__name__}"
        )
    if env.metadata.get("autoreset_mode") != autoreset:
        raise ContractError(
            f"the vector environment has autoreset mode {env.metadata.get('autoreset_mode')}; this "
            f"agent needs it made with autoreset_mode={autoreset.value!r}, or give the id"
        )
    return env


def registered(place: str) -> str:
    """The id of MODULE:ID, whose module is imported and registers it.

    Raises:
        AgentError: there is no such module.
    """
    module, _, env_id = place.rpartition(":")
    if module:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            raise AgentError(f"cannot import the module of {place}: {error}") from None
    return env_id


def prefix_lengths(observations_SL: npt.NDArray[np.integer], pad_token_id: int) -> Ints:
    """Number of tokens up to the last one that is not padding, (S,); at least 1.

    >>> prefix_lengths(np.array([[5, 6, 0, 0], [5, 0, 7, 0], [0, 0, 0, 0]]), pad_token_id=0)
    array([2, 3, 1])
    """
    from_end_S = (observations_SL[:, ::-1] != pad_token_id).argmax(axis=1)
    lengths_S: Ints = (observations_SL.shape[1] - from_end_S).astype(np.int64)
    lengths_S[(from_end_S == 0) & (observations_SL[:, -1] == pad_token_id)] = 1
    return lengths_S


def legal_actions(info: dict[str, Any]) -> Mask | None:
    """The legal actions that an info dict tells of, (S, n_actions) bool; None if it does not."""
    mask = info.get("action_mask")
    return None if mask is None else np.asarray(mask).astype(np.bool_)


def reference_actions(env: VectorEnv[Any, Any, Any], of: str) -> Ints:
    """An action in every slot that the environment itself proposes, (S,).

    Args:
        env: the environment.
        of: ``"expert"`` or ``"heuristic"``.

    Raises:
        ContractError: the environment proposes none of this kind.
    """
    base = env.unwrapped
    if hasattr(base, f"{of}_actions"):
        return np.asarray(getattr(base, f"{of}_actions")(), np.int64)
    if hasattr(base, "call"):
        attribute(env, f"{of}_action")
        return np.asarray(base.call(f"{of}_action"), np.int64)
    raise ContractError(f"{env} has neither {of}_actions() nor single environments to ask")


def proposes(env: VectorEnv[Any, Any, Any], of: str) -> bool:
    """Whether `reference_actions` of this kind are there."""
    nothing = object()
    return any(attribute(env, f"{of}_action{s}", nothing) is not nothing for s in ("s", ""))


def start_examples(
    env: VectorEnv[Any, Any, Any], slots: Ints, examples: Ints, seed: int | None = None
) -> tuple[npt.NDArray[np.integer], dict[str, Any]]:
    """Start the given examples in the given slots of an env with autoreset mode DISABLED.

    Returns:
        The observations of all slots, and an info whose rows are set for the given slots.
    """
    if isinstance(env.unwrapped, SyncVectorEnv):
        info: dict[str, Any] = {}
        for slot, example in zip(slots, examples, strict=True):
            only = np.arange(env.num_envs) == slot
            options: dict[str, Any] = {"reset_mask": only, "index": int(example)}
            observations, slot_info = env.reset(seed=seed, options=options)
            for key in slot_info.keys() & {"action_mask"}:
                info.setdefault(key, slot_info[key].copy())[slot] = slot_info[key][slot]
        return observations, info
    started = np.zeros(env.num_envs, np.bool_)
    started[slots] = True
    indices = np.zeros(env.num_envs, np.int64)
    indices[slots] = examples
    return env.reset(seed=seed, options={"reset_mask": started, "index": indices})
