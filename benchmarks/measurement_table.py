"""Measurements as a table for people, and as JSON with all that is needed to repeat them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from agents.provenance import commit_of, provenance
from benchmarks.measuring import Measurement

HEADINGS = ("what", "measured", "unit", "against", "", "ratio [min, max]", "required", "met")
NUMBERS = (1, 4, 5, 6)
"""The columns that stand to the right."""


def table(measurements: Sequence[Measurement]) -> str:
    """A line a measurement."""
    rows = [HEADINGS, *map(_cells, measurements)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if number in NUMBERS else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def markdown_table(measurements: Sequence[Measurement]) -> str:
    """A line a measurement, as Markdown."""
    rules = ("---:" if number in NUMBERS else "---" for number in range(len(HEADINGS)))
    rows = [HEADINGS, tuple(rules), *map(_cells, measurements)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cells(m: Measurement) -> tuple[str, ...]:
    low, high = min(m.round_ratios), max(m.round_ratios)
    if m.required is None:
        required = "-"
    elif m.required_of == "rate":
        required = f"{m.required:,.0f} {m.unit}"
    else:
        required = f"{m.required:g} x"
    if m.at_most and m.required is not None:
        required = f"at most {required}"
    met = {None: "-", True: "yes", False: "NO, MISSED"}[m.met]
    ratio = f"{m.ratio:.3g} [{low:.3g}, {high:.3g}]"
    return (
        m.what, f"{m.rate:,.0f}", m.unit, m.against, f"{m.against_rate:,.0f}", ratio, required, met
    )  # fmt: skip


def facts(measurements: Sequence[Measurement]) -> list[dict[str, Any]]:
    """What a measurement was given, and what follows from it, for JSON."""
    derived = ("rate", "against_rate", "ratio", "round_ratios", "met")
    return [asdict(m) | {name: getattr(m, name) for name in derived} for m in measurements]


def measurement_of(facts: dict[str, Any]) -> Measurement:
    """The measurement whose `facts` these are.

    Raises:
        TypeError: they are not.
    """
    own: dict[str, Any] = {
        name: tuple(value) if name in ("rates", "against_rates") else value
        for name, value in facts.items()
        if name in Measurement.__dataclass_fields__
    }
    return Measurement(**own)


def surroundings() -> dict[str, Any]:
    """What the numbers were measured with."""
    origin = provenance()
    return {
        "commit": commit_of(origin),
        "versions": origin["versions"],
        "machine": origin["machine"],
    }
