"""Figures of a learning benchmark: scores, learning curves, statistics over environments."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.aggregates import (
    Scores,
    bootstrap,
    estimate,
    interquartile_mean,
    optimality_gap,
    performance_profile,
)
from benchmarks.figures import GREY, Look, legend, look, new_figure
from benchmarks.learning_table import LADDER, Aggregated, Spread, rung, spread
from benchmarks.records import CLONED, Record
from benchmarks.suites import CLONE

STYLES = {
    "random": ":",
    "majority": (0, (1, 3)),
    "heuristic": "-.",
    "cloned": "--",
    "expert": (0, (6, 2)),
}
"""How the ladder's lines are drawn."""
GRID = 41
"""Points of a mean curve."""
THRESHOLDS = 201
"""Points of a performance profile."""


class Group(NamedTuple):
    """The runs of an agent."""

    agent: str
    label: str
    runs: list[Record]


def groups(records: Sequence[Record]) -> list[Group]:
    """The runs by agent, without the clones."""
    trained = [record for record in records if record.agent != CLONE]
    return [
        Group(agent, own[0].label, own)
        for agent in dict.fromkeys(record.agent for record in trained)
        if (own := [record for record in trained if record.agent == agent])
    ]


def scores_figure(records: Sequence[Record]) -> Figure:
    """What the agents of one environment score on the test split.

    Of the ladder, the start and the best below the expert are inside; others may stand in the
    legend alone.

    Args:
        records: of the environment.
    """
    found = groups(records)
    figure, (axes,) = new_figure(1.3 + 0.34 * len(found))
    rungs = {label: mean(scores) for label in LADDER if (scores := rung(label, records))}
    best = max((label for label in rungs if label != "expert"), key=rungs.__getitem__)
    inside = [score for label, score in rungs.items() if label in (best, CLONED)]
    for row, (agent, _, runs) in enumerate(found):
        scores = [run.score() for run in runs]
        interval = draw_scores(axes, row, scores, look(agent))
        inside += [*scores, *(end for end in (interval.low, interval.high) if end is not None)]
    lowest, highest = min(inside), max(inside)
    margin = 0.15 * (highest - lowest)
    axes.set_xlim(lowest - margin, highest + margin)
    for label, score in rungs.items():
        axes.axvline(
            score, color=GREY, linestyle=STYLES[label], linewidth=1.2, zorder=1,
            label=f"{label} {score:.2f}",
        )  # fmt: skip
    axes.set_yticks(range(len(found)), [group.label for group in found])
    axes.set_ylim(len(found) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(f"{records[0].score_name} on the test split (at most 1)")
    legend(figure, 5)
    return figure


def draw_scores(axes: Axes, row: int, scores: Sequence[float], look: Look) -> Spread:
    """A row of scores: each, their mean, and its 95 % interval."""
    found = spread(scores, 0, 1)
    if found.low is not None and found.high is not None:
        axes.plot([found.low, found.high], [row, row], color=look.colour, linewidth=2)
    axes.plot(found.mean, row, marker=look.marker, color=look.colour, markersize=8)
    axes.plot(scores, [row] * len(scores), "|", color=look.colour, markersize=12, alpha=0.7)
    return found


class Curve(NamedTuple):
    """The mean of some runs' learning curves, and the lowest and highest of them."""

    x: npt.NDArray[np.float64]
    middle: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]


def mean_curve(runs: Sequence[Record], by: Literal["timesteps", "seconds"]) -> Curve:
    """The mean over runs, as far as all of them go.

    Args:
        runs: of one agent.
        by: what they are over.
    """
    end = min(getattr(run.curve[-1], by) for run in runs)
    x = np.linspace(0, end, GRID)
    values = np.stack(
        [
            np.interp(x, [getattr(p, by) for p in run.curve], [p.value for p in run.curve])
            for run in runs
        ]
    )
    return Curve(x, values.mean(0), values.min(0), values.max(0))


def curves_figure(records: Sequence[Record]) -> Figure:
    """The learning curves of one environment, by actions and by time.

    Args:
        records: of the environment.
    """
    figure, (by_actions, by_time) = new_figure(3.6, columns=2, sharey=True)
    for agent, label, runs in groups(records):
        colour, marker = look(agent)
        for axes, by, unit in ((by_actions, "timesteps", 1e3), (by_time, "seconds", 60.0)):
            curve = mean_curve(runs, by)  # type: ignore[arg-type]
            x = curve.x / unit
            axes.plot(
                x, curve.middle, color=colour, marker=marker, markevery=8, markersize=5,
                label=label if axes is by_actions else None,
            )  # fmt: skip
            axes.fill_between(x, curve.low, curve.high, color=colour, alpha=0.15, linewidth=0)
    by_actions.set_xlabel("actions (thousands)")
    by_time.set_xlabel("training (minutes of one core)")
    by_actions.set_ylabel(f"{records[0].score_name}, validation split")
    legend(figure, 4)
    return figure


def aggregate_figure(found: Aggregated) -> Figure:
    """Interquartile mean and optimality gap of agents, with their intervals."""
    figure, panels = new_figure(1.1 + 0.32 * len(found.scores), columns=2, sharey=True)
    titles = ("interquartile mean (higher is better)", "optimality gap (lower is better)")
    statistics = (interquartile_mean, optimality_gap)
    for axes, title, statistic in zip(panels, titles, statistics, strict=True):
        for row, (agent, scores) in enumerate(found.scores.items()):
            colour, marker = look(agent)
            value, low, high = estimate(statistic, scores)
            axes.plot([low, high], [row, row], color=colour, linewidth=5, alpha=0.4)
            axes.plot(value, row, marker=marker, color=colour, markersize=8)
        axes.set_title(title)
        axes.set_xlabel("score (random 0, expert 1)")
        axes.grid(axis="y", visible=False)
    panels[0].set_yticks(range(len(found.scores)), [found.labels[a] for a in found.scores])
    panels[0].set_ylim(len(found.scores) - 0.4, -0.6)
    return figure


def profiles_figure(found: Aggregated) -> Figure:
    """Performance profiles: the share of runs that score above each threshold."""
    figure, (axes,) = new_figure(3.6)
    every = np.concatenate([each for scores in found.scores.values() for each in scores])
    thresholds = np.linspace(np.floor(every.min() * 10) / 10, 1, THRESHOLDS)

    def profile(drawn: Scores) -> npt.NDArray[np.float64]:
        return performance_profile(drawn, thresholds)

    for agent, scores in found.scores.items():
        colour, marker = look(agent)

        low, high = bootstrap(profile, scores, resamples=2000)
        axes.plot(
            thresholds, profile(scores), color=colour, marker=marker, markevery=20, markersize=5,
            label=found.labels[agent],
        )  # fmt: skip
        axes.fill_between(thresholds, low, high, color=colour, alpha=0.12, linewidth=0)
    axes.set_xlabel("threshold of the score (random 0, expert 1)")
    axes.set_ylabel("share of runs above it")
    axes.set_ylim(-0.02, 1.02)
    legend(figure, 4)
    return figure
