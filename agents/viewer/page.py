"""The page: runs as JSON, and the script, style and frame that show them."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from agents.errors import AgentError
from agents.traces import Trace
from agents.viewer.run_data import RunData

DIGITS = 5
"""Digits that count of the numbers in a page."""


def page(title: str, runs: Sequence[RunData], about: str = "") -> str:
    """A page about one run, or about two that played the same examples.

    It holds all it needs and asks no network. What comes from data is text in it, never code: it is
    JSON in which no tag can end, and the script shows it as text alone.

    Args:
        title: of the page.
        runs: one or two; the first's episodes are listed.
        about: a line below the title.

    Raises:
        AgentError: there is no run.
    """
    if not runs:
        raise AgentError("a page is about one run, or about two; got none")
    names = NameTable()
    content: dict[str, Any] = {
        "about": about,
        "score_name": next((run.score_name for run in runs if run.score_name), "score"),
        "scored": (
            "On the test split, with 95 % bootstrap intervals."
            if any(run.scores for run in runs)
            else "There are no scores of the test split here: a training's end gives them."
        ),
        "prompts": {each.index: each.prompt for run in runs for each in run.traces},
        "runs": [encoded(run, names) for run in runs],
    }
    content["names"] = names.names
    text = json.dumps(finite(content), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    parts = {
        "title": html.escape(title),
        "css": resource("viewer.css"),
        "data": escaped(text),
        "script": resource("viewer.js"),
    }
    pieces = resource("page.html").split("{{")
    found = [pieces[0]]
    for piece in pieces[1:]:
        name, _, rest = piece.partition("}}")
        found += [parts[name], rest]
    return "".join(found)


def resource(name: str) -> str:
    """A file beside this one."""
    return files("agents.viewer").joinpath(name).read_text(encoding="utf-8")


def escaped(text: str) -> str:
    r"""JSON that ends no script element, whatever it holds.

    >>> escaped('["</script>"]')
    '["\\u003c/script>"]'
    """
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


class NameTable:
    """Names, each written once, and told by number elsewhere."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._numbers: dict[str, int] = {}

    def __getitem__(self, name: str) -> int:
        """The number of a name."""
        if name not in self._numbers:
            self._numbers[name] = len(self.names)
            self.names.append(name)
        return self._numbers[name]


def encoded(run: RunData, names: NameTable) -> dict[str, Any]:
    """A run as the script reads it."""
    return {
        "name": run.name,
        "about": run.about,
        "scores": run.scores,
        "curve": run.curve,
        "metrics": run.metrics,
        "episodes": [episode(each, names) for each in run.traces],
    }


def episode(told: Trace, names: NameTable) -> dict[str, Any]:
    """An episode as columns, a letter each.

    Of its steps: tokens (a), probabilities (p), entropies (h), values (v), advantages (d), rewards
    (r), numbers of legal actions (l), what the task appended (f), alternatives (k). Of the whole:
    index (i), text (x), score (s), metrics (m).
    """
    columns: dict[str, Any] = {
        "i": told.index,
        "x": told.text,
        "s": told.score,
        "m": told.metrics,
        "a": [names[step.token] for step in told.steps],
        "r": [step.reward for step in told.steps],
        "l": [step.legal for step in told.steps],
        "f": [step.appended for step in told.steps],
        "k": [
            [item for token, score in step.alternatives for item in (names[token], score)]
            for step in told.steps
        ],
    }
    if all(step.probability is not None for step in told.steps):
        columns["p"] = [step.probability for step in told.steps]
        columns["h"] = [step.entropy for step in told.steps]
    if all(step.value is not None for step in told.steps):
        columns["v"] = [step.value for step in told.steps]
        columns["d"] = [step.advantage for step in told.steps]
    return columns


def finite(value: Any) -> Any:
    """The same with rounded numbers, and null for those that are not finite."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(each) for each in value]
    return value
