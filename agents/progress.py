"""What a person sees while an agent trains: a bar on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES = 20.0
BAR_WIDTH = 12
TAKEN = BAR_WIDTH + len("100%") + len("0:00:00") + 5
"""Columns of the terminal that the bar, the share, the time and the gaps need."""


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
