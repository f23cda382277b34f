"""Returns and advantages of whole episodes, as pure functions on numpy arrays.

Shapes: E episodes, T steps of the longest one; entries behind an episode's end are ignored and
come back as 0.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def step_mask(lengths_E: npt.NDArray[np.integer], steps: int) -> npt.NDArray[np.bool_]:
    """True where an episode has a step, (E, steps).

    >>> step_mask(np.array([1, 3]), 3).astype(int)
    array([[1, 0, 0],
           [1, 1, 1]])
    """
    inside_ET: npt.NDArray[np.bool_] = np.arange(steps) < lengths_E[:, None]
    return inside_ET


def generalised_advantages(
    rewards_ET: Floats,
    values_ET: Floats,
    lengths_E: npt.NDArray[np.integer],
    bootstrap_E: Floats,
    gamma: float,
    lam: float,
) -> Floats:
    """Generalised advantage estimates (Schulman et al. 2016, equation 16), (E, T).

    A_t = sum over l of (gamma * lam)^l delta_(t+l), delta_t = r_t + gamma V(s_t+1) - V(s_t).

    Args:
        rewards_ET: reward of each step.
        values_ET: value estimate of the state that each step was taken in.
        lengths_E: steps of each episode, at least 1.
        bootstrap_E: value after the last step: 0 where the episode terminated, the estimate of the
            final state where it was truncated.
        gamma: discount.
        lam: 0 gives one-step advantages, 1 Monte-Carlo returns less the values.
    """
    inside_ET = step_mask(lengths_E, rewards_ET.shape[1])
    advantages_ET = np.zeros_like(rewards_ET)
    next_values_E = bootstrap_E
    running_E = np.zeros_like(bootstrap_E)
    for t in range(rewards_ET.shape[1] - 1, -1, -1):
        inside_E = inside_ET[:, t]
        deltas_E = rewards_ET[:, t] + gamma * next_values_E - values_ET[:, t]
        running_E = np.where(inside_E, deltas_E + gamma * lam * running_E, running_E)
        next_values_E = np.where(inside_E, values_ET[:, t], next_values_E)
        advantages_ET[:, t] = np.where(inside_E, running_E, 0.0)
    return advantages_ET


def n_step_returns(
    rewards_ET: Floats,
    values_ET: Floats,
    lengths_E: npt.NDArray[np.integer],
    bootstrap_E: Floats,
    gamma: float,
    n: int | None,
) -> Floats:
    """Returns over n steps and what the state then reached is worth, (E, T).

    Sutton & Barto 2018, equation 7.1: G_t = r_t + ... + gamma^(n-1) r_(t+n-1) + gamma^n V(s_t+n),
    cut short at the episode's end, where the bootstrap takes the place of V.

    Args:
        rewards_ET: reward of each step.
        values_ET: what the state that each step was taken in is worth.
        lengths_E: steps of each episode, at least 1.
        bootstrap_E: value after the last step: 0 where the episode terminated.
        gamma: discount.
        n: at least 1; None for all steps to the end (Monte Carlo), whatever the values.
    """
    if n is None:
        nothing_ET = np.zeros_like(rewards_ET)
        return generalised_advantages(rewards_ET, nothing_ET, lengths_E, bootstrap_E, gamma, 1.0)
    inside_ET = step_mask(lengths_E, rewards_ET.shape[1])
    steps = rewards_ET.shape[1]
    # What follows the steps taken: V of the states n later, and the bootstrap at an episode's end.
    following_ET = np.zeros((len(rewards_ET), steps + 1))
    following_ET[:, :-1] = np.where(inside_ET, values_ET, 0.0)
    following_ET[np.arange(len(lengths_E)), lengths_E] = bootstrap_E
    rest_ET = following_ET[:, 1:]
    returns_ET = np.zeros_like(rewards_ET)
    for _ in range(min(n, steps)):
        returns_ET = np.where(inside_ET, rewards_ET + gamma * rest_ET, 0.0)
        # One step more: what follows step t is the return of step t + 1, or the episode's end.
        rest_ET = np.concatenate([returns_ET[:, 1:], np.zeros((len(rewards_ET), 1))], axis=1)
        rest_ET[np.arange(len(lengths_E)), lengths_E - 1] = bootstrap_E
    return returns_ET


def normalised(values: Floats) -> Floats:
    """Shifted to mean 0 and scaled to standard deviation 1; only shifted if they are all equal."""
    scaled: Floats = (values - values.mean()) / (values.std() + 1e-8)
    return scaled
