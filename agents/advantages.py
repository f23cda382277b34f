"""From episodes to the arrays that `returns` works on, and back to their states.

Shapes: E episodes, T steps of the longest one, N states of some of them side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from agents.episodes import Episode
from agents.returns import Floats, n_step_returns, step_mask


class Steps(NamedTuple):
    """The steps of episodes; what is behind an episode's end is 0.

    Attributes:
        rewards_ET: reward of each step.
        values_ET: estimate, when it was acted on, of the state that each step was taken in.
        lengths_E: steps of each episode.
        bootstrap_E: value after the last step.
    """

    rewards_ET: Floats
    values_ET: Floats
    lengths_E: npt.NDArray[np.int64]
    bootstrap_E: Floats


def steps_of(episodes: Sequence[Episode]) -> Steps:
    """The episodes' steps, one row an episode."""
    lengths_E = np.array([episode.steps for episode in episodes])
    inside_ET = step_mask(lengths_E, int(lengths_E.max()))
    rewards_ET, values_ET = np.zeros(inside_ET.shape), np.zeros(inside_ET.shape)
    rewards_ET[inside_ET] = np.concatenate([episode.rewards_T for episode in episodes])
    values_ET[inside_ET] = np.concatenate([episode.values_T for episode in episodes])
    bootstrap_E = np.array([episode.bootstrap for episode in episodes])
    return Steps(rewards_ET, values_ET, lengths_E, bootstrap_E)


def by_episode(values_ET: Floats, lengths_E: npt.NDArray[np.int64]) -> list[Floats]:
    """One array an episode, of its own steps."""
    flat = values_ET[step_mask(lengths_E, values_ET.shape[1])]
    return np.split(flat, np.cumsum(lengths_E)[:-1])


def monte_carlo_returns(episodes: Sequence[Episode], gamma: float) -> list[Floats]:
    """The discounted return from each step on, one array an episode."""
    steps = steps_of(episodes)
    return by_episode(n_step_returns(*steps, gamma=gamma, n=None), steps.lengths_E)


def side_by_side(
    arrays: Sequence[Floats], places: npt.NDArray[np.intp], device: torch.device
) -> Tensor:
    """The arrays of some episodes, in float32, in the order of `make_batch`'s states, (N,)."""
    chosen = np.concatenate([arrays[place] for place in places])
    return torch.from_numpy(chosen.astype(np.float32)).to(device)


def explained_variance(episodes: Sequence[Episode], returns: Sequence[Floats]) -> float:
    """How much of the returns' variance the values at acting explain: 1 for all, 0 for none."""
    target, value = np.concatenate(returns), np.concatenate([e.values_T for e in episodes])
    variance = float(target.var())
    return 1.0 - float((target - value).var()) / variance if variance > 0 else 0.0
