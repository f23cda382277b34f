"""`textenvs list`: the environments, a line each."""

from __future__ import annotations

import inspect
import json
from dataclasses import asdict, dataclass

import gymnasium
from rich.console import Console
from rich.table import Table

from textenvs.env import TextEnv
from textenvs.registration import IDS

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The environments: what one does in them, what counts, and how much data there is."""

    json: bool = False
    """As JSON, one object a line."""


@dataclass(frozen=True)
class Entry:
    """What the list says of an environment.

    Attributes:
        env: its id.
        task: what one does.
        actions: how many there are.
        legal: whether all are legal always, or some.
        max_steps: actions of an episode at most.
        reward: the metric that is paid, in [0, 1].
        examples: of each split of the built-in data.
        threshold: the mean return from which it counts as solved; None where nobody said.
    """

    env: str
    task: str
    actions: int
    legal: str
    max_steps: int
    reward: str
    examples: dict[str, int]
    threshold: float | None


def entry(env_id: str) -> Entry:
    """What there is to say of an environment."""
    envs = {split: gymnasium.make(env_id, split=split) for split in SPLITS}
    env = envs["train"].unwrapped
    assert isinstance(env, TextEnv)
    return Entry(
        env=env_id,
        task=(inspect.getdoc(type(env.task)) or "").partition("\n")[0].rstrip("."),
        actions=len(env.action_tokens),
        legal="some" if env.task.constrained else "all",
        max_steps=env.task.max_steps,
        reward=env.score_name,
        examples={split: each.unwrapped.num_examples for split, each in envs.items()},  # type: ignore[attr-defined]
        threshold=gymnasium.spec(env_id).reward_threshold,
    )


def run(settings: Settings) -> int:
    """Print the list."""
    entries = [entry(env_id) for env_id in IDS]
    if settings.json:
        for each in entries:
            print(json.dumps(asdict(each)))
        return 0
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("id", "actions", "legal", "reward", "examples", "solved"):
        right = column in ("actions", "solved")
        table.add_column(column, justify="right" if right else "left", no_wrap=True)
    for each in entries:
        table.add_row(
            each.env,
            str(each.actions),
            each.legal,
            each.reward,
            " + ".join(f"{count:,}" for count in each.examples.values()),
            "" if each.threshold is None else f"{each.threshold:.2f}",
        )
    console = Console()
    console.print(table)
    console.print()
    for each in entries:
        console.print(f"{each.env}: {each.task}.", highlight=False)
    console.print(
        f"\nexamples: {' + '.join(SPLITS)}; solved: from this mean reward over the test split on. "
        "textenvs show ENV tells more.",
        style="dim",
        highlight=False,
    )
    return 0
