"""What a run tells while it trains: a progress line, TensorBoard events and metrics.jsonl."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from agents.checkpoint import write_atomically

METRICS = "metrics.jsonl"
SECONDS_BETWEEN_LINES = 20.0


class RunLog:
    """Records the numbers of each iteration.

    On a terminal there is a progress bar with the time left; elsewhere a line now and then.

    Args:
        title: shown in front.
        leg: the run's steps at which this training began and will end.
        step: the run's present step, later than the leg's beginning in a resumed run; what was
            logged beyond it is dropped.
        folder: gets metrics.jsonl and TensorBoard events; None writes no files.
        progress: whether to show progress at all.
        shown: the numbers to show, name -> format.
    """

    def __init__(
        self,
        title: str,
        leg: tuple[int, int],
        step: int,
        folder: Path | None,
        progress: bool,
        shown: Mapping[str, str],
    ) -> None:
        """Nothing is opened before the `with` block."""
        self.title = title
        self.folder = folder
        self.shown = shown
        self._first, self.total = leg[0], leg[1] - leg[0]
        self._start = step
        self._progress = progress
        self._bar: Progress | None = None
        self._writer: Any = None
        self._began = self._last_line = time.monotonic()

    def __enter__(self) -> RunLog:
        """Open files and the bar."""
        if self.folder is not None:
            from torch.utils.tensorboard.writer import SummaryWriter

            self.folder.mkdir(parents=True, exist_ok=True)
            keep_lines(self.folder / METRICS, "step", self._start)
            self._writer = SummaryWriter(
                log_dir=str(self.folder / "tensorboard"), purge_step=self._start + 1
            )
        if self._progress and sys.stderr.isatty():
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=20),
                TaskProgressColumn(),
                TextColumn("{task.fields[numbers]}"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
            )
            self._task = self._bar.add_task(self.title, total=self.total, numbers="")
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close files and the bar."""
        if self._bar is not None:
            self._bar.stop()
        if self._writer is not None:
            self._writer.close()

    def record(self, step: int, numbers: Mapping[str, float]) -> None:
        """Log one iteration's numbers.

        Args:
            step: the run's step that it led to.
            numbers: name -> value; names with a slash are grouped in TensorBoard.
        """
        if self.folder is not None:
            with open(self.folder / METRICS, "a", encoding="utf-8") as file:
                file.write(json.dumps({"step": step, **numbers}) + "\n")
            for name, value in numbers.items():
                self._writer.add_scalar(name, value, step)
        done = step - self._first
        text = "  ".join(
            f"{name.rpartition('/')[2]} {numbers[name]:{spec}}"
            for name, spec in self.shown.items()
            if name in numbers
        )
        now = time.monotonic()
        if self._bar is not None:
            self._bar.update(self._task, completed=min(done, self.total), numbers=text)
        elif self._progress and (
            now - self._last_line > SECONDS_BETWEEN_LINES or done >= self.total
        ):
            self._last_line = now
            left = (now - self._began) * max(self.total - done, 0) / max(step - self._start, 1)
            print(f"{self.title} {done:,}/{self.total:,}  {text}  {_clock(left)} left", flush=True)


def keep_lines(path: Path, key: str, last: int) -> list[dict[str, Any]]:
    """Drop the lines of a JSON Lines file whose `key` is above `last`; the others.

    A last line without its end was cut off when its writer was killed, and is dropped too.
    """
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
    kept = [line for line in lines if line[key] <= last]
    write_atomically(path, "".join(json.dumps(line) + "\n" for line in kept).encode())
    return kept


def _clock(seconds: float) -> str:
    """Minutes and seconds.

    >>> _clock(75)
    '1:15'
    """
    minutes, rest = divmod(math.ceil(seconds), 60)
    return f"{minutes}:{rest:02}"
