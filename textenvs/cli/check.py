"""`textenvs check`: whether an environment keeps the contract of the token MDP."""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium

from textenvs.checking import check
from textenvs.cli.environments import Environment
from textenvs.cli.usage import UsageError


@dataclass(frozen=True, kw_only=True)
class Settings(Environment):
    """Check an environment against the contract of the token MDP, and probe its reward for tricks.

    The exit status is 0 if no check failed, 1 if one did, 2 if there is no such environment, option
    or check.
    """

    checks: tuple[str, ...] = ()
    """Only these; all by default."""
    episodes: int = 50
    """Of each check."""
    json: bool = False
    """The report as JSON."""


def run(settings: Settings) -> int:
    """Check, and print the report.

    Raises:
        UsageError: there is no such environment, option or check.
    """
    try:
        report = check(
            settings.env,
            checks=settings.checks or None,
            episodes=settings.episodes,
            **settings.options,
        )
    except (gymnasium.error.Error, ImportError, TypeError, ValueError) as error:
        raise UsageError(str(error)) from error
    print(report.to_json() if settings.json else report)
    return 0 if report.ok else 1
