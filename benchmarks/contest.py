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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

from benchmarks.measuring import Measurement, beside
from benchmarks.pacing import Job

ROOT = Path(__file__).parents[1]
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


class Child:
    """A program of ours in a process of its own, which is asked and answers line by line.

    Args:
        name: For errors.
        command: After `python -m`.
        python: The interpreter; another one has other packages.
        variables: Of the environment, beside this process's and `QUIET`.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        python: str | Path = sys.executable,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  closed by __exit__
        self._process = subprocess.Popen(  # noqa: S603  a fixed program
            [str(python), "-m", *command],
            cwd=ROOT,
            env={**os.environ, **QUIET, **(variables or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process."""
        self._process.kill()
        with suppress(BrokenPipeError):  # of what it did not read any more
            self._process.communicate()
        self._errors.close()

    def tell(self, line: str) -> None:
        """Write a line to it.

        Raises:
            ChildProcessError: The process ended; the error has the last that it wrote.
        """
        assert self._process.stdin is not None
        try:
            print(line, file=self._process.stdin, flush=True)
        except BrokenPipeError:
            raise self._ended() from None

    def ask(self, line: str) -> str:
        """Write a line to it, and wait for one.

        Raises:
            ChildProcessError: As `tell`.
        """
        self.tell(line)
        assert self._process.stdout is not None
        answer: str = self._process.stdout.readline()
        if not answer:
            raise self._ended()
        return answer

    def _ended(self) -> ChildProcessError:
        self._process.wait()
        self._errors.seek(0)
        last = self._errors.read()[-3_000:]
        return ChildProcessError(f"{self.name} ended with {self._process.returncode}: {last}")


class Contestant(Child):
    """An entrant's running process.

    Args:
        entrant: Who it is.
        job: What it does.

    Attributes:
        peak: Bytes of the whole process at its highest so far.
    """

    def __init__(self, entrant: Entrant, job: Job) -> None:
        threads = {"OMP_NUM_THREADS": str(job.threads)}
        super().__init__(entrant.name, (entrant.module, entrant.algorithm), entrant.python, threads)
        self._tokens = job.tokens
        self.peak = 0
        self.tell(json.dumps(asdict(job)))

    def round(self, iterations: int) -> float:
        """Train for so many iterations; actions per second.

        Raises:
            ChildProcessError: The process ended; the error has the last that it wrote.
        """
        facts = json.loads(self.ask(str(iterations)))
        assert facts["actions"] == iterations * self._tokens, "all write answers of one length"
        self.peak = facts["peak"]
        return self._tokens * iterations / float(facts["seconds"])


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
