"""Trainings that differ in one thing, for studies of what that thing does."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.cells import CORES, Cell
from benchmarks.records import Record
from benchmarks.trained import train


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
        start = None
        if variant.start is not None:
            cloning = f"bc {self.env} --seed {seed} {self.clones[variant.start]}"
            start = self._made(folder, variant.start, seed, cloning, None)
        training = (
            f"{variant.algorithm} {self.env} {variant.seeded} {seed} "
            f"--total-timesteps {self.timesteps} {self.shared} {variant.options} {more}"
        )
        return self._made(folder, name, seed, training, start)

    def _made(self, folder: Path, name: str, seed: int, words: str, start: Cell | None) -> Cell:
        command = ("-m", "agents.train", *shlex.split(words))
        place = folder / self.env / name / str(seed)
        return Cell(folder=place, env=self.env, agent=name, seed=seed, command=command, start=start)


@dataclass(frozen=True, kw_only=True)
class StudySettings:
    """What every study is told."""

    out: Path
    """A folder; each training has one in it: ENV/VARIANT/SEED, and with more options
    trial/ENV/VARIANT/SEED."""
    seeds: int | None = None
    """The first so many of each variant; all by default."""
    jobs: int = CORES
    """Trainings at a time, each on one core."""
    options: str = ""
    """More options of every training but the clones, for a trial."""

    @property
    def folder(self) -> Path:
        """Of the trainings, apart from those of trials."""
        return self.out / "trial" if self.options else self.out


def train_study(
    study: Sequence[Trainings], settings: StudySettings
) -> tuple[list[Record], list[Cell]]:
    """Train what is not finished of a study, and record all that is; see `trained.train`."""
    wanted, every = (
        [
            cell
            for trainings in study
            for cell in trainings.cells(settings.folder, seeds, settings.options)
        ]
        for seeds in (settings.seeds, None)
    )
    return train(wanted, every, settings.folder, settings.jobs)
