"""The table of a learning benchmark: means over seeds with 95 % t intervals, beside the ladder."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from statistics import mean, stdev
from typing import NamedTuple

from scipy.stats import t as student

from benchmarks.aggregates import Scores, estimate, interquartile_mean, optimality_gap
from benchmarks.records import CLONED, Record
from benchmarks.suites import CLONE

UNEVEN = 1.05
"""How many times as many actions as another are no longer equal."""
REFERENCE = "ppo"
"""The agent that the others are compared with."""
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


def spread(values: Sequence[float], lowest: float = -math.inf, highest: float = math.inf) -> Spread:
    """Mean and 95 % interval of Student's t, which ends where values do.

    Args:
        values: one a seed.
        lowest: that a value can be.
        highest: that a value can be.
    """
    middle, count = mean(values), len(values)
    if count == 1:
        return Spread(middle, None, None, 1)
    half = float(student.ppf(0.975, count - 1)) * stdev(values) / math.sqrt(count)
    return Spread(middle, max(lowest, middle - half), min(highest, middle + half), count)


def seed_by_seed(runs: Sequence[Record], usual: Sequence[Record]) -> str:
    """How much better runs are than the usual ones of the same seeds.

    "" without such, and for the usual ones themselves.
    """
    first = {run.seed: run.score() for run in usual}
    differences = [run.score() - first[run.seed] for run in runs if run.seed in first]
    return str(spread(differences, -1, 1)) if differences and runs != usual else ""


def table_of(records: Sequence[Record]) -> str:
    """Markdown: a section an environment, a line an agent."""
    return "\n\n".join(
        f"**{env}**\n\n{section([record for record in records if record.env == env])}"
        for env in dict.fromkeys(record.env for record in records)
    )


def section(runs: Sequence[Record]) -> str:
    """Markdown: the table of one environment; without the columns that hold nothing."""
    reference = [run for run in runs if run.agent == REFERENCE]
    rows = [
        [
            "agent",
            f"{runs[0].score_name} on the test split [95 %]",
            "gain over its start [95 %]",
            f"difference from {REFERENCE.upper()}, seed by seed [95 %]",
            "actions",
            "minutes",
            "seeds",
        ]
    ]
    ladder = {label: _row_of_ladder(label, runs) for label in LADDER}
    rows += [row for label, row in ladder.items() if row and label != "expert"]
    for agent in dict.fromkeys(run.agent for run in runs if run.agent != CLONE):
        own = [run for run in runs if run.agent == agent]
        gains = spread([run.score() - run.score(CLONED) for run in own])
        differences = seed_by_seed(own, reference)
        scores = spread([run.score() for run in own], 0, 1)
        rows.append(_row(own[0].label, scores, str(gains), differences, own))
    rows += [ladder["expert"]] if ladder["expert"] else []
    columns = [column for column in zip(*rows, strict=True) if any(column[1:])]
    lines = [f"| {' | '.join(row)} |" for row in zip(*columns, strict=True)]
    return "\n".join([lines[0], f"|{'---|' * len(columns)}", *lines[1:]])


def summary(records: Sequence[Record]) -> str:
    """Markdown: a line an agent, a column an environment, the mean score over seeds in each."""
    envs = list(dict.fromkeys(record.env for record in records))
    names = {record.env: record.score_name for record in records}
    labels = dict.fromkeys(record.label for record in records if record.agent != CLONE)
    rows = [label for label in LADDER if label != "expert"] + [*labels, "expert"]
    lines = [
        f"| | {' | '.join(f'{env}, {names[env]}' for env in envs)} |",
        f"|---|{'---|' * len(envs)}",
    ]
    for row in rows:
        cells = []
        for env in envs:
            runs = [run for run in records if run.env == env]
            scores = [run.score() for run in runs if run.label == row] or rung(row, runs)
            cells.append(f"{mean(scores):.3f}" if scores else "")
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return "\n".join(lines)


class Aggregated(NamedTuple):
    """Agents over the environments in which all of them were trained."""

    envs: list[str]
    labels: dict[str, str]
    """Agent -> its name for people."""
    scores: dict[str, Scores]
    """Agent -> its scores in each of the environments, on a scale from the random policy's of the
    same run, 0, to the expert's, 1."""


def aggregated(records: Sequence[Record]) -> Aggregated | None:
    """The agents that were trained in every environment which has several, over these.

    None for fewer than two such environments, without such agents, and where nothing has two
    seeds, to draw intervals from.
    """
    trained = [record for record in records if record.agent != CLONE]
    done = Counter((run.env, run.agent) for run in trained)
    agents_in = Counter(env for env, _ in done)
    envs = [env for env, agents in agents_in.items() if agents > 1]
    runs = [run for run in trained if all((env, run.agent) in done for env in envs)]
    labels = {run.agent: run.label for run in runs}
    seeds = [done[env, agent] for env in envs for agent in labels]
    if len(envs) < 2 or max(seeds, default=0) < 2:
        return None
    scores: dict[str, Scores] = {
        agent: [
            [normalised(run) for run in runs if (run.env, run.agent) == (env, agent)]
            for env in envs
        ]
        for agent in labels
    }
    return Aggregated(envs, labels, scores)


def aggregate(records: Sequence[Record]) -> str:
    """Markdown: the statistics over environments; "" where there are none."""
    found = aggregated(records)
    if found is None:
        return ""
    lines = [
        f"**{', '.join(found.envs)}**, scores normalised: random 0, expert 1\n",
        "| agent | interquartile mean [95 %] | optimality gap [95 %] |",
        "|---|---|---|",
    ]
    for agent, scores in found.scores.items():
        mean_, gap = estimate(interquartile_mean, scores), estimate(optimality_gap, scores)
        lines.append(f"| {found.labels[agent]} | {mean_} | {gap} |")
    lines += [f"\n{note}" for note in _notes(found, records)]
    return "\n".join(lines)


def _notes(found: Aggregated, records: Sequence[Record]) -> list[str]:
    """What the comparison leaves out, and where it is uneven."""
    notes = []
    trained = {run.agent: run.label for run in records if run.agent != CLONE}
    if others := [label for agent, label in trained.items() if agent not in found.labels]:
        notes.append(f"Not trained in all of these, and left out: {', '.join(others)}.")
    for env in found.envs:
        steps = {
            run.label: run.timesteps
            for run in records
            if run.env == env and run.agent in found.labels
        }
        if max(steps.values()) > UNEVEN * min(steps.values()):
            each = ", ".join(f"{label} {count:,}" for label, count in steps.items())
            notes.append(f"Numbers of actions differ in {env}: {each}.")
    return notes


def normalised(run: Record) -> float:
    """Its score on a scale from the random policy's to the expert's."""
    lowest, highest = run.score("random"), run.score("expert")
    return (run.score() - lowest) / (highest - lowest)


def rung(label: str, runs: Sequence[Record]) -> list[float]:
    """What stands in the ladder of one environment under a label: a score a seed.

    The same seed has the same start, whichever algorithm goes on from it.
    """
    return list({run.seed: run.score(label) for run in runs if label in run.scores}.values())


def _row_of_ladder(label: str, runs: Sequence[Record]) -> list[str]:
    scores = rung(label, runs)
    if not scores:
        return []
    clones = [run for run in runs if (run.agent, label) == (CLONE, CLONED)]
    return _row(label, spread(scores, 0, 1), "", "", clones)


def _row(
    label: str, scores: Spread, gains: str, differences: str, runs: Sequence[Record]
) -> list[str]:
    """A row of the table, with the actions and minutes of the runs, on average."""
    steps = minutes = ""
    if runs:
        steps = f"{mean(run.timesteps for run in runs):,.0f}"
        minutes = f"{mean(run.training_seconds for run in runs) / 60:.1f}"
    return [label, str(scores), gains, differences, steps, minutes, str(scores.seeds)]
