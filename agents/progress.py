"""What a person sees while an agent trains: a curve or a bar on a terminal, elsewhere lines."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from agents.chart import chart
from agents.run_files import read_lines

Show: TypeAlias = Literal["auto", "live", "bar", "lines", "none"]
"""What is shown: by default a curve on a terminal where there are points for one, else a bar;
lines elsewhere."""
SECONDS_BETWEEN_LINES = 20.0
BAR_WIDTH = 12
TAKEN = BAR_WIDTH + len("100%") + len("0:00:00") + 5
"""Columns of the terminal that the bar, the share, the time and the gaps need."""


CHART_ROWS = 8
TALLEST = CHART_ROWS + 10
"""Rows that a terminal needs to have for the live view."""
RECENT = 30.0
"""Seconds over which the speed is measured from which the time left follows."""


class Leg(NamedTuple):
    """A training on its way.

    Attributes:
        title: who trains.
        first: the run's step at which it began.
        last: the one at which it will end.
        step: the present one, later than `first` in a resumed training.
    """

    title: str
    first: int
    last: int
    step: int

    @property
    def total(self) -> int:
        """Steps of the whole leg."""
        return self.last - self.first


class ProgressBar:
    """A bar with the share done, the time left and as many numbers as the terminal has room for.

    Args:
        leg: the training.
        shown: the numbers to show, name -> format, the most important first.
        console: the terminal.
    """

    def __init__(self, leg: Leg, shown: Mapping[str, str], console: Console | None = None) -> None:
        """Draw the bar."""
        console = console or Console(stderr=True)
        self.leg = leg
        self.shown = shown
        self._room = console.width - TAKEN - len(leg.title)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=BAR_WIDTH),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[numbers]}"),
            console=console,
        )
        self._task = self._bar.add_task(leg.title, total=leg.total, numbers="")
        self._bar.start()

    def record(self, step: int, numbers: Mapping[str, float]) -> None:
        """Move the bar."""
        done = min(step - self.leg.first, self.leg.total)
        text = ""
        for each in texts(numbers, self.shown):
            longer = f"{text}  {each}".strip()
            if len(longer) > self._room:
                break
            text = longer
        self._bar.update(self._task, completed=done, numbers=text)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.stop()


class LiveView:
    """The learning curve, the latest numbers, a bar and the time left, in place.

    Args:
        leg: the training.
        shown: the numbers to show, name -> format.
        curve: a file of JSON lines with the scores on the way: timesteps, value; it need not be
            there yet.
        console: the terminal.
    """

    def __init__(
        self, leg: Leg, shown: Mapping[str, str], curve: Path, console: Console | None = None
    ) -> None:
        """Draw it."""
        self.leg = leg
        self.shown = shown
        self.curve = curve
        self.console = console or Console(stderr=True)
        self._speed: deque[tuple[float, int]] = deque([(time.monotonic(), leg.step)])
        self._step = leg.step
        self._numbers: Mapping[str, float] = {}
        self._live = Live(self._drawn(), console=self.console, auto_refresh=False)
        self._live.start(refresh=True)

    def record(self, step: int, numbers: Mapping[str, float]) -> None:
        """Draw it anew."""
        self._step, self._numbers = step, numbers
        now = time.monotonic()
        self._speed.append((now, step))
        while len(self._speed) > 2 and now - self._speed[0][0] > RECENT:
            self._speed.popleft()
        self._live.update(self._drawn(), refresh=True)

    def close(self) -> None:
        """Leave the last view, with the last score."""
        self._live.update(self._drawn(), refresh=True)
        self._live.stop()

    def _drawn(self) -> Panel:
        room = min(self.console.width, 100) - 4
        points = scores_in(self.curve)
        lines = []
        if points:
            best = max(points, key=lambda point: point[1])
            lines.append(
                f"score on the validation split: {points[-1][1]:.3f}; "
                f"best {best[1]:.3f} at {best[0]:,.0f} actions"
            )
            ends = (min(self.leg.first, points[0][0]), self.leg.last)
            lines += chart(points, room, CHART_ROWS, ends)
        done = min(max((self._step - self.leg.first) / max(self.leg.total, 1), 0.0), 1.0)
        filled = round(done * 2 * BAR_WIDTH)
        bar = "━" * filled + " " * (2 * BAR_WIDTH - filled)
        count = f"{self._step - self.leg.first:,}/{self.leg.total:,} actions"
        lines.append(f"{bar} {done:4.0%}  {count}  {self._left()}")
        group = Group(
            *(Text(line) for line in lines),
            Text("  ".join(texts(self._numbers, self.shown)) or "begins"),
        )
        return Panel(group, title=self.leg.title, title_align="left", width=room + 4)

    def _left(self) -> str:
        (began, first), (now, last) = self._speed[0], self._speed[-1]
        if last == first:
            return ""
        return f"{clock((now - began) * max(self.leg.last - last, 0) / (last - first))} left"


def scores_in(curve: Path) -> list[tuple[float, float]]:
    """The points of a learning curve's file that are numbers; none where it is not there."""
    points = [(line["timesteps"], line["value"]) for line in read_lines(curve)]
    return [point for point in points if math.isfinite(point[1])]


class ProgressLines:
    """A line every 20 seconds, and one at the end.

    Args:
        leg: the training.
        shown: the numbers to show, name -> format.
    """

    def __init__(self, leg: Leg, shown: Mapping[str, str]) -> None:
        """Start the clock."""
        self.leg = leg
        self.shown = shown
        self._began = self._last_line = time.monotonic()

    def record(self, step: int, numbers: Mapping[str, float]) -> None:
        """Print a line where one is due."""
        leg, now = self.leg, time.monotonic()
        if now - self._last_line < SECONDS_BETWEEN_LINES and step < leg.last:
            return
        self._last_line = now
        left = (now - self._began) * max(leg.last - step, 0) / max(step - leg.step, 1)
        text = "  ".join(texts(numbers, self.shown))
        done = f"{leg.title} {step - leg.first:,}/{leg.total:,}"
        print(f"{done}  {text}  {clock(left)} left", flush=True)

    def close(self) -> None:
        """Nothing is open."""


def texts(numbers: Mapping[str, float], shown: Mapping[str, str]) -> list[str]:
    """The numbers to show, each with the last part of its name.

    >>> texts({"a/reward": 0.5, "time/steps_per_s": 1234.0}, {"a/reward": ".2f", "b": ".1f"})
    ['reward 0.50']
    """
    return [
        f"{name.rpartition('/')[2]} {numbers[name]:{spec}}"
        for name, spec in shown.items()
        if name in numbers
    ]


def clock(seconds: float) -> str:
    """Minutes and seconds.

    >>> clock(75)
    '1:15'
    """
    minutes, rest = divmod(math.ceil(seconds), 60)
    return f"{minutes}:{rest:02}"
