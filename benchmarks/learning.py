"""How well the agents learn: every algorithm in every environment, over seeds, on the test split.

Each cell is a run of `python -m agents.train` in a process and a folder of its own. All algorithms
of a seed start from one clone of the expert, a cell too. A cell that is finished is not run again;
a cell that fails leaves its log, is shown as failed, and makes the exit status 1.

python -m benchmarks.learning --only TextNER-v0/ppo --seeds 3
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from benchmarks.learning_table import CLONE, table_of
from benchmarks.recipes import RECIPES

RESULTS, LOG, COMMANDS = "results.json", "train.log", "commands.json"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Train agents over seeds and compare them on the test split."""

    out: Path = Path("runs/learning")
    """A folder; each cell has one in it: ENV/ALGORITHM/SEED."""
    only: tuple[str, ...] = ()
    """Environments, or ENV/ALGORITHM; all by default."""
    seeds: int = 3
    """0, 1, ... of every algorithm."""
    jobs: int = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    """Cells at a time, each on one core."""
    options: str = ""
    """More options for every algorithm, such as "--total-timesteps 2000" for a trial."""
    show: bool = False
    """Run nothing: show the table of what is finished."""


@dataclass(frozen=True)
class Cell:
    """One run."""

    env: str
    algorithm: str
    seed: int
    folder: Path
    options: str

    @property
    def arguments(self) -> list[str]:
        """Of `python`."""
        recipe = RECIPES[self.env]
        fixed = f"-m agents.train {self.algorithm} --env {self.env} --seed {self.seed}"
        if self.algorithm == CLONE:
            return [*shlex.split(f"{fixed} {recipe.clone}"), "--out", str(self.folder)]
        chosen = f"{recipe.shared} {recipe.algorithms[self.algorithm]} {self.options}"
        start = str(self.clone.folder / "best")
        return [*shlex.split(f"{fixed} {chosen}"), "--start", start, "--out", str(self.folder)]

    @property
    def commands(self) -> list[list[str]]:
        """Its own arguments, and those of the clone that it starts from."""
        if self.algorithm == CLONE:
            return [self.arguments]
        return [*self.clone.commands, self.arguments]

    @property
    def clone(self) -> Cell:
        """What it starts from."""
        folder = self.folder.parents[1] / CLONE / str(self.seed)
        return Cell(self.env, CLONE, self.seed, folder, self.options)

    @property
    def finished(self) -> bool:
        """Whether its results are there, of these commands."""
        path = self.folder / COMMANDS
        return (
            (self.folder / RESULTS).exists()
            and path.exists()
            and json.loads(path.read_text("utf-8")) == self.commands
        )

    def run(self) -> bool:
        """Train; whether it went well. Without its clone it does not."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / RESULTS).unlink(missing_ok=True)
        (self.folder / COMMANDS).write_text(json.dumps(self.commands) + "\n", "utf-8")
        with open(self.folder / LOG, "w", encoding="utf-8") as log:
            if self.algorithm != CLONE and not self.clone.finished:
                log.write(f"its start failed: see {self.clone.folder / LOG}\n")
                return False
            ended = subprocess.run(  # noqa: S603  our own module and options
                [sys.executable, *self.arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                check=False,
            )
        return ended.returncode == 0

    def results(self) -> dict[str, Any]:
        """What the run wrote."""
        found: dict[str, Any] = json.loads((self.folder / RESULTS).read_text("utf-8"))
        return found


def cells(settings: Settings) -> Iterator[Cell]:
    """The cells that were asked for, the clones first, then one seed of all before the next.

    Raises:
        ValueError: a name in `only` is no environment or algorithm of the recipes.
    """
    names = [
        f"{env}/{algorithm}" for env, recipe in RECIPES.items() for algorithm in recipe.algorithms
    ]
    for wanted in settings.only:
        if wanted not in RECIPES and wanted not in names:
            raise ValueError(f"no cell {wanted!r}; there are {', '.join([*RECIPES, *names])}")
    chosen = [
        tuple(name.split("/"))
        for name in names
        if not settings.only or name in settings.only or name.split("/")[0] in settings.only
    ]
    clones = [(env, CLONE) for env in dict.fromkeys(env for env, _ in chosen)]
    for some in (clones, chosen):
        for seed in range(settings.seeds):
            for env, algorithm in some:
                folder = settings.out / env / algorithm / str(seed)
                yield Cell(env, algorithm, seed, folder, settings.options)


def train_all(todo: Sequence[Cell], jobs: int) -> list[Cell]:
    """Run cells, some at a time; those that failed."""
    failed = []
    with ThreadPoolExecutor(jobs) as pool:
        for number, (cell, well) in enumerate(zip(todo, pool.map(Cell.run, todo), strict=True), 1):
            state = "finished" if well else f"FAILED, see {cell.folder / LOG}"
            print(f"[{number}/{len(todo)}] {cell.folder}: {state}", file=sys.stderr, flush=True)
            if not well:
                failed.append(cell)
    return failed


def run(settings: Settings) -> int:
    """Train what is not finished and print the table; the exit status."""
    wanted = list(cells(settings))
    todo = [] if settings.show else [cell for cell in wanted if not cell.finished]
    clones = [cell for cell in todo if cell.algorithm == CLONE]
    failed = train_all(clones, settings.jobs)
    failed += train_all([cell for cell in todo if cell not in clones], settings.jobs)
    done = [cell for cell in wanted if cell.finished and cell not in failed]
    print(table_of([(cell.env, cell.algorithm, cell.results()) for cell in done]))
    for cell in failed:
        print(f"FAILED: {shlex.join(['python', *cell.arguments])}; see {cell.folder / LOG}")
    return 1 if failed else 0


def main() -> None:
    """Read the command line and train."""
    settings = tyro.cli(Settings, prog="python -m benchmarks.learning", description=__doc__)
    try:
        sys.exit(run(settings))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
