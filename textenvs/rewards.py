"""The reward signals that every task has: the score at its end, shaped, or the user's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from textenvs.errors import OptionError, unknown
from textenvs.tasks.base import Episode, Episodes, Slots

Reward: TypeAlias = "str | Callable[[Episode], float]"
"""``"terminal"``, ``"dense"``, or a function of the finished episode."""


class RewardSignal:
    """Rewards of the episodes in N slots.

    - ``"terminal"``: the task's score when an episode ends, 0 before.
    - ``"dense"``: r_t = Φ(s_t+1) − Φ(s_t), the change of the score's potential (Ng, Harada &
      Russell 1999), whose undiscounted sum over an episode is the score.
    - a callable: its value for the finished `Episode` when it ends, 0 before.

    Raises:
        OptionError: ``reward`` is none of these.
    """

    def __init__(self, reward: Reward, episodes: Episodes) -> None:
        if not callable(reward):
            if not isinstance(reward, str):
                raise OptionError(
                    "reward must be 'terminal', 'dense' or a function of an Episode, got "
                    f"{reward!r}"
                )
            if reward not in ("terminal", "dense"):
                raise unknown("reward", reward, ["terminal", "dense"])
        self._function = reward if callable(reward) else None
        self._dense = reward == "dense"
        self._episodes = episodes
        self._potential = np.zeros(len(episodes.lengths))

    def begin(self, slots: Slots) -> None:
        """New episodes stand in ``slots``: Φ(s_0) = 0."""
        self._potential[slots] = 0.0

    def one(self, slot: int, done: bool, metrics: dict[str, float]) -> float:
        """The reward of one slot's last action; ``metrics`` are those of an episode that ended."""
        if self._dense:
            score = self._episodes.score(slot)
            reward = score - self._potential[slot]
            self._potential[slot] = score
            return float(reward)
        if not done:
            return 0.0
        if self._function is None:
            return metrics[self._episodes.task.score_name]
        return self._call(slot, metrics)

    def many(
        self, slots: NDArray[np.intp], done: NDArray[np.bool_], metrics: dict[str, Any]
    ) -> NDArray[np.float64]:
        """The same for several slots, ``(n,)``; ``metrics`` hold a value for each ended one."""
        if self._dense:
            scores = self._episodes.score(slots)
            rewards: NDArray[np.float64] = scores - self._potential[slots]
            self._potential[slots] = scores
            return rewards
        rewards = np.zeros(len(slots))
        if not metrics:
            return rewards
        if self._function is None:
            rewards[done] = metrics[self._episodes.task.score_name]
        else:
            rewards[done] = [
                self._call(slot, {name: float(values[row]) for name, values in metrics.items()})
                for row, slot in enumerate(slots[done].tolist())
            ]
        return rewards

    def _call(self, slot: int, metrics: dict[str, float]) -> float:
        assert self._function is not None
        reward = self._function(self._episodes.episode(slot, metrics))
        if not isinstance(reward, (int, float, np.floating, np.integer)):
            raise TypeError(
                f"the reward function must return a number, got {type(reward).__name__}: {reward!r}"
            )
        return float(reward)
