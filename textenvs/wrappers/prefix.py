"""What wrappers share that show the prefix in another form, of one environment or of many."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, TypeAlias

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from textenvs.errors import OptionError
from textenvs.tasks import Task

Info = dict[str, Any]
if TYPE_CHECKING:
    AnyVectorWrapper: TypeAlias = VectorWrapper[Any, Any, Any, Any, Any]
else:  # in gymnasium 1.1 it takes no parameters
    AnyVectorWrapper = VectorWrapper


class PrefixView(ABC):
    """A form in which prefixes are shown.

    Letters in shapes: N prefixes, T ``max_tokens``.

    Attributes:
        space: What one prefix becomes.
    """

    space: spaces.Space[Any]

    @abstractmethod
    def __call__(self, prefixes: NDArray[np.int32], lengths: NDArray[np.intp]) -> Any:
        """One item of the space for each prefix, in an array or a list.

        Args:
            prefixes: Token ids, ``(N, T)``, padded on the right.
            lengths: The length of each, ``(N,)``.
        """


def task_of(env: gymnasium.Env[Any, Any] | VectorEnv[Any, Any, Any]) -> Task:
    """The task of an environment of textenvs, whatever wraps it.

    Raises:
        OptionError: It has none.
    """
    task = getattr(env.unwrapped, "task", None)
    if not isinstance(task, Task):
        raise OptionError(
            "this wrapper is for environments of textenvs, such as gymnasium.make('TextQA-v0'); "
            f"got {env.unwrapped}"
        )
    return task


def prefix_lengths(prefixes: NDArray[np.int32], pad_token_id: int) -> NDArray[np.intp]:
    """The lengths of prefixes (N, T) that are padded on the right.

    Where padding is EOS, as GPT-2's, a final EOS is taken for padding.

    >>> prefix_lengths(np.array([[5, 6, 0], [5, 0, 7], [0, 0, 0]], np.int32), pad_token_id=0)
    array([2, 3, 0])
    """
    from_end = (prefixes[:, ::-1] != pad_token_id).argmax(1)
    lengths: NDArray[np.intp] = prefixes.shape[1] - from_end
    lengths[(prefixes == pad_token_id).all(1)] = 0
    return lengths


class PrefixObservation(gymnasium.ObservationWrapper[Any, Any, NDArray[np.int32]]):
    """Shows the prefix of one environment in another form.

    Raises:
        OptionError: The environment is none of textenvs, or its observation is the prefix no more.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], view: PrefixView) -> None:
        super().__init__(env)
        self._pad = _check(self, env.observation_space)
        self.view = view
        self.observation_space = view.space

    def observation(self, observation: NDArray[np.int32]) -> Any:
        """The prefix in the new form."""
        prefixes = observation[None]
        return self.view(prefixes, prefix_lengths(prefixes, self._pad))[0]


class VectorPrefixObservation(AnyVectorWrapper):
    """The same for all slots at once; final observations are shown in the new form, too.

    Raises:
        OptionError: The environment is none of textenvs, or its observation is the prefix no more.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], view: PrefixView) -> None:
        super().__init__(env)
        self._pad = _check(self, env.single_observation_space)
        self.view = view
        self.single_observation_space = view.space
        self.observation_space = batch_space(view.space, self.num_envs)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, Info]:
        """Begin episodes; the prompts are shown in the new form."""
        prefixes, info = self.env.reset(seed=seed, options=options)
        return self._show(prefixes), info

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, Info]:
        """Act in every slot; the prefixes are shown in the new form."""
        prefixes, rewards, terminations, truncations, info = self.env.step(actions)
        if "final_obs" in info:
            ended = np.flatnonzero(info["_final_obs"])
            final = info["final_obs"].copy()
            shown = self._show(np.stack(final[ended].tolist()))
            for slot, observation in zip(ended.tolist(), shown, strict=True):
                final[slot] = observation
            info = {**info, "final_obs": final}
        return self._show(prefixes), rewards, terminations, truncations, info

    def _show(self, prefixes: NDArray[np.int32]) -> Any:
        views = self.view(prefixes, prefix_lengths(prefixes, self._pad))
        return tuple(views) if isinstance(views, list) else views


def _check(wrapper: Any, space: spaces.Space[Any]) -> int:
    """Raise unless observations are prefixes; returns the id that pads them."""
    task = task_of(wrapper)
    if space.shape != (task.max_tokens,) or space.dtype != np.int32:
        raise OptionError(
            f"{type(wrapper).__name__} reads the prefix, which a wrapper below it has changed to "
            f"{space}; wrap the environment in {type(wrapper).__name__} first"
        )
    return task.tokenizer.pad_token_id
