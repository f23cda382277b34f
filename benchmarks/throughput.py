"""How fast the environments and the agents are, as ratios measured in one run.

Each thing is measured beside what it is compared with, in alternating rounds: the rates are the
medians of the rounds, the ratio is that of the medians, and the range is that of the ratios of
single rounds, which shows what else the machine was doing.
"""

from __future__ import annotations

import json
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
import tyro

from agents.checkpoint import write_atomically
from benchmarks.acting import acting
from benchmarks.answers import answers_beside_gem
from benchmarks.measurement_table import facts, surroundings, table
from benchmarks.measuring import Measurement
from benchmarks.opening import import_beside_gymnasium, large_file, makes_of_built_in
from benchmarks.passages import write_joined_passages, write_long_passages
from benchmarks.scaling import SIZES, Axis, growth_table, scaling
from benchmarks.stepping import (
    NER_DENSE,
    QA,
    SLOTS,
    first_pass_beside_steady,
    single_beside_trivial,
    vector_beside_single,
    vector_beside_trivial,
)
from benchmarks.training import left_out, training
from benchmarks.updating import update_beside_prefixes
from benchmarks.vec_env import vec_env_beside_dummy
from textenvs import IDS

Part: TypeAlias = Literal["environments", "agents", "training", "scaling"]


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much is measured.

    Attributes:
        rounds: Of each of the two that are compared.
        examples: That environments are played on.
        steps: Of a single environment, a round.
        iterations: Steps of all slots of a vector environment, a round.
        answer_tokens: Length of the answers in acting and updating.
        batches: Answers in every slot, a round of acting.
        updates: A round.
        openings: Of everything that is opened or made in a fresh process.
        questions: Of the large file.
        answers: Given as strings, a round.
        models: Presets that act.
        slots: Of the environment that they act in.
        sizes: Over which costs grow.
    """

    rounds: int = 5
    examples: int = 2_000
    steps: int = 40_000
    iterations: int = 600
    answer_tokens: int = 32
    batches: int = 8
    updates: int = 5
    openings: int = 3
    questions: int = 100_000
    answers: int = 4_000
    models: tuple[str, ...] = ("tiny", "small")
    slots: tuple[int, ...] = (16, 64)
    sizes: Mapping[Axis, tuple[int, ...]] = field(default_factory=lambda: SIZES)


QUICK = Effort(
    rounds=2,
    examples=20,
    steps=200,
    iterations=3,
    answer_tokens=12,
    batches=1,
    updates=1,
    openings=1,
    questions=300,
    answers=20,
    models=("tiny",),
    slots=(16,),
    sizes={"slots": (2, 4, 8)},
)
"""Enough to see that everything runs; its numbers mean nothing."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Measure the speed of environments and agents, as ratios in one run."""

    threads: int = 1
    """Threads of torch; small models are fastest on one."""
    quick: bool = False
    """A smoke run: everything once or twice, with numbers that mean nothing."""
    parts: tuple[Part, ...] = ("environments", "agents", "training", "scaling")
    """What is measured; training is the one beside other libraries', in processes of its own;
    scaling is how costs grow."""
    squad: Path | None = None
    """A SQuAD file for the lines about files; without one, built-in passages are joined."""
    older_trl: Path | None = None
    """Python of a virtual environment with a TRL that has PPO, to train beside it."""
    gem: Path | None = None
    """Python of a virtual environment with GEM (gem-llm and datasets), to answer beside it."""
    out: Path | None = None
    """Write numbers, versions, commit and command to this JSON file."""

    @property
    def effort(self) -> Effort:
        """How much is measured."""
        return QUICK if self.quick else Effort()


SUMMARIZATION: dict[str, Any] = {"id": "TextSummarization-v0", "max_new_tokens": 32}


def measurements(settings: Settings) -> Iterator[Measurement]:
    """All that are asked for, one after the other."""
    e = settings.effort
    if "environments" in settings.parts:
        yield from environments(e, settings.squad)
        if settings.gem is not None:
            yield answers_beside_gem(settings.gem, e.examples, e.answers, e.rounds)
    if "agents" in settings.parts:
        yield from acting(e.batches, e.rounds, e.models, e.slots)
        yield update_beside_prefixes(e.answer_tokens, e.updates, e.rounds)
    if "training" in settings.parts:
        yield from training(
            e.answer_tokens, e.rounds, settings.quick, settings.threads, settings.older_trl
        )


def environments(effort: Effort, squad: Path | None) -> Iterator[Measurement]:
    """Steps of environments, and what it costs to begin."""
    e = effort
    yield single_beside_trivial(e.examples, e.steps, e.rounds)
    yield first_pass_beside_steady(e.examples, e.steps, e.rounds)
    amounts = (e.examples, e.steps, e.iterations, e.rounds)
    yield vector_beside_single("TextNER-v0 dense", NER_DENSE, 10, *amounts)
    yield vector_beside_single("TextQA-v0 constrained", QA, 5, *amounts)
    beside_trivial = partial(vector_beside_trivial, iterations=e.iterations, rounds=e.rounds)
    fixed = {**SUMMARIZATION, "size": e.examples}
    yield beside_trivial("TextSummarization-v0", fixed, SLOTS, 300_000)
    yield beside_trivial("TextSummarization-v0 dense", {**fixed, "reward": "dense"}, SLOTS, 100_000)
    dialogue = {"id": "TextDialogue-v0", "size": e.examples}
    yield beside_trivial("TextDialogue-v0 simulated", dialogue, SLOTS, 100_000)
    for env_id in IDS:
        yield vec_env_beside_dummy(env_id, e.examples, e.iterations, e.rounds)
    with tempfile.TemporaryDirectory() as folder:
        if squad is None:
            squad = Path(folder, "joined.json")
            write_joined_passages(squad)
        path = Path(folder, "long.json")
        write_long_passages(squad, path)
        long = {"id": "TextQA-v0", "dataset": str(path), "split": "all"}
        yield beside_trivial("TextQA-v0, passages of 300-400 tokens", long, 64, 100_000)
        yield from large_file(e.questions, e.openings, squad)
    yield import_beside_gymnasium(e.openings)
    yield from makes_of_built_in(e.openings)


def run(settings: Settings) -> list[Measurement]:
    """Measure, print the table, and write the file that was asked for."""
    torch.set_num_threads(settings.threads)
    command = shlex.join(["python", "-m", "benchmarks.throughput", *sys.argv[1:]])
    print(command)
    print(explanation(settings), end="\n\n", flush=True)
    measured = []
    for measurement in measurements(settings):
        if settings.quick:  # a requirement is for steady numbers
            measurement = replace(measurement, required=None)
        measured.append(measurement)
        print(f"measured: {measurement.what}", file=sys.stderr, flush=True)
    print(table(measured))
    growths = []
    if "scaling" in settings.parts:
        growths = list(scaling(settings.effort.rounds, settings.effort.sizes))
        print(f"\n{growth_table(growths)}")
    if settings.out is not None:
        record = {
            "command": command,
            "quick": settings.quick,
            "threads": settings.threads,
            "effort": asdict(settings.effort),
            **surroundings(),
            "measurements": facts(measured),
            "growths": [growth._asdict() for growth in growths],
        }
        settings.out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(settings.out, (json.dumps(record, indent=1) + "\n").encode())
    return measured


def explanation(settings: Settings) -> str:
    """What the numbers are, for the lines above the table."""
    lines = [
        f"Medians of {settings.effort.rounds} alternating rounds, on the CPU, torch with "
        f"{settings.threads} thread{'s' * (settings.threads > 1)}.",
        "Environments: the whole loop is timed, with the choice of a random legal action and the "
        "resets.",
        "Steady state: examples are encoded beforehand; but for the line `cold`, the first pass "
        "over fresh ones.",
    ]
    if "environments" in settings.parts and settings.gem is None:
        lines.append(
            "LEFT OUT: GEM: needs a virtual environment of its own: python -m venv V && "
            "V/bin/pip install gem-llm datasets; then give --gem V/bin/python"
        )
    if "training" in settings.parts:
        lines += left_out(settings.older_trl)
    if settings.quick:
        lines.append("QUICK: a smoke run. These numbers mean nothing.")
    return "\n".join(lines)


def main() -> None:
    """Read the command line and measure."""
    run(tyro.cli(Settings, prog="python -m benchmarks.throughput", description=__doc__))


if __name__ == "__main__":
    main()
