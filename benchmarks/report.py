"""A report of committed results: Markdown with its figures, and one HTML page that stands alone.

python -m benchmarks.report
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import tyro

from agents.checkpoint import write_atomically
from benchmarks.page import as_page
from benchmarks.randomness import read_answers
from benchmarks.records import RESULTS, read_records
from benchmarks.report_parts import (
    FIGURES,
    Part,
    ablations_part,
    joined,
    learning_part,
    origins_part,
    randomness_part,
    speed_part,
)

REPORT = Path(__file__).parents[1] / "docs" / "report"
"""Where that of the committed results is kept, without the page, which is made of it."""
TITLE = "textenvs: benchmark report"


def committed(name: str) -> Path | None:
    """A file of results; None where it is not there."""
    path = RESULTS / name
    return path if path.exists() else None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Write a report of benchmarks' results."""

    learning: tuple[Path, ...] = (RESULTS / "core.jsonl",)
    """Records of `benchmarks.learning`."""
    real: Path | None = field(default_factory=partial(committed, "real.jsonl"))
    """Those on published data."""
    speed: tuple[Path, ...] = tuple(sorted(RESULTS.glob("speed*.json")))
    """Files of `benchmarks.throughput --out`."""
    ablations: Path | None = field(default_factory=partial(committed, "ablations.jsonl"))
    """Records of `benchmarks.ablations`."""
    randomness: Path | None = field(default_factory=partial(committed, "randomness.jsonl"))
    """Records of `benchmarks.randomness`."""
    answers: Path | None = field(default_factory=partial(committed, "answers.jsonl"))
    """Its answers."""
    out: Path = REPORT
    """A folder: report.md with its figures, page.html."""


def report(settings: Settings) -> Part:
    """The whole report.

    Raises:
        ValueError: a file is not what it should be.
        OSError: a file cannot be read.
    """
    records = read_records(settings.learning)
    parts = [Part(f"# {TITLE}\n", {}), learning_part(records)]
    if settings.real is not None:
        found = read_records([settings.real])
        parts.append(learning_part(found, "real"))
        records += found
    if settings.ablations is not None:
        found = read_records([settings.ablations])
        parts.append(ablations_part(found))
        records += found
    if settings.randomness is not None:
        found = read_records([settings.randomness])
        answers = [] if settings.answers is None else read_answers(settings.answers)
        parts.append(randomness_part(found, answers))
        records += found
    parts += [speed_part(path) for path in settings.speed]
    parts.append(origins_part(records))
    return joined(parts)


def write(part: Part, out: Path) -> None:
    """Write report.md with its figures, and page.html, into a folder; other figures in it go."""
    (out / FIGURES).mkdir(parents=True, exist_ok=True)
    for path in (out / FIGURES).glob("*.svg"):
        if path.relative_to(out).as_posix() not in part.images:
            path.unlink()
    for address, svg in part.images.items():
        write_atomically(out / address, svg.encode())
    write_atomically(out / "report.md", part.text.encode())
    write_atomically(out / "page.html", as_page(part.text, TITLE, part.images).encode())


def main() -> None:
    """Read the command line and write the report."""
    settings = tyro.cli(Settings, prog="python -m benchmarks.report", description=__doc__)
    try:
        write(report(settings), settings.out)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    print(f"in {settings.out}: report.md, {FIGURES}, page.html")


if __name__ == "__main__":
    main()
