"""`textenvs report`: one page of HTML about a run, or about two."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from agents.checkpoint import CHECKPOINT, write_atomically
from agents.cli.runs import Play, Player, RunFolder, check_comparable
from agents.run_files import BEST, REPORT
from agents.viewer import RunData, page, read_run
from textenvs.cli.usage import UsageError


@dataclass(frozen=True, kw_only=True)
class Settings(Play):
    """Write one page of HTML about a run: scores, curves, and episodes token by token.

    The page needs no network and no other file. With two runs, both play the same examples.
    """

    runs: tyro.conf.Positional[tuple[RunFolder, ...]]
    """The folder of a run or a checkpoint; or two of them."""
    out: Path | None = None
    """The file; by default report.html in the (first) run's folder."""
    episodes: int | None = 200
    """How many, spread over the split; None for all."""
    alternatives: int = 5
    """How many of the best actions to tell of each state."""


def run(settings: Settings) -> int:
    """Write the page."""
    if not 1 <= len(settings.runs) <= 2:
        raise UsageError(f"report takes one run or two, got {len(settings.runs)}")
    players = [settings.open(name) for name in settings.runs]
    first = players[0]
    check_comparable(players)
    names = short_names([Path(player.name) for player in players])
    told = [told_of(player, name, settings) for player, name in zip(players, names, strict=True)]
    title = f"{', '.join(each.name for each in told)}: {first.env_id}"
    how = "drawn" if settings.sample else "best"
    about = "; ".join(each.about for each in told)
    about += f". Episodes are of the {settings.split} split, with {how} actions."
    out = settings.out or Path(first.name) / REPORT
    out.parent.mkdir(parents=True, exist_ok=True)
    text = page(title, told, about)
    write_atomically(out, text.encode())
    print(f"{out}: {len(told[0].traces):,} episodes, {len(text.encode()) / 2**10:,.0f} KiB")
    return 0


def short_names(folders: list[Path]) -> list[str]:
    """As much of the end of each path as tells them apart.

    >>> short_names([Path("runs/ppo/0"), Path("runs/dqn/0")])
    ['ppo/0', 'dqn/0']
    """
    longest = max(len(folder.parts) for folder in folders)
    first = 2 if len(folders) > 1 and any(f.name in (BEST, CHECKPOINT) for f in folders) else 1
    for parts in range(first, longest + 1):
        names = ["/".join(folder.parts[-parts:]) for folder in folders]
        if len(set(names)) == len(names):
            return names
    return [str(folder) for folder in folders]


def told_of(player: Player, name: str, settings: Settings) -> RunData:
    """What the page tells of a run."""
    agent = player.language_agent
    traces = settings.trace(player, settings.episodes, settings.alternatives)
    folder = Path(player.name)
    parameters = sum(parameter.numel() for parameter in agent.model.parameters())
    about = (
        f"{type(agent).__name__} after {agent.num_timesteps:,} actions, model "
        f"{agent.model.config.name}, {parameters:,} parameters"
    )
    return read_run(folder, name, traces, about)
