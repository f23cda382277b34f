"""`textenvs train`: train an agent."""

from __future__ import annotations

import contextlib
import shlex
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Annotated, Any, Union

import tyro

from agents.algorithms import ALGORITHMS
from agents.run_settings import Settings as RunSettings
from agents.train import algorithm_of, settings_of
from agents.training_run import Interruption, train
from textenvs.cli.environments import EnvId


@dataclass(frozen=True, kw_only=True)
class InEnvironment(RunSettings):
    """The environment stands behind the algorithm."""

    env: tyro.conf.Positional[EnvId] = "TextQA-v0"
    """Its id, such as TextNER-v0; MODULE:ID imports the module that registers it."""


Settings: Any = Union[  # noqa: UP007  # made of a list
    tuple(
        Annotated[settings_of(name, InEnvironment), tyro.conf.subcommand(name)]
        for name in ALGORITHMS
    )
]
"""Any algorithm's settings."""


def prepare(words: list[str]) -> list[str]:
    """A command line in which the environment, if it was named by --env, stands by itself.

    `python -m agents.train`, which launchers start, takes it so.

    >>> prepare(["ppo", "--env", "TextNER-v0", "--seed", "1"])
    ['ppo', 'TextNER-v0', '--seed', '1']
    """
    if "--env" not in words[:-1]:
        return words
    place = words.index("--env")
    return [*words[:1], words[place + 1], *words[1:place], *words[place + 2 :]]


def run(settings: RunSettings) -> int:
    """Train; what Ctrl-C stops is saved, and can be resumed."""
    interruption = Interruption()
    with stopped_by(interruption):
        finished = train(algorithm_of(settings), settings, interruption)
    if finished:
        return 0
    print(f"stopped, and saved in {settings.out}. To go on:\n  {resuming(sys.argv)}")
    return 130


@contextlib.contextmanager
def stopped_by(interruption: Interruption) -> Iterator[None]:
    """Let the first Ctrl-C ask for an end, and the second end at once."""

    def ask(number: int, frame: FrameType | None) -> None:
        if interruption.asked:
            raise KeyboardInterrupt
        interruption.asked = True
        print("\nstopping after this iteration; Ctrl-C again stops at once", file=sys.stderr)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def resuming(words: list[str]) -> str:
    """The command that goes on with what a command began.

    >>> resuming(["/usr/bin/textenvs", "train", "ppo", "--out", "my runs"])
    "textenvs train ppo --out 'my runs' --resume"
    """
    rest = [word for word in words[1:] if word != "--resume"]
    return shlex.join(["textenvs", *rest, "--resume"])
