"""How well the agents learn: algorithms in environments, over seeds, on the test split.

Each training is a process with a folder of its own. All algorithms of a seed start from one clone
of the expert. A training that is finished is not run again; one that fails leaves its log, is shown
as failed, and makes the exit status 1.

python -m benchmarks.learning --suite core --only TextNER-v0/ppo --seeds 3
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import tyro

from benchmarks.cells import CORES, Cell, seeds_in
from benchmarks.learning_table import aggregate, table_of
from benchmarks.suites import SUITES, SuiteName, cells, recipes_of
from benchmarks.trained import exit_status, recorded, train


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Train agents over seeds and compare them on the test split."""

    suite: SuiteName = "core"
    """smoke: seconds of everything, to see that it runs; core: a night on 2 cores; full: more
    seeds; real: published data."""
    data: Path | None = None
    """The folder of published data, for the suite real."""
    out: Path = Path("runs/learning")
    """A folder; each training has one in it: SUITE/ENV/ALGORITHM/SEED, and with more options
    SUITE-trial/ENV/ALGORITHM/SEED."""
    only: tuple[str, ...] = ()
    """Environments, or ENV/ALGORITHM; all by default."""
    seeds: int | None = None
    """0, 1, ... of every algorithm; by default as many as the suite has."""
    jobs: int = CORES
    """Trainings at a time, each on one core."""
    options: str = ""
    """More options for every algorithm but the clones, such as "--total-timesteps 2000" for a
    trial."""
    show: bool = False
    """Run nothing: show the table of what is finished."""


def run(settings: Settings) -> int:
    """Train what is not finished, write the records and print the table; the exit status."""
    folder = settings.out / (settings.suite + "-trial" * bool(settings.options))
    suite = SUITES[settings.suite]
    recipes = recipes_of(settings.suite, settings.data)
    chosen = partial(cells, suite, folder, options=settings.options, recipes=recipes)
    wanted = list(chosen(settings.only, settings.seeds))
    every = list(chosen(seeds=max(suite.seeds, settings.seeds or 0, seeds_in(folder))))
    failed: list[Cell] = []
    if settings.show:
        records = recorded(wanted)
    else:
        records, failed = train(wanted, every, folder, settings.jobs)
    if not records:
        print(f"nothing is finished in {folder}")
    print("\n\n".join(filter(None, (table_of(records), aggregate(records)))))
    return exit_status(failed)


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
