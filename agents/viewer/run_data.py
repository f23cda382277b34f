"""What a page tells of a run: the files in its folder, and the traces of its episodes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents.checkpoint import CHECKPOINT
from agents.errors import AgentError
from agents.run_files import BEST, CURVE, METRICS, RESULTS, read_lines
from agents.traces import Trace

POINTS = 400
"""Points of a curve of numbers; of more, evenly spread ones are taken."""


@dataclass(frozen=True, kw_only=True)
class RunData:
    """A run, as a page tells of it.

    Attributes:
        name: of the run.
        about: what it is, in a few words.
        score_name: the main score; empty where nobody said.
        scores: who -> score -> value and the ends of its interval, on the test split.
        curve: the scores on the way: timesteps, seconds, value, low, high.
        metrics: name of a number -> its values, each with the step.
        traces: of episodes.
    """

    name: str
    about: str
    score_name: str = ""
    scores: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    curve: list[dict[str, float]] = field(default_factory=list)
    metrics: dict[str, list[list[float]]] = field(default_factory=dict)
    traces: Sequence[Trace] = ()


def read_run(folder: Path, name: str, traces: Sequence[Trace], about: str = "") -> RunData:
    """What is in a run's folder; a checkpoint's alone has less.

    Args:
        folder: of the run.
        name: to show.
        traces: of its agent's episodes.
        about: what it is.

    Raises:
        AgentError: a file in it is not what a run writes.
    """
    if folder.name in (BEST, CHECKPOINT) and not (folder / RESULTS).exists():
        folder = folder.parent  # of the run, which tells more than its checkpoint
    try:
        results = read_json(folder / RESULTS)
        lines = read_lines(folder / METRICS)
        curve = read_lines(folder / CURVE)
        metrics: dict[str, list[list[float]]] = {}
        for line in lines:
            for metric, value in line.items():
                if metric != "step" and isinstance(value, (int, float)):
                    metrics.setdefault(metric, []).append([line["step"], value])
        return RunData(
            name=name,
            about=about,
            score_name=str(results.get("score_name", "")),
            scores=scores_of(results),
            curve=[{key: point[key] for key in CURVE_KEYS} for point in curve],
            metrics={metric: thinned(points) for metric, points in metrics.items()},
            traces=traces,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AgentError(f"{folder} is not the folder of a run: {error!r}") from error


CURVE_KEYS = ("timesteps", "seconds", "value", "low", "high")


def scores_of(results: dict[str, Any]) -> dict[str, dict[str, list[float]]]:
    """The ladder of results.json, without scores of parts such as PER/f1."""
    return {
        who: {
            name: [score["value"], score["low"], score["high"]]
            for name, score in scores.items()
            if "/" not in name
        }
        for who, scores in results.get("scores", {}).items()
    }


def thinned(points: list[list[float]]) -> list[list[float]]:
    """At most `POINTS` of them, evenly spread, the last among them.

    >>> thinned([[step, 0.5] for step in range(1000)])[-1]
    [999, 0.5]
    """
    every = -(-len(points) // POINTS)
    return points[:: -every or 1][::-1] if points else points


def read_json(path: Path) -> dict[str, Any]:
    """A file's JSON object; empty where it is not there."""
    if not path.exists():
        return {}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
