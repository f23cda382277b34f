"""Training in a process of its own, a round at a time, as its parent asks (see `contest`).

A contestant is a module with a loop that says where its iterations begin. Between two rounds it
waits there, so that two of them take turns and neither disturbs the other's time or memory. Only
the standard library is imported here: a contestant may live in another virtual environment.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Job:
    """What all contestants do alike.

    Attributes:
        model: The architecture, as the keyword arguments of a `LlamaConfig`.
        prompts: Token ids, all of one length; an iteration answers as many.
        answer_tokens: Length of every answer.
        epochs: Passes over the answers of an iteration, with one step of the optimizer each.
        replay: States that are learnt from for each one acted in, for those that replay.
        threads: Of torch.
    """

    model: dict[str, Any]
    prompts: list[list[int]]
    answer_tokens: int
    epochs: int = 1
    replay: int = 1
    threads: int = 1

    @property
    def slots(self) -> int:
        """Answers that are written at a time."""
        return len(self.prompts)

    @property
    def prompt_tokens(self) -> int:
        """Length of every prompt."""
        return len(self.prompts[0])

    @property
    def tokens(self) -> int:
        """Actions in an iteration."""
        return self.slots * self.answer_tokens


class Pace:
    """Lets a training go on for as many iterations as the parent asks for, and times them.

    Each line that comes in is a number of iterations; each line that goes out is the JSON of how
    many actions were taken and trained on in them, the seconds they took, and the bytes of the
    process at its highest so far.
    """

    def __init__(self) -> None:
        # What libraries print must not mix with the answers.
        self._answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        self._left = 0
        self._start: tuple[float, int] | None = None

    def read_job(self) -> Job:
        """The first line that comes in."""
        return Job(**json.loads(sys.stdin.readline()))

    def iteration(self, actions: int) -> None:
        """Say that an iteration is about to begin, and wait where a round ends.

        Args:
            actions: That were taken and trained on until now.

        Raises:
            SystemExit: The parent asks for no more.
        """
        if self._left == 0:
            if self._start is not None:
                then, before = self._start
                facts = {
                    "seconds": time.perf_counter() - then,
                    "actions": actions - before,
                    "peak": peak_memory(),
                }
                print(json.dumps(facts), file=self._answers, flush=True)
            self._left = int(sys.stdin.readline() or 0)
            if self._left == 0:
                raise SystemExit
            self._start = time.perf_counter(), actions
        self._left -= 1


def peak_memory() -> int:
    """Bytes of this process at its highest, as Linux tells."""
    with open("/proc/self/status", encoding="ascii") as status:
        found = re.search(r"VmHWM:\s*(\d+) kB", status.read())
    assert found is not None
    return int(found[1]) * 1024


def compete(algorithms: Mapping[str, Callable[[Job, Pace], None]]) -> None:
    """Be a contestant: train by the algorithm that the command line names, at the parent's pace."""
    pace = Pace()
    algorithms[sys.argv[1]](pace.read_job(), pace)
