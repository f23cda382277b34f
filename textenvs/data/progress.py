"""How far a long job is, on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType

_FIRST, _NEXT = 1.0, 0.2  # seconds


class Progress:
    """A line on standard error, if that is a terminal and the job takes longer than a second.

    >>> with Progress("reading big.json", total=100) as progress:
    ...     progress.at(50)

    Args:
        what: What is being done.
        total: How much there is to do, in any unit.
        clock: Tells the time in seconds.
    """

    def __init__(self, what: str, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._what, self._total, self._clock = what, total, clock
        self._due = clock() + _FIRST if sys.stderr.isatty() else float("inf")
        self._width = 0

    def at(self, done: int) -> None:
        """Say how much is done, if it is time to."""
        if self._clock() < self._due:
            return
        share = min(done / max(self._total, 1), 1.0)
        self._show(f"textenvs: {self._what}: {share:.0%}")
        self._due = self._clock() + _NEXT

    def __enter__(self) -> Progress:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wipe the line out."""
        if self._width:
            self._show("")
            sys.stderr.write("\r")

    def _show(self, line: str) -> None:
        sys.stderr.write("\r" + line.ljust(self._width))
        sys.stderr.flush()
        self._width = len(line)
