"""What a run ends with: a table of scores, a learning curve and results.json."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from agents.checkpoint import write_atomically
from agents.evaluation import Interval, Result


class Point(NamedTuple):
    """A score on the way."""

    timesteps: int
    score: Interval
    seconds: float
    """Of training so far, without the scoring."""


def line_of(point: Point) -> dict[str, Any]:
    """A point as JSON."""
    return {
        "timesteps": point.timesteps,
        "seconds": round(point.seconds, 1),
        **point.score._asdict(),
    }


def point_of(line: Mapping[str, Any]) -> Point:
    """A point that `line_of` made JSON."""
    score = Interval(**{name: line[name] for name in Interval._fields})
    return Point(line["timesteps"], score, line["seconds"])


def table(rows: Mapping[str, Result], title: str) -> str:
    """The scores of several agents as text, a line an agent, each with its 95 % interval.

    Scores of a part, such as `PER/f1`, are left out.
    """
    every = dict.fromkeys(name for result in rows.values() for name in result.scores)
    names = [name for name in every if "/" not in name]
    cells = [["", *names]]
    for label, result in rows.items():
        found = [str(result.scores[name]) if name in result.scores else "" for name in names]
        cells.append([label, *found])
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]
    return "\n".join([title, lines[0], "-" * max(map(len, lines)), *lines[1:]])


def save_curve(
    path: Path, points: Sequence[Point], lines: Mapping[str, Interval], title: str, score_name: str
) -> None:
    """Draw the score over the timesteps, and what others score, as a PNG.

    Args:
        path: of the image.
        points: the agent's scores.
        lines: label -> score, drawn across.
        title: above the plot.
        score_name: of the vertical axis.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    steps = [point.timesteps for point in points]
    axes.plot(steps, [point.score.value for point in points], color="C0", label="this run")
    axes.fill_between(
        steps,
        [point.score.low for point in points],
        [point.score.high for point in points],
        color="C0",
        alpha=0.2,
        linewidth=0,
    )
    for number, (label, score) in enumerate(lines.items(), start=1):
        axes.axhline(score.value, color=f"C{number}", linestyle="--", label=label)
    axes.set(xlabel="timesteps (actions)", ylabel=score_name, title=title)
    axes.grid(alpha=0.3)
    axes.legend()
    partial = path.with_name(f".{path.name}")
    figure.savefig(partial, dpi=120, format="png")
    partial.replace(path)


def save_results(
    path: Path,
    settings: Mapping[str, Any],
    rows: Mapping[str, Result],
    points: Sequence[Point],
    facts: Mapping[str, Any],
) -> None:
    """Write settings, scores with intervals, and the learning curve as JSON.

    A number that is not finite becomes null.
    """
    content = {
        "settings": settings,
        **facts,
        "scores": {
            label: {name: score._asdict() for name, score in result.scores.items()}
            for label, result in rows.items()
        },
        "episodes": {label: len(result.examples) for label, result in rows.items()},
        "curve": [line_of(point) for point in points],
    }
    text = json.dumps(_strict(content), indent=2, default=str, allow_nan=False)
    write_atomically(path, (text + "\n").encode())


def _strict(value: Any) -> Any:
    """The same with None for NaN and infinities, which JSON has not."""
    if isinstance(value, dict):
        return {key: _strict(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
