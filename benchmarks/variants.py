"""Trainings that differ in one thing, for studies of what that thing does."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.cells import Cell, run_all, unfinished
from benchmarks.records import Record, record_of, write_records

RECORDS = "records.jsonl"


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way to train.

    Attributes:
        algorithm: of `agents.train`.
        label: what is particular to it, for people.
        options: more of the algorithm's.
        start: the clone that it starts from; None where `options` say how it starts.
        seeded: which of its seeds is varied; the others stay 0.
    """

    algorithm: str
    label: str
    options: str = ""
    start: str | None = None
    seeded: str = "--seed"


@dataclass(frozen=True, kw_only=True)
class Trainings:
    """Variants in one environment, with equal numbers of actions.

    Attributes:
        env: the environment's id.
        timesteps: actions of each.
        seeds: of each variant.
        variants: name -> variant.
        clones: name -> options of `bc`.
        shared: options of all variants.
    """

    env: str
    timesteps: int
    seeds: Sequence[int]
    variants: Mapping[str, Variant]
    clones: Mapping[str, str] = field(default_factory=dict)
    shared: str = "--validate-every 20"

    def cells(self, folder: Path, seeds: int | None = None, more: str = "") -> list[Cell]:
        """One training a variant and seed, in FOLDER/ENV/VARIANT/SEED, seed by seed.

        Args:
            folder: of the study.
            seeds: the first so many; all by default.
            more: options of every training but the clones, for a trial.
        """
        chosen = self.seeds[:seeds]
        return [self._cell(folder, name, seed, more) for seed in chosen for name in self.variants]

    def _cell(self, folder: Path, name: str, seed: int, more: str) -> Cell:
        variant = self.variants[name]
        words = (
            f"-m agents.train {variant.algorithm} --env {self.env} {variant.seeded} {seed} "
            f"--total-timesteps {self.timesteps} {self.shared} {variant.options} {more}"
        )
        return Cell(
            folder=folder / self.env / name / str(seed),
            env=self.env,
            agent=name,
            seed=seed,
            command=tuple(shlex.split(words)),
            start=None if variant.start is None else self._clone(folder, variant.start, seed),
        )

    def _clone(self, folder: Path, name: str, seed: int) -> Cell:
        words = f"-m agents.train bc --env {self.env} --seed {seed} {self.clones[name]}"
        return Cell(
            folder=folder / self.env / name / str(seed),
            env=self.env,
            agent=name,
            seed=seed,
            command=tuple(shlex.split(words)),
        )


def train(
    wanted: Sequence[Cell], every: Sequence[Cell], folder: Path, jobs: int
) -> tuple[list[Record], int]:
    """Train what is not finished, and write the records of all that is.

    Args:
        wanted: the trainings.
        every: those of the whole study.
        folder: for the records.
        jobs: trainings at a time.

    Returns:
        The records of what was wanted, and the exit status: 1 if a training failed, which is shown
        with its log.
    """
    failed = run_all(unfinished(wanted), jobs)
    write_records(folder / RECORDS, [record_of(cell) for cell in every if cell.finished])
    for cell in failed:
        print(f"FAILED: {shlex.join(['python', *cell.arguments])}; see {cell.log}", file=sys.stderr)
    return [record_of(cell) for cell in wanted if cell.finished], 1 if failed else 0
