"""A vector environment of Gymnasium's as one of stable-baselines3's.

Shapes: S slots, L tokens of an observation, A actions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from stable_baselines3.common.env_util import is_wrapped
from stable_baselines3.common.vec_env.base_vec_env import (
    VecEnv,
    VecEnvIndices,
    VecEnvObs,
    VecEnvStepReturn,
)

from agents.environment import make_env, prefix_lengths, read_contract
from agents.errors import AgentError
from agents.network import PROMPT_LENGTH, TOKENS

OF_ALL_SLOTS = {
    "action_masks": "action_masks",
    "expert_action": "expert_actions",
    "heuristic_action": "heuristic_actions",
    "render": "render",
}
"""Methods of a single environment -> those of a native one that give a row a slot."""


class TextVecEnv(VecEnv):
    """A vector environment with the token MDP's contract, for stable-baselines3.

    It runs at the speed of the native vector environment: all slots take a step at once, and an
    info has entries only at the end of an episode: those of the single environment's last info
    (`metrics`, `text`), `terminal_observation` and `TimeLimit.truncated`. Legal actions are asked
    for by `env_method("action_masks")`, as sb3-contrib's algorithms do. Wrap it in `VecMonitor` for
    returns and lengths of episodes, as any `VecEnv`.

    Args:
        env: an environment's id, or a vector environment with autoreset mode SAME_STEP.
        num_envs: slots, for an id.
        prompt_length: whether observations are ``{"tokens": (L,), "prompt_length": (1,)}`` instead
            of bare tokens: the models that look at the prompt as such need it.
        **env_kwargs: options of the environment, for an id.

    Attributes:
        env: the vector environment.
        contract: its constants.

    Raises:
        ContractError: it is no such environment.
    """

    def __init__(
        self,
        env: str | gymnasium.Env[Any, Any] | VectorEnv[Any, Any, Any],
        num_envs: int = 1,
        *,
        prompt_length: bool = False,
        **env_kwargs: Any,
    ) -> None:
        """Make the environment, unless it is made already."""
        self.env = make_env(env, num_envs, AutoresetMode.SAME_STEP, **env_kwargs)
        self.contract = read_contract(self.env)
        space: spaces.Space[Any] = self.env.single_observation_space
        if prompt_length:
            length = spaces.Box(1, self.contract.max_tokens, (1,), np.int32)
            space = spaces.Dict({TOKENS: space, PROMPT_LENGTH: length})
        super().__init__(self.env.num_envs, space, self.env.single_action_space)
        self._prompts_S1 = np.ones((self.num_envs, 1), np.int32) if prompt_length else None
        self._actions_S: npt.NDArray[np.integer] = np.zeros(self.num_envs, np.int64)

    def reset(self) -> VecEnvObs:
        """Begin an episode in every slot, with the seeds and options that were set."""
        observations_SL, _ = self.env.reset(seed=self._seeds, options=self._packed_options())  # type: ignore[arg-type]
        self._reset_seeds()
        self._reset_options()
        if self._prompts_S1 is not None:
            self._begin(observations_SL, np.arange(self.num_envs))
        observation: VecEnvObs = self._observation(observations_SL)
        return observation

    def _packed_options(self) -> dict[str, Any] | None:
        """The slots' options as one: an array of values where they differ."""
        first = self._options[0]
        if all(options == first for options in self._options):
            return first or None
        if any(options.keys() != first.keys() for options in self._options):
            raise AgentError(
                f"options are {self._options}; expected the same names for all slots, as they are "
                "reset at once"
            )
        return {name: np.array([options[name] for options in self._options]) for name in first}

    def step_async(self, actions: npt.NDArray[np.integer]) -> None:
        """Remember the actions, (S,)."""
        self._actions_S = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Take the step; a slot whose episode ends begins the next at once.

        Returns:
            Observations, rewards float32 (S,), ends bool (S,), and an info a slot.
        """
        observations_SL, rewards_S, terminated_S, truncated_S, info = self.env.step(self._actions_S)
        ended_S = terminated_S | truncated_S
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        ended = np.flatnonzero(ended_S)
        finals = infos_of(info.get("final_info", {}), ended)
        for slot, final in zip(ended.tolist(), finals, strict=True):
            final["terminal_observation"] = self._observation(info["final_obs"], slot)
            final["TimeLimit.truncated"] = bool(truncated_S[slot] and not terminated_S[slot])
            infos[slot] = final
        if self._prompts_S1 is not None and ended.size:
            self._begin(observations_SL, ended)
        return self._observation(observations_SL), rewards_S.astype(np.float32), ended_S, infos

    def _begin(self, observations_SL: npt.NDArray[np.integer], slots: npt.NDArray[np.intp]) -> None:
        """What some slots show now is a prompt."""
        assert self._prompts_S1 is not None
        lengths = prefix_lengths(observations_SL[slots], self.contract.pad_token_id)
        self._prompts_S1[slots, 0] = lengths

    def _observation(self, tokens_SL: npt.NDArray[Any], slot: int | None = None) -> Any:
        """What is shown of tokens, in all slots or in one."""
        at = slice(None) if slot is None else slot
        if self._prompts_S1 is None:
            return tokens_SL[at]
        return {TOKENS: tokens_SL[at], PROMPT_LENGTH: self._prompts_S1[at].copy()}

    def close(self) -> None:
        """Close the environment."""
        self.env.close()

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """An attribute of some slots; a native environment has one for all of them.

        Raises:
            AttributeError: there is none.
        """
        base = self.env.unwrapped
        if isinstance(base, SyncVectorEnv):
            return [base.envs[slot].get_wrapper_attr(attr_name) for slot in self._slots(indices)]
        value = getattr(base, attr_name)
        return [value for _ in self._slots(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute of some slots; of a native environment, of all of them.

        Raises:
            AgentError: only some slots of a native environment are meant, which has one for all.
        """
        base = self.env.unwrapped
        slots = self._slots(indices)
        if isinstance(base, SyncVectorEnv):
            for slot in slots:
                base.envs[slot].set_wrapper_attr(attr_name, value)
        elif set(slots) != set(range(self.num_envs)):
            raise AgentError(
                f"cannot set {attr_name} in slots {slots} only: a native vector environment has "
                "one for all slots; leave out the indices"
            )
        else:
            setattr(base, attr_name, value)

    def env_method(
        self,
        method_name: str,
        *method_args: Any,
        indices: VecEnvIndices = None,
        **method_kwargs: Any,
    ) -> list[Any]:
        """Call a method of some slots' environments; what each returns.

        Raises:
            AttributeError: there is none; of a native environment those can be called that give a
                row a slot: `action_masks`, `expert_action`, `heuristic_action`, `render`.
        """
        base = self.env.unwrapped
        if isinstance(base, SyncVectorEnv):
            methods = self.get_attr(method_name, indices)
            return [method(*method_args, **method_kwargs) for method in methods]
        if method_name not in OF_ALL_SLOTS:
            raise AttributeError(
                f"no method {method_name!r} of single slots in a native vector environment; there "
                f"are {', '.join(OF_ALL_SLOTS)}, and the environment itself is `.env`"
            )
        method: Callable[..., Any] = getattr(base, OF_ALL_SLOTS[method_name])
        rows = method(*method_args, **method_kwargs)
        return list(rows) if indices is None else [rows[slot] for slot in self._slots(indices)]

    def env_is_wrapped(
        self,
        wrapper_class: type[gymnasium.Wrapper[Any, Any, Any, Any]],
        indices: VecEnvIndices = None,
    ) -> list[bool]:
        """Whether some slots' environments are in such a wrapper; native ones are in none."""
        singles = getattr(self.env.unwrapped, "envs", None)
        return [
            singles is not None and is_wrapped(singles[slot], wrapper_class)
            for slot in self._slots(indices)
        ]

    def _slots(self, indices: VecEnvIndices) -> list[int]:
        return list(cast("range | list[int]", self._get_indices(indices)))


def infos_of(info: dict[str, Any], slots: npt.NDArray[np.intp]) -> list[dict[str, Any]]:
    """The infos of some slots as single environments give them, out of a vector environment's.

    >>> info = {"score": np.array([0.0, 0.5]), "_score": np.array([False, True])}
    >>> infos_of(info, np.array([0, 1]))
    [{}, {'score': 0.5}]
    """
    names = [name for name in info if not name.startswith("_")]
    columns = [_rows(info[name], slots) for name in names]
    masks = {id(mask): mask for mask in (info[f"_{name}"] for name in names)}  # mostly one for all
    if names and all(mask[slots].all() for mask in masks.values()):
        return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
    infos: list[dict[str, Any]] = [{} for _ in slots]
    for name, rows in zip(names, columns, strict=True):
        there = info[f"_{name}"][slots].tolist()
        for one, row, has in zip(infos, rows, there, strict=True):
            if has:
                one[name] = row
    return infos


def _rows(values: Any, slots: npt.NDArray[np.intp]) -> list[Any]:
    """What some slots have of an info's entry."""
    if isinstance(values, dict):
        return infos_of(values, slots)
    rows: list[Any] = values[slots].tolist() if values.ndim == 1 else list(values[slots])
    return rows
