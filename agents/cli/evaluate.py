"""`textenvs evaluate`: the scores of a trained agent on a split."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agents.cli.runs import Play, RunFolder


@dataclass(frozen=True, kw_only=True)
class Settings(Play):
    """Play each example of a split once, and print the metrics with 95 % bootstrap intervals."""

    run: tyro.conf.Positional[RunFolder]
    """The folder of a run or a checkpoint; or MODULE:ATTRIBUTE, any agent with `predict`."""
    episodes: int | None = None
    """Examples, spread evenly over the split; None for all."""
    predictions: Path | None = None
    """Write what the agent said here, as JSON lines."""
    json: bool = False
    """As JSON."""


def run(settings: Settings) -> int:
    """Print the scores."""
    player = settings.open(settings.run)
    result = settings.evaluate(player, settings.episodes, predictions=settings.predictions)
    if settings.json:
        facts = {
            "run": settings.run,
            "env": player.env_id,
            "split": settings.split,
            "episodes": len(result.examples),
            "score": result.score_name,
            "scores": {name: score._asdict() for name, score in result.scores.items()},
        }
        print(json.dumps(facts, indent=2))
        return 0
    console = Console()
    console.print(
        f"{settings.run}: {player.env_id}, {settings.split} split, {len(result.examples):,} "
        f"examples, {'drawn' if settings.sample else 'best'} actions",
        highlight=False,
        markup=False,
    )
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("metric")
    table.add_column("score", justify="right")
    table.add_column("95 % interval")
    for name, score in result.scores.items():
        style = "bold" if name == result.score_name else None
        interval = f"[{score.low:.3f}, {score.high:.3f}]"
        table.add_row(Text(name), f"{score.value:.3f}", Text(interval), style=style)
    console.print(table)
    if settings.predictions is not None:
        console.print(f"predictions in {settings.predictions}", highlight=False, markup=False)
    return 0
