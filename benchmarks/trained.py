"""Trains what is not finished, and records all that is."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from benchmarks.cells import Cell, run_all, unfinished
from benchmarks.records import Record, record_of, write_records

RECORDS = "records.jsonl"


def train(
    wanted: Sequence[Cell], every: Sequence[Cell], folder: Path, jobs: int
) -> tuple[list[Record], list[Cell]]:
    """Train some of a benchmark's cells; what has ended is recorded at once.

    Args:
        wanted: those.
        every: the whole benchmark, of which all that is finished is recorded.
        folder: for the records.
        jobs: trainings at a time.

    Returns:
        The records of what was wanted, and the cells that failed.
    """

    def record() -> None:
        write_records(folder / RECORDS, recorded(every))

    failed = run_all(unfinished(wanted), jobs, record)
    record()
    return recorded(wanted), failed


def recorded(cells: Sequence[Cell]) -> list[Record]:
    """The records of those that are finished."""
    return [record_of(cell) for cell in cells if cell.finished]


def exit_status(failed: Sequence[Cell]) -> int:
    """1 if a training failed, which is shown with its log."""
    for cell in failed:
        print(f"FAILED: {shlex.join(['python', *cell.arguments])}; see {cell.log}")
    return 1 if failed else 0
