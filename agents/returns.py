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


def normalised(values: Floats) -> Floats:
    """Shifted to mean 0 and scaled to standard deviation 1; only shifted if they are all equal."""
    scaled: Floats = (values - values.mean()) / (values.std() + 1e-8)
    return scaled
