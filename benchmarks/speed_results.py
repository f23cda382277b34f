"""What `benchmarks.throughput --out` wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from benchmarks.measurement_table import measurement_of
from benchmarks.measuring import Measurement
from benchmarks.scaling import Growth, growth_of


class SpeedResults(NamedTuple):
    """A file of measurements."""

    measured: list[Measurement]
    growths: list[Growth]
    origin: str
    """Markdown: command, commit, versions, machine."""


def read_speed(path: Path) -> SpeedResults:
    """What a file says.

    Raises:
        ValueError: it is none of `benchmarks.throughput`, or of a smoke run.
    """
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if facts["quick"]:
            raise ValueError(f"{path} is of a smoke run, whose numbers mean nothing")
        versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
        machine = facts["machine"]
        origin = (
            f"`{facts['command']}`, commit `{facts['commit']}`, {versions}; "
            f"{machine['platform']}, {machine['cores']} cores, torch with {facts['threads']} "
            "thread(s)."
        )
        measured = [measurement_of(each) for each in facts["measurements"]]
        return SpeedResults(measured, [growth_of(each) for each in facts["growths"]], origin)
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no file of benchmarks.throughput: {error!r}") from error
