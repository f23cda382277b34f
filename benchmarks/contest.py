"""Two trainings beside each other, each in a process of its own, that take turns.

Both have the same prompts, lengths of answers, architecture, passes over the answers, and threads;
both inherit this process's environment variables, and so the settings of glibc's malloc.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from types import TracebackType

from benchmarks.measuring import Measurement, beside
from benchmarks.pacing import Job

QUIET = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


@dataclass(frozen=True, kw_only=True)
class Entrant:
    """Who competes.

    Attributes:
        name: For the table.
        module: Its program.
        algorithm: Of those that the program has.
        python: The interpreter; another one has other packages.
    """

    name: str
    module: str
    algorithm: str
    python: str = sys.executable


class Contestant:
    """An entrant's running process.

    Args:
        entrant: Who it is.
        job: What it does.

    Attributes:
        peak: Bytes of the whole process at its highest so far.
    """

    def __init__(self, entrant: Entrant, job: Job) -> None:
        self.name = entrant.name
        self._tokens = job.tokens
        self.peak = 0
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  closed by __exit__
        self._process = subprocess.Popen(  # noqa: S603  a fixed program
            [entrant.python, "-m", entrant.module, entrant.algorithm],
            env=os.environ | QUIET | {"OMP_NUM_THREADS": str(job.threads)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self._ask(json.dumps(asdict(job)))

    def __enter__(self) -> Contestant:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def round(self, iterations: int) -> float:
        """Train for so many iterations; actions per second.

        Raises:
            ChildProcessError: The process ended; the error has the last that it wrote.
        """
        self._ask(str(iterations))
        assert self._process.stdout is not None
        answer = self._process.stdout.readline()
        if not answer:
            raise self._ended()
        facts = json.loads(answer)
        assert facts["actions"] == iterations * self._tokens, "all write answers of one length"
        self.peak = facts["peak"]
        return self._tokens * iterations / float(facts["seconds"])

    def _ask(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            print(line, file=self._process.stdin, flush=True)
        except BrokenPipeError:
            raise self._ended() from None

    def _ended(self) -> ChildProcessError:
        self._process.wait()
        self._errors.seek(0)
        last = self._errors.read()[-3_000:]
        return ChildProcessError(f"{self.name} ended with {self._process.returncode}: {last}")


def contest(
    what: str,
    entrants: tuple[Entrant, Entrant],
    job: Job,
    iterations: tuple[int, int],
    rounds: int,
    required: float,
    compare_memory: bool = False,
) -> Iterator[Measurement]:
    """The speed of two trainings beside each other and, where it is asked for, their memory.

    Args:
        what: Is trained, for the table.
        entrants: Ours and theirs.
        job: What both do.
        iterations: Of either, a round.
        rounds: How many, after one that does not count.
        required: The least ratio of the speeds.
        compare_memory: Whether ours may have no more of it.
    """
    with ExitStack() as stack:
        ours, theirs = (stack.enter_context(Contestant(e, job)) for e in entrants)
        yield beside(
            what,
            "actions/s",
            lambda: ours.round(iterations[0]),
            theirs.name,
            lambda: theirs.round(iterations[1]),
            rounds,
            required=required,
        )
        if compare_memory:
            yield Measurement(
                what=f"{what}: memory",
                unit="MB",
                rates=(ours.peak / 1e6,),
                against=theirs.name,
                against_rates=(theirs.peak / 1e6,),
                required=1,
                at_most=True,
            )
