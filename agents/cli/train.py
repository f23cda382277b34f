"""`textenvs train`: train an agent."""

from __future__ import annotations

import contextlib
import shlex
import signal
import sys
from collections.abc import Iterator
from types import FrameType

from agents.run_settings import Settings as RunSettings
from agents.train import AnySettings, algorithm_of
from agents.training_run import Interruption, train

Settings = AnySettings


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
