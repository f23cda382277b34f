"""One training of a benchmark: a process and a folder of its own, whose results are kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from agents.checkpoint import write_atomically
from agents.run_files import RESULTS

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
"""That this process may use."""
LOG = "train.log"
COMMANDS = "commands.json"
"""Those of a cell that went well."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One training.

    Attributes:
        folder: of the run.
        env: the environment's id.
        agent: the algorithm's short name.
        seed: of the run.
        command: the arguments of `python`, without the folder and the start.
        start: the cell whose best checkpoint it starts from.
    """

    folder: Path
    env: str
    agent: str
    seed: int
    command: tuple[str, ...]
    start: Cell | None = None

    @property
    def arguments(self) -> list[str]:
        """Of `python`."""
        start = [] if self.start is None else ["--start", str(self.start.folder / "best")]
        return [*self.command, *start, "--out", str(self.folder)]

    @property
    def commands(self) -> list[list[str]]:
        """Its own arguments, after those of the cells that it builds on."""
        before = [] if self.start is None else self.start.commands
        return [*before, self.arguments]

    @property
    def finished(self) -> bool:
        """Whether it went well, by these commands."""
        path = self.folder / COMMANDS
        return path.exists() and json.loads(path.read_text("utf-8")) == self.commands

    @property
    def log(self) -> Path:
        """What the run printed."""
        return self.folder / LOG

    def forget(self) -> None:
        """Let it be unfinished."""
        (self.folder / COMMANDS).unlink(missing_ok=True)

    def run(self) -> bool:
        """Train; whether it went well. Without its start it does not."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.forget()
        with open(self.log, "w", encoding="utf-8") as log:
            if self.start is not None and not self.start.finished:
                log.write(f"its start failed: see {self.start.log}\n")
                return False
            ended = subprocess.run(  # noqa: S603  our own modules and options
                [sys.executable, *self.arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                check=False,
            )
        if ended.returncode:
            return False
        write_atomically(self.folder / COMMANDS, (json.dumps(self.commands) + "\n").encode())
        return True

    def results(self) -> dict[str, Any]:
        """What the run wrote."""
        found: dict[str, Any] = json.loads((self.folder / RESULTS).read_text("utf-8"))
        return found


def seeds_in(folder: Path) -> int:
    """One more than the highest seed that a benchmark's folder has, FOLDER/ENV/AGENT/SEED."""
    names = [place.name for place in folder.glob("*/*/*") if place.name.isdecimal()]
    return max(map(int, names), default=-1) + 1


def unfinished(cells: Iterable[Cell]) -> list[Cell]:
    """The cells that are to be run, those that others start from before them.

    Where a start is run again, so is what starts from it.
    """
    found: dict[Path, Cell] = {}

    def add(cell: Cell) -> None:
        if cell.start is not None:
            add(cell.start)
        again = cell.start is not None and cell.start.folder in found
        if again or not cell.finished:
            found.setdefault(cell.folder, cell)

    for cell in cells:
        add(cell)
    return list(found.values())


def run_all(todo: Sequence[Cell], jobs: int, ended: Callable[[], None]) -> list[Cell]:
    """Run cells, some at a time, each after its start.

    Args:
        todo: a start comes before what builds on it.
        jobs: at a time.
        ended: is called each time that one has ended.

    Returns:
        Those that failed.
    """
    again = {cell.folder for cell in todo}
    for cell in todo:
        if cell.start is not None and cell.start.folder in again:
            cell.forget()  # at once: should this end early, it does not pass for the new start's
    failed: list[Cell] = []
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with (
        Progress(*columns, console=console, disable=not console.is_terminal) as bar,
        ThreadPoolExecutor(jobs) as pool,
    ):
        task = bar.add_task("trainings", total=len(todo))
        waiting = list(todo)
        running: dict[Any, Cell] = {}
        while waiting or running:
            busy = {cell.folder for cell in [*waiting, *running.values()]}
            for cell in list(waiting):
                if len(running) < jobs and (cell.start is None or cell.start.folder not in busy):
                    waiting.remove(cell)
                    running[pool.submit(cell.run)] = cell
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                cell = running.pop(future)
                state = "finished" if future.result() else f"FAILED, see {cell.log}"
                console.print(f"{cell.folder}: {state}", highlight=False, soft_wrap=True)
                if not future.result():
                    failed.append(cell)
                bar.advance(task)
                ended()
    return failed
