"""The reward signals that every task has: the score at its end, shaped, or the user's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from textenvs.errors import OptionError, unknown
from textenvs.tasks.base import Episode, Episodes, Slots, Task

RewardFunction: TypeAlias = Callable[[Episode], float]
Component: TypeAlias = "float | tuple[float, RewardFunction]"
Reward: TypeAlias = "str | RewardFunction | Mapping[str, Component]"
"""``"terminal"``, ``"dense"``, a function of the finished episode, or weighted components: the
weight of a metric by its name, or a weight and a function under any name."""


class RewardSignal:
    """Rewards of the episodes in N slots.

    - ``"terminal"``: the task's score when an episode ends, 0 before.
    - ``"dense"``: r_t = Φ(s_t+1) − Φ(s_t), the change of the score's potential (Ng, Harada &
      Russell 1999), whose undiscounted sum over an episode is the score.
    - a callable: its value for the finished `Episode` when it ends, 0 before.
    - a mapping such as ``{"f1": 1.0, "brevity": (0.1, brevity)}``: at the end the weighted sum of
      metrics and functions. A weight of 0 watches a component without paying for it.

    Attributes:
        names: Of the components, in order; none unless the reward is a mapping.

    Raises:
        OptionError: ``reward`` is none of these.
    """

    def __init__(self, reward: Reward, episodes: Episodes) -> None:
        self._dense = reward == "dense"
        self._episodes = episodes
        self._potential = np.zeros(len(episodes.lengths))
        self.names: tuple[str, ...] = ()
        self._functions: dict[str, RewardFunction] = {}
        self._weights: dict[str, float] = {}
        if isinstance(reward, Mapping):
            self._take_components(reward)
        elif callable(reward):
            self._functions, self._weights = {"reward": reward}, {"reward": 1.0}
        elif isinstance(reward, str):
            if reward not in ("terminal", "dense"):
                raise unknown("reward", reward, ["terminal", "dense"])
            self._weights = {episodes.task.score_name: 1.0}
        else:
            raise OptionError(
                "reward must be 'terminal', 'dense', a function of an Episode, or a mapping from "
                f"names to weights, got {reward!r}"
            )

    def _take_components(self, reward: Mapping[str, Component]) -> None:
        if not reward:
            raise OptionError("reward has no components: name at least one metric or function")
        metrics = _metric_names(self._episodes.task)
        for name, component in reward.items():
            pair = component if isinstance(component, tuple) else (component, None)
            if len(pair) != 2 or not _is_weight(pair[0]):
                raise OptionError(
                    f"reward component {name!r}: expected a finite weight, or a pair of one and a "
                    f"function of an Episode, got {component!r}"
                )
            weight, function = pair
            if function is not None:
                if not callable(function):
                    raise OptionError(f"reward component {name!r}: {function!r} is no function")
                self._functions[name] = function
            elif name not in metrics:
                raise unknown("metric in reward", name, metrics)
            self._weights[name] = float(weight)
        self.names = tuple(self._weights)

    def begin(self, slots: Slots) -> None:
        """New episodes stand in ``slots``: Φ(s_0) = 0."""
        self._potential[slots] = 0.0

    def one(
        self, slot: int, done: bool, metrics: dict[str, float]
    ) -> tuple[float, dict[str, float]]:
        """The reward of one slot's last action, and its components by name if it has ended.

        ``metrics`` are those of an episode that ended.
        """
        if self._dense:
            score = self._episodes.score(slot)
            reward = score - self._potential[slot]
            self._potential[slot] = score
            return float(reward), {}
        if not done:
            return 0.0, {}
        values = dict(metrics)
        if self._functions:
            episode = self._episodes.episode(slot, dict(metrics))  # the function may change it
            values |= {name: _call(name, f, episode) for name, f in self._functions.items()}
        reward = sum(weight * values[name] for name, weight in self._weights.items())
        return reward, {name: values[name] for name in self.names}

    def many(
        self, slots: NDArray[np.intp], done: NDArray[np.bool_], metrics: dict[str, Any]
    ) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
        """The same for several slots: rewards ``(n,)``, and components of those that ended.

        ``metrics`` hold a value for each ended one.
        """
        if not len(slots):  # all wait for their reset
            return np.zeros(0), {}
        if self._dense:
            scores = self._episodes.score(slots)
            rewards: NDArray[np.float64] = scores - self._potential[slots]
            self._potential[slots] = scores
            return rewards, {}
        rewards = np.zeros(len(slots))
        if not metrics:
            return rewards, {}
        values = dict(metrics)
        if self._functions:
            values |= self._call_all(slots[done], metrics)
        rewards[done] = sum(weight * values[name] for name, weight in self._weights.items())
        return rewards, {name: np.asarray(values[name], np.float64) for name in self.names}

    def _call_all(
        self, slots: NDArray[np.intp], metrics: dict[str, Any]
    ) -> dict[str, NDArray[np.float64]]:
        values = {name: np.zeros(len(slots)) for name in self._functions}
        for row, slot in enumerate(slots.tolist()):
            of_slot = {name: float(column[row]) for name, column in metrics.items()}
            episode = self._episodes.episode(slot, of_slot)
            for name, function in self._functions.items():
                values[name][row] = _call(name, function, episode)
        return values


def _is_weight(value: Any) -> bool:
    return isinstance(value, (int, float)) and type(value) is not bool and isfinite(value)


def _call(name: str, function: RewardFunction, episode: Episode) -> float:
    reward = function(episode)
    if not isinstance(reward, (int, float, np.floating, np.integer)):
        raise TypeError(
            f"the reward function must return a number, got {type(reward).__name__}: {reward!r} "
            f"(component {name!r})"
        )
    return float(reward)


def _metric_names(task: Task) -> list[str]:
    """The metrics of a task's episodes, seen by playing one."""
    episodes = task.episodes(1)
    episodes.begin(np.zeros(1, np.intp), [0])
    while not episodes.advance(0, int(episodes.expert(0))):
        pass
    return list(episodes.metrics(0))
