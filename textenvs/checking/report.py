"""What a check finds, and the report of all."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

from textenvs.terminal import has_colour, paint, width

Status: TypeAlias = Literal["passed", "failed", "skipped"]

_MARKS = {"passed": ("ok", "green"), "failed": ("FAIL", "red"), "skipped": ("skip", "yellow")}


class CheckFailed(Exception):
    """The environment does not do what the check asks; says what it did instead."""


class NotOffered(Exception):
    """The environment has not what the check is about; says what is missing."""


@dataclass(frozen=True)
class Result:
    """What one check found.

    Attributes:
        name: The check.
        description: What it asks.
        status: ``"passed"``, ``"failed"``, or ``"skipped"`` where the environment does not offer
            what the check is about.
        message: Why it failed or was skipped; empty if it passed.
    """

    name: str
    description: str
    status: Status
    message: str = ""


@dataclass(frozen=True)
class Returns:
    """What a policy got.

    Attributes:
        mean: Its mean undiscounted return over the episodes.
        kind: ``"reference"`` for random, heuristic and expert play, ``"probe"`` for a trick.
        what: What it does.
    """

    mean: float
    kind: Literal["reference", "probe"]
    what: str


@dataclass(frozen=True)
class Report:
    """The findings about one environment; as text by ``str``, as JSON by `to_json`.

    Attributes:
        environment: What was checked.
        results: One of each check.
        episodes: How many episodes a check played.
        returns: The mean returns of policies, tricks among them, by name.
    """

    environment: str
    results: tuple[Result, ...]
    episodes: int
    returns: Mapping[str, Returns]

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return not self.failed

    @property
    def failed(self) -> tuple[str, ...]:
        """The names of the checks that failed."""
        return tuple(result.name for result in self.results if result.status == "failed")

    def __str__(self) -> str:
        return self.to_text(colour=has_colour(), columns=width())

    def to_text(self, *, colour: bool = False, columns: int = 80) -> str:
        """The report in lines of at most ``columns`` columns."""
        lines = [self.environment]
        room = max((len(result.name) for result in self.results), default=0)
        for result in self.results:
            mark, style = _MARKS[result.status]
            mark = paint(f"{mark:4}", style, colour)
            first, *more = textwrap.wrap(result.description, columns - room - 10)
            lines.append(f"  {mark}  {result.name:{room}}  {first}")
            lines += [" " * (room + 10) + line for line in more]
            for paragraph in result.message.splitlines():
                lines += [f"        {line}" for line in textwrap.wrap(paragraph, columns - 8)]
        if self.returns:
            lines += ["", *self._table()]
        counts = {status: sum(r.status == status for r in self.results) for status in _MARKS}
        summary = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
        return "\n".join([*lines, "", summary])

    def _table(self) -> list[str]:
        room = max(map(len, self.returns))
        return [
            f"  mean return over {self.episodes} episodes",
            *(
                f"    {name:{room}}  {returns.mean:6.3f}  {returns.what}"
                for name, returns in self.returns.items()
            ),
        ]

    def to_json(self) -> str:
        """The report as a JSON object."""
        return json.dumps({**asdict(self), "ok": self.ok}, indent=2, ensure_ascii=False)
