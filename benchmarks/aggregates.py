"""Statistics over several environments and seeds.

Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice": the
interquartile mean, the optimality gap, performance profiles, intervals from a stratified bootstrap.

Shapes: T environments, S seeds, R resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.stats import trim_mean

Scores: TypeAlias = "Sequence[Sequence[float]]"
"""An entry an environment, with a score a seed; environments may have different numbers of seeds.
"""
RESAMPLES = 5_000


class Estimate(NamedTuple):
    """A statistic and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """As text."""
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def interquartile_mean(scores: Scores) -> float:
    """The mean of the middle half of all scores: a quarter of them is left out at either end.

    >>> interquartile_mean([[0.0, 1.0], [2.0, 99.0]])
    1.5
    """
    return float(trim_mean(np.concatenate([np.asarray(each) for each in scores]), 0.25))


def optimality_gap(scores: Scores) -> float:
    """By how much scores fall short of 1, those above it counted as 1.

    >>> optimality_gap([[0.5, 1.0], [1.2, 0.9]])
    0.15
    """
    flat = np.concatenate([np.asarray(each) for each in scores])
    return round(float(np.mean(1 - np.minimum(flat, 1))), 12)


def performance_profile(
    scores: Scores, thresholds: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The share of runs that score above each threshold; environments count alike.

    >>> performance_profile([[0.2, 0.8], [0.6]], np.array([0.0, 0.5, 0.7]))
    array([1.  , 0.75, 0.25])
    """
    shares = [(np.asarray(each)[:, None] > thresholds).mean(0) for each in scores]
    return np.asarray(np.mean(shares, axis=0))


def resampled(scores: Scores, rng: np.random.Generator) -> list[npt.NDArray[np.float64]]:
    """Seeds drawn with replacement, in each environment by itself."""
    return [rng.choice(np.asarray(each, np.float64), len(each)) for each in scores]


def bootstrap(
    statistic: Callable[[Scores], Any], scores: Scores, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[Any, Any]:
    """The 95 % interval of a statistic by the stratified percentile bootstrap.

    Args:
        statistic: a number, or an array of them, of scores.
        scores: of the runs.
        resamples: of the seeds.
        seed: of the drawing.

    Returns:
        The 2.5th and the 97.5th percentiles of the statistic over the resamples.
    """
    rng = np.random.default_rng(seed)
    drawn = [statistic(resampled(scores, rng)) for _ in range(resamples)]  # type: ignore[arg-type]
    low, high = np.percentile(drawn, (2.5, 97.5), axis=0)
    return low, high


def estimate(
    statistic: Callable[[Scores], float], scores: Scores, resamples: int = RESAMPLES
) -> Estimate:
    """A statistic with its interval."""
    low, high = bootstrap(statistic, scores, resamples)
    return Estimate(statistic(scores), float(low), float(high))
