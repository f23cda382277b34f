"""What stands where in a run's folder, and how its files of lines are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from agents.checkpoint import CHECKPOINT, INDEX, write_atomically

BEST = "best"
"""The folder of the checkpoint that scored best on the validation split."""
CLONE = "clone"
"""The folder of the start that was cloned: a run of its own."""
METRICS = "metrics.jsonl"
"""The numbers of each iteration."""
CURVE = "curve.jsonl"
"""The scores on the way, where there are some."""
SCORES = "scores.jsonl"
"""Those that early stopping goes by."""
PREDICTIONS = "predictions.jsonl"
"""What the agent said in the end."""
RESULTS = "results.json"
"""The scores in the end, which are written last."""
CURVE_IMAGE = "curve.png"
REPORT = "report.html"
OUTCOMES = (METRICS, CURVE, SCORES, PREDICTIONS, RESULTS, CURVE_IMAGE, REPORT)
"""The files that are about the run's agent."""


def clear(folder: Path) -> None:
    """Take away what an older run left in a folder, so that nothing of it passes for a new one's.

    Its tensors stay until new ones take their place.
    """
    for place in (folder, folder / CLONE):
        for checkpoint in (CHECKPOINT, BEST):
            (place / checkpoint / INDEX).unlink(missing_ok=True)
        for name in OUTCOMES:
            (place / name).unlink(missing_ok=True)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The JSON objects of a file, a line each; none where there is no file.

    A last line without its end is being written, or was cut off when its writer was killed: it is
    left out.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def keep_lines(path: Path, key: str, last: int) -> list[dict[str, Any]]:
    """Drop the lines of a file of JSON objects whose `key` is above `last`; the others."""
    if not path.exists():
        return []
    kept = [line for line in read_lines(path) if line[key] <= last]
    write_atomically(path, "".join(json.dumps(line) + "\n" for line in kept).encode())
    return kept
