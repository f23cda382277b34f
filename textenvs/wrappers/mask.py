"""The mask of legal actions in the observation, in the conventions of other libraries."""

from __future__ import annotations

from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from textenvs.errors import OptionError, unknown
from textenvs.wrappers.prefix import AnyVectorWrapper, Info


class MaskStyle(NamedTuple):
    """How a library looks for the mask.

    Attributes:
        observation: The key of the observation proper.
        mask: The key of the mask.
        dtype: The mask's type.
        infos: Whether a single environment's infos are handed on.
    """

    observation: str
    mask: str
    dtype: type[np.bool_ | np.float32]
    infos: bool = True


STYLES = {
    "tianshou": MaskStyle("obs", "mask", np.bool_, infos=False),
    "rllib": MaskStyle("observations", "action_mask", np.float32),
    "torchrl": MaskStyle("observation", "action_mask", np.bool_),
}
"""Where each library looks: Tianshou's value-based policies (``batch.obs.mask``), RLlib's
`ActionMaskingRLModule` (it adds the mask's logarithm to the logits), TorchRL's `ActionMask`.
Tianshou keeps infos in its buffers, and takes what only some of them have, as a score at the end of
an episode, for damaged data."""


class _Mask:
    """What the single and the vector wrapper share."""

    def __init__(self, style: str, action_space: spaces.Space[Any]) -> None:
        if style not in STYLES:
            raise unknown("style", style, STYLES)
        if not isinstance(action_space, spaces.Discrete):
            raise OptionError(f"a mask is of Discrete actions, not of {action_space}")
        self.style = STYLES[style]
        self._actions = int(action_space.n)

    def space(self, observation: spaces.Space[Any]) -> spaces.Dict:
        """Observations together with their masks."""
        name, mask, dtype, _ = self.style
        return spaces.Dict({name: observation, mask: spaces.Box(0, 1, (self._actions,), dtype)})

    def join(self, observation: Any, mask: Any, shape: tuple[int, ...] = ()) -> dict[str, Any]:
        """An observation and its mask; all actions are legal where a task has no mask."""
        if mask is None:
            mask = np.ones((*shape, self._actions))
        return {self.style.observation: observation, self.style.mask: mask.astype(self.style.dtype)}


class MaskedObservation(gymnasium.Wrapper[dict[str, Any], Any, Any, Any], RecordConstructorArgs):
    """A dictionary of the observation and the mask of legal actions.

    In the style of Tianshou infos are empty: see `STYLES`.

    >>> import gymnasium, textenvs
    >>> env = MaskedObservation(gymnasium.make("TextNER-v0"), "tianshou")
    >>> observation, info = env.reset(seed=0)
    >>> sorted(observation), observation["mask"].dtype
    (['mask', 'obs'], dtype('bool'))

    Args:
        env: An environment of textenvs; its observation may be wrapped in any way.
        style: ``"tianshou"``, ``"rllib"`` or ``"torchrl"``; see `STYLES`.

    Raises:
        OptionError: There is no such style, or actions are not Discrete.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], style: str) -> None:
        RecordConstructorArgs.__init__(self, style=style)
        super().__init__(env)
        self._mask = _Mask(style, env.action_space)
        self.observation_space = self._mask.space(env.observation_space)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], Info]:
        """Begin an episode."""
        observation, info = self.env.reset(seed=seed, options=options)
        joined = self._mask.join(observation, info.get("action_mask"))
        return joined, info if self._mask.style.infos else {}

    def step(self, action: Any) -> tuple[dict[str, Any], Any, bool, bool, Info]:
        """Act."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        joined = self._mask.join(observation, info.get("action_mask"))
        shown = info if self._mask.style.infos else {}
        return joined, reward, terminated, truncated, shown


class VectorMaskedObservation(AnyVectorWrapper):
    """`MaskedObservation` of every slot, batched.

    Raises:
        OptionError: There is no such style, or actions are not Discrete.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], style: str) -> None:
        super().__init__(env)
        self._mask = _Mask(style, env.single_action_space)
        self.autoreset_mode = env.metadata["autoreset_mode"]  # TorchRL asks for it
        self.single_observation_space = self._mask.space(env.single_observation_space)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self._masks: NDArray[Any] | None = None

    def reset(
        self, *, seed: Any = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], Info]:
        """Begin episodes, in all slots or in those of ``options={"reset_mask": mask}``."""
        observations, info = self.env.reset(seed=seed, options=options)
        return self._join(observations, info), info

    def step(self, actions: Any) -> tuple[dict[str, Any], Any, Any, Any, Info]:
        """Act in every slot."""
        observations, rewards, terminations, truncations, info = self.env.step(actions)
        if "final_obs" in info:
            final, masks = info["final_obs"].copy(), info["final_info"].get("action_mask")
            for slot in np.flatnonzero(info["_final_obs"]).tolist():
                mask = None if masks is None else masks[slot]
                final[slot] = self._mask.join(final[slot], mask)
            info = {**info, "final_obs": final}
        return self._join(observations, info), rewards, terminations, truncations, info

    def _join(self, observations: Any, info: Info) -> dict[str, Any]:
        """Observations with their masks; slots without news keep their mask."""
        masks, fresh = info.get("action_mask"), info.get("_action_mask")
        if masks is not None and self._masks is not None and not np.all(fresh):
            masks = np.where(np.asarray(fresh)[:, None], masks, self._masks)
        self._masks = masks
        return self._mask.join(observations, masks, (self.num_envs,))
