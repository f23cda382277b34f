"""Statistics over several environments and seeds.

Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice": the
interquartile mean, the optimality gap, performance profiles, intervals from a stratified bootstrap.

Shapes: S seeds, R resamples, H thresholds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.stats import trim_mean

from agents.evaluation import Interval

Scores: TypeAlias = "Sequence[npt.ArrayLike]"
"""An entry an environment, with a score a seed, (..., S); environments may have different numbers
of seeds, and have the same dimensions before them."""
Numbers: TypeAlias = "npt.NDArray[np.float64]"
RESAMPLES = 5_000


def interquartile_mean(scores: Scores) -> Numbers:
    """The mean of the middle half of all scores: a quarter of them is left out at either end.

    >>> print(interquartile_mean([[0.0, 1.0], [2.0, 99.0]]))
    1.5
    """
    return np.asarray(trim_mean(_together(scores), 0.25, axis=-1))


def optimality_gap(scores: Scores) -> Numbers:
    """By how much scores fall short of 1, those above it counted as 1.

    >>> print(optimality_gap([[0.5, 1.0], [1.25, 0.75]]))
    0.1875
    """
    return np.asarray(np.mean(1 - np.minimum(_together(scores), 1), axis=-1))


def _together(scores: Scores) -> Numbers:
    return np.concatenate([np.asarray(each, np.float64) for each in scores], axis=-1)


def performance_profile(scores: Scores, thresholds: Numbers) -> Numbers:
    """The share of runs that score above each threshold, (..., H); environments count alike.

    >>> performance_profile([[0.2, 0.8], [0.6]], np.array([0.0, 0.5, 0.7]))
    array([1.  , 0.75, 0.25])
    """
    shares = [(np.asarray(each)[..., None] > thresholds).mean(axis=-2) for each in scores]
    return np.asarray(np.mean(shares, axis=0))


def resampled(scores: Scores, rng: np.random.Generator, resamples: int) -> list[Numbers]:
    """Seeds drawn with replacement, in each environment by itself: (R, S) of each."""
    flat = [np.asarray(each, np.float64) for each in scores]
    return [each[rng.integers(len(each), size=(resamples, len(each)))] for each in flat]


def bootstrap(
    statistic: Callable[[Scores], Numbers],
    scores: Scores,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[Numbers, Numbers]:
    """The 95 % interval of a statistic by the stratified percentile bootstrap.

    Args:
        statistic: a number, or an array of them, of scores; of all resamples at once.
        scores: of the runs.
        resamples: of the seeds.
        seed: of the drawing.

    Returns:
        The 2.5th and the 97.5th percentiles of the statistic over the resamples.
    """
    drawn = statistic(resampled(scores, np.random.default_rng(seed), resamples))
    low, high = np.percentile(drawn, (2.5, 97.5), axis=0)
    return low, high


def estimate(
    statistic: Callable[[Scores], Numbers], scores: Scores, resamples: int = RESAMPLES
) -> Interval:
    """A statistic with its interval."""
    low, high = bootstrap(statistic, scores, resamples)
    return Interval(float(statistic(scores)), float(low), float(high))
