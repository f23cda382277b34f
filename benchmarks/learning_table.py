"""The table of a learning benchmark: means over seeds with 95 % t intervals, beside the ladder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import mean, stdev
from typing import Any, NamedTuple

from scipy.stats import t as student

CLONE = "bc"
"""The algorithm that all others start from."""
CLONED = "cloned"
LADDER = ("random", "majority", "heuristic", CLONED, "expert")
"""What stands beside the algorithms, as `agents.train` names it."""


class Spread(NamedTuple):
    """A mean over seeds and its 95 % interval; None where one seed gives no interval."""

    mean: float
    low: float | None
    high: float | None
    seeds: int

    def __str__(self) -> str:
        """As text.

        >>> print(spread([0.5, 0.6, 0.7]))
        0.600 [0.352, 0.848]
        """
        if self.low is None:
            return f"{self.mean:.3f}"
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def spread(values: Sequence[float]) -> Spread:
    """Mean and 95 % interval of Student's t."""
    middle, count = mean(values), len(values)
    if count == 1:
        return Spread(middle, None, None, 1)
    half = float(student.ppf(0.975, count - 1)) * stdev(values) / math.sqrt(count)
    return Spread(middle, middle - half, middle + half, count)


def table_of(results: Sequence[tuple[str, str, dict[str, Any]]]) -> str:
    """Markdown: a section an environment, a line an agent.

    Args:
        results: environment, algorithm and the run's results.json, one entry a run.
    """
    return "\n\n".join(
        _section(env, [(algorithm, facts) for name, algorithm, facts in results if name == env])
        for env in dict.fromkeys(env for env, _, _ in results)
    )


def _section(env: str, runs: Sequence[tuple[str, dict[str, Any]]]) -> str:
    score_name = runs[0][1]["score_name"]

    def score(facts: dict[str, Any], label: str) -> float:
        return float(facts["scores"][label][score_name]["value"])

    lines = []
    most = 0
    for label in LADDER:
        # The same seed has the same start, whichever algorithm goes on from it.
        scored = [facts for _, facts in runs if label in facts["scores"]]
        by_seed = {facts["settings"]["seed"]: score(facts, label) for facts in scored}
        if by_seed:
            clones = [facts for name, facts in runs if (name, label) == (CLONE, CLONED)]
            lines.append(_line(label, str(spread(list(by_seed.values()))), "", clones))
            most = max(most, len(by_seed))
    for algorithm in dict.fromkeys(name for name, _ in runs if name != CLONE):
        own = [facts for name, facts in runs if name == algorithm]
        name = own[0]["algorithm"]
        ends = [score(facts, name) for facts in own]
        gains = [end - score(facts, CLONED) for end, facts in zip(ends, own, strict=True)]
        lines.insert(len(lines) - 1, _line(name, str(spread(ends)), str(spread(gains)), own))
    return "\n".join(
        [
            f"**{env}**, {score_name} on the test split, {most} seeds; all start from `{CLONED}`",
            "",
            f"| agent | {score_name} [95 %] | gain over its start [95 %] | actions | minutes |",
            "|---|---|---|---|---|",
            *lines,
        ]
    )


def _line(label: str, scores: str, gains: str, runs: Sequence[dict[str, Any]]) -> str:
    """A line of the table, with the actions and minutes of the runs, on average."""
    steps = minutes = ""
    if runs:
        steps = f"{mean(facts['timesteps'] for facts in runs):,.0f}"
        minutes = f"{mean(facts['training_seconds'] for facts in runs) / 60:.1f}"
    return f"| {label} | {scores} | {gains} | {steps} | {minutes} |"
