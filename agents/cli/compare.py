"""`textenvs compare`: what trained agents differ in on the same examples."""

from __future__ import annotations

import json
from dataclasses import dataclass

import tyro

from agents.cli.runs import Play, RunFolder, check_comparable
from agents.evaluation import Interval, paired_difference
from textenvs.cli.usage import UsageError


@dataclass(frozen=True, kw_only=True)
class Settings(Play):
    """Let agents play the same examples, and tell how they differ from the first.

    The intervals are of a paired bootstrap: examples are resampled with what all agents made of
    them.
    """

    runs: tyro.conf.Positional[tuple[RunFolder, ...]]
    """Folders of runs or checkpoints, or MODULE:ATTRIBUTE; the first is compared with."""
    episodes: int | None = None
    """Examples, spread evenly over the split; None for all."""
    json: bool = False
    """As JSON."""


def run(settings: Settings) -> int:
    """Print the differences."""
    if len(settings.runs) < 2:
        raise UsageError(f"compare needs at least two runs, got {len(settings.runs)}")
    players = [settings.open(name) for name in settings.runs]
    first = players[0]
    check_comparable(players)
    results = [settings.evaluate(player, settings.episodes) for player in players]
    name = results[0].score_name
    differences = [
        Interval(0.0, 0.0, 0.0) if result is results[0] else
        paired_difference(result, results[0], name, settings.seed)
        for result in results
    ]  # fmt: skip
    if settings.json:
        for player, result, difference in zip(players, results, differences, strict=True):
            facts = {
                "run": player.name,
                "env": player.env_id,
                "split": settings.split,
                "episodes": len(result.examples),
                "score": name,
                "value": result.score._asdict(),
                "difference": difference._asdict(),
            }
            print(json.dumps(facts))
        return 0
    print(
        f"{first.env_id}, {settings.split} split, {len(results[0].examples):,} examples, {name} "
        "with 95 % intervals"
    )
    for player, result, difference in zip(players, results, differences, strict=True):
        print(f"{player.name}\n    {name} {result.score}")
        if player is not first:
            print(f"    less {first.name}: {difference}, {verdict(difference)}")
    return 0


def verdict(difference: Interval) -> str:
    """What an interval of a difference says.

    >>> verdict(Interval(0.1, 0.05, 0.2)), verdict(Interval(0.1, -0.1, 0.3))
    ('better', 'no clear difference')
    """
    if difference.low > 0:
        return "better"
    return "worse" if difference.high < 0 else "no clear difference"
