"""Rollouts whose minibatches are of whole episodes, for `rollout_buffer_class`.

stable-baselines3 draws the states of a minibatch one by one, so that few of them are prefixes of
one another. Where episodes are drawn instead, a language model reads each of them once and gives
all its states. An epoch still passes over every state once; the states of a minibatch are less
independent, as those of our own agents are.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import numpy.typing as npt
from sb3_contrib.common.maskable.buffers import MaskableDictRolloutBuffer, MaskableRolloutBuffer
from stable_baselines3.common.buffers import DictRolloutBuffer, RolloutBuffer


class _ByEpisode(RolloutBuffer):
    """Takes states in an order of its own where the library takes them in a random one."""

    _order: npt.NDArray[np.intp]
    _taken: int

    def get(self, batch_size: int | None = None) -> Generator[Any, None, None]:
        """Minibatches of states, of which those of an episode follow one another."""
        # The rollout of an environment stands in one piece, in the order of time.
        starts = self.swap_and_flatten(self.episode_starts)[:, 0] > 0
        starts[:: self.buffer_size] = True
        pieces = np.split(np.arange(len(starts)), np.flatnonzero(starts)[1:])
        shuffled = np.random.permutation(len(pieces))  # noqa: NPY002  the library's generator
        self._order = np.concatenate([pieces[piece] for piece in shuffled])
        self._taken = 0
        yield from super().get(batch_size)

    def _get_samples(self, batch_inds: npt.NDArray[np.intp], env: Any = None) -> Any:
        first, self._taken = self._taken, self._taken + len(batch_inds)
        return super()._get_samples(self._order[first : self._taken], env)


class EpisodeRolloutBuffer(_ByEpisode, RolloutBuffer):
    """For PPO and TRPO."""


class EpisodeDictRolloutBuffer(_ByEpisode, DictRolloutBuffer):
    """For PPO and TRPO, with observations that tell the prompt's length."""


class EpisodeMaskableRolloutBuffer(_ByEpisode, MaskableRolloutBuffer):  # type: ignore[misc]
    """For MaskablePPO."""


class EpisodeMaskableDictRolloutBuffer(_ByEpisode, MaskableDictRolloutBuffer):  # type: ignore[misc]
    """For MaskablePPO, with observations that tell the prompt's length."""
