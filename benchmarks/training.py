"""Our agents' whole training, acting and learning, beside other libraries'.

All train the tiny model on 16 prompts of 64 tokens: an iteration is one answer of 32 tokens to
each, learnt from as often on both sides. What else is set, each contestant's module says. Ours
acts in TextQA-v0's task, which scores the answers, and learns a value head, too; TRL's GRPO and
RLOO have none. Memory is that of the whole process, its libraries included.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.contest import Entrant, contest
from benchmarks.environments import FixedLengthQA
from benchmarks.measuring import Measurement
from benchmarks.pacing import Job
from textenvs.env import TextEnv

SLOTS = 16
PROMPT_TOKENS = 64


@dataclass(frozen=True, kw_only=True)
class Contest:
    """One comparison.

    Attributes:
        ours: Our algorithm.
        ours_in: The program that has it.
        module: The other's program.
        algorithm: The other's.
        packages: That the other needs; the first one is the library.
        amount: What both have: ``epochs`` over an iteration's answers, or states that a
            ``replay`` learns from for each action.
        required: The least ratio of the speeds.
        iterations: Of ours and of the other, a round; slow ones have fewer.
        compare_memory: Whether ours may have no more of it.
        elsewhere: Whether the other needs a virtual environment of its own.
    """

    module: str
    algorithm: str
    packages: tuple[str, ...]
    amount: dict[str, int]
    required: float
    ours: str = "ppo"
    ours_in: str = "benchmarks.train_ours"
    iterations: tuple[int, int] = (8, 4)
    compare_memory: bool = True
    elsewhere: bool = False

    @property
    def title(self) -> str:
        """What trains of ours."""
        if self.ours_in == self.module:
            return f"{self.against} with agents.sb3"
        return self.ours.upper()

    @property
    def against(self) -> str:
        """The other's name."""
        return f"{self.packages[0]} {self.algorithm.upper()}"


OLDER_TRL = ("trl==0.21.0", "transformers==4.55.4", "torch")
_SB3 = partial(
    Contest,
    module="benchmarks.peers_sb3",
    packages=("stable-baselines3",),
    iterations=(8, 1),
    compare_memory=False,
)
_TRL = partial(Contest, module="benchmarks.peers_trl", packages=("trl==1.16.0",))
_OLDER = partial(Contest, module="benchmarks.peers_trl_ppo", packages=OLDER_TRL, elsewhere=True)
CONTESTS = (
    _SB3(algorithm="ppo", amount={"epochs": 4}, required=18),
    _SB3(
        algorithm="ppo",
        amount={"epochs": 4},
        required=3,
        ours="ppo-lm",
        ours_in="benchmarks.peers_sb3",
        iterations=(2, 1),
    ),
    _TRL(algorithm="rloo", amount={"epochs": 4}, required=2),
    _TRL(algorithm="grpo", amount={"epochs": 4}, required=1.8),
    _TRL(algorithm="grpo", amount={"epochs": 1}, required=2),
    _OLDER(algorithm="ppo", amount={"epochs": 4}, required=3),
    _SB3(algorithm="dqn", amount={"replay": 4}, required=10, ours="dqn"),
)


def training(
    answer_tokens: int, rounds: int, quick: bool, threads: int, older_trl: Path | None
) -> Iterator[Measurement]:
    """All comparisons for which the other's packages are there (see `left_out`).

    Args:
        answer_tokens: Length of every answer.
        rounds: Of either.
        quick: One iteration a round.
        threads: Of torch, on both sides.
        older_trl: The Python of the virtual environment that has `OLDER_TRL`.
    """
    for c in CONTESTS:
        python = interpreter(c, older_trl)
        if python is not None:
            amount = ", ".join(f"{name} {number}" for name, number in c.amount.items())
            yield from contest(
                f"{c.title} training, tiny, {SLOTS} x {answer_tokens} tokens, {amount}",
                (
                    Entrant(name="ours", module=c.ours_in, algorithm=c.ours),
                    Entrant(
                        name=c.against, module=c.module, algorithm=c.algorithm, python=str(python)
                    ),
                ),
                make_job(answer_tokens, threads=threads, **c.amount),
                (1, 1) if quick else c.iterations,
                rounds,
                c.required,
                c.compare_memory,
            )


def left_out(older_trl: Path | None) -> list[str]:
    """A line for each package that is missing: what is not compared, and how to install it."""
    missing: dict[tuple[str, ...], list[Contest]] = {}
    for c in CONTESTS:
        if interpreter(c, older_trl) is None:
            missing.setdefault(c.packages, []).append(c)
    return [
        f"LEFT OUT: {', '.join(sorted({c.against for c in contests}))}: {_installation(packages)}"
        for packages, contests in missing.items()
    ]


def _installation(packages: tuple[str, ...]) -> str:
    needed = " ".join(packages)
    if packages != OLDER_TRL:
        return f"needs pip install {needed}"
    return (
        f"needs a virtual environment of its own: python -m venv V && V/bin/pip install {needed}; "
        "then give --older-trl V/bin/python"
    )


def interpreter(c: Contest, older_trl: Path | None) -> Path | None:
    """The Python that has what a contest's other side needs, or None."""
    python = older_trl if c.elsewhere else Path(sys.executable)
    if python is None:
        return None
    name, _, expected = c.packages[0].partition("==")
    program = f"from importlib.metadata import version; print(version({name!r}))"
    found = subprocess.run(  # noqa: S603  a fixed program
        [python, "-c", program], capture_output=True, text=True, check=False
    )
    installed = found.returncode == 0 and found.stdout.strip().startswith(expected)
    return python if installed else None


def make_job(answer_tokens: int, **rest: int) -> Job:
    """What both sides of a contest do; the rest of a `Job` as it is given."""
    env = TextEnv(FixedLengthQA(PROMPT_TOKENS, answer_tokens, count=SLOTS))
    observations = (env.reset(options={"index": index})[0] for index in range(SLOTS))
    return Job(
        model=tiny(env.task.vocab_size, env.task.max_tokens),
        prompts=[observation[:PROMPT_TOKENS].tolist() for observation in observations],
        answer_tokens=answer_tokens,
        **rest,
    )


def tiny(vocab_size: int, max_tokens: int) -> dict[str, Any]:
    """The architecture of the preset of this name."""
    return {
        "vocab_size": vocab_size,
        "max_position_embeddings": max_tokens,
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "attention_bias": True,
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
    }
