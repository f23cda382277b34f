"""Trainings take turns and do what the job says; how fast, no test may ask."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from gymnasium import spaces

from agents.models.loading import load_backbone
from benchmarks.contest import Contestant, Entrant, contest
from benchmarks.pacing import Job
from benchmarks.peers_sb3 import LastTokenExtractor
from benchmarks.training import (
    CONTESTS,
    PROMPT_TOKENS,
    SLOTS,
    Contest,
    interpreter,
    left_out,
    make_job,
    tiny,
    training,
)

OURS = Entrant(name="ours", module="benchmarks.train_ours", algorithm="ppo")
GRPO = next(c for c in CONTESTS if c.algorithm == "grpo")


@pytest.fixture(scope="module")
def job() -> Job:
    return make_job(answer_tokens=12, epochs=1)


def entrant(c: Contest) -> Entrant:
    return Entrant(name=c.against, module=c.module, algorithm=c.algorithm)


def test_both_sides_get_the_same_prompts_and_the_preset(job: Job) -> None:
    assert (job.slots, job.prompt_tokens, job.tokens) == (SLOTS, PROMPT_TOKENS, SLOTS * 12)
    assert len({tuple(prompt) for prompt in job.prompts}) == SLOTS
    preset = load_backbone("tiny", job.model["vocab_size"], job.model["max_position_embeddings"], 0)
    assert job.model.items() <= preset.config_json().items()


def test_the_trunk_reads_an_observation_to_its_last_token() -> None:
    torch.manual_seed(0)
    space = spaces.Box(0, 49, (9,), np.int32)
    extractor = LastTokenExtractor(space, tiny(50, 9), pad_token_id=0)
    model: torch.nn.Module = extractor.trunk
    short, long = [7, 8, 9], [4, 5, 6, 7, 8]
    padded = torch.tensor([[*short, *[0] * 6], [*long, *[0] * 4]], dtype=torch.float32)
    features = extractor(padded)
    for row, prefix in enumerate((short, long)):
        alone = model(input_ids=torch.tensor([prefix])).last_hidden_state[0, -1]
        torch.testing.assert_close(features[row], alone, rtol=1e-4, atol=1e-5)


COUNTING = """
from benchmarks.pacing import compete

def count(job, pace):
    for done in range(100):
        pace.iteration(done * job.tokens * TIMES)

compete({"count": count})
"""


@pytest.fixture
def counters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Entrant, Entrant]:
    """Programs that only count: one as many actions as there are, one twice as many."""
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{Path.cwd()}")
    names = ("right", "wrong")
    for times, name in enumerate(names, start=1):
        tmp_path.joinpath(f"{name}.py").write_text(COUNTING.replace("TIMES", str(times)), "utf-8")
    right, wrong = (Entrant(name=name, module=name, algorithm="count") for name in names)
    return right, wrong


def test_two_take_turns(job: Job, counters: tuple[Entrant, Entrant]) -> None:
    right, _ = counters
    speed, memory = contest("both", (right, right), job, (2, 1), 3, 18, compare_memory=True)
    assert (speed.required, speed.against) == (18, "right")
    assert len(speed.rates) == len(speed.against_rates) == 3
    assert (memory.required, memory.at_most, memory.unit) == (1, True, "MB")
    assert 0.5 < memory.ratio < 2
    assert 1 < memory.rate < 100, "an interpreter with the standard library"


def test_who_takes_more_actions_than_asked_for_is_found_out(
    job: Job, counters: tuple[Entrant, Entrant]
) -> None:
    _, wrong = counters
    with Contestant(wrong, job) as contestant, pytest.raises(AssertionError, match="one length"):
        contestant.round(1)


@pytest.mark.slow
def test_ours_and_stable_baselines3_take_turns(job: Job) -> None:
    (speed,) = contest("both", (OURS, entrant(CONTESTS[0])), job, (1, 1), 1, required=18)
    assert min(speed.rates + speed.against_rates) > 0


@pytest.mark.slow
def test_dqns_take_turns(job: Job) -> None:
    ours = Entrant(name="ours", module="benchmarks.train_ours", algorithm="dqn")
    replaying = dataclasses.replace(job, replay=4)
    (speed,) = contest("both", (ours, entrant(CONTESTS[-1])), replaying, (2, 1), 1, required=10)
    assert min(speed.rates + speed.against_rates) > 0


@pytest.mark.slow
@pytest.mark.skipif(interpreter(GRPO, None) is None, reason="needs the trl of the benchmarks")
def test_trl_trains_on_every_token(job: Job) -> None:
    with Contestant(entrant(GRPO), job) as contestant:
        assert contestant.round(2) > 0
        assert contestant.peak > 0


def test_what_ends_a_contestant_is_told(job: Job) -> None:
    nobody = Entrant(name="nobody", module="benchmarks.nobody", algorithm="ppo")
    with Contestant(nobody, job) as contestant, pytest.raises(ChildProcessError) as told:
        contestant.round(1)
    assert "nobody ended with 1" in str(told.value)
    assert "No module named benchmarks.nobody" in str(told.value)


def test_missing_packages_are_named_with_what_installs_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nothing_found(*_: object, **__: object) -> SimpleNamespace:
        return SimpleNamespace(returncode=1, stdout="")

    monkeypatch.setattr(subprocess, "run", nothing_found)
    assert left_out(None) == [
        "LEFT OUT: stable-baselines3 DQN, stable-baselines3 PPO: needs pip install "
        "stable-baselines3",
        "LEFT OUT: trl==1.16.0 GRPO, trl==1.16.0 RLOO: needs pip install trl==1.16.0",
        "LEFT OUT: trl==0.21.0 PPO: needs a virtual environment of its own: python -m venv V && "
        "V/bin/pip install trl==0.21.0 transformers==4.55.4 torch; then give --older-trl "
        "V/bin/python",
    ]
    assert list(training(12, 1, quick=True, threads=1, older_trl=Path(sys.executable))) == []


def test_another_version_is_not_taken_for_the_one() -> None:
    sb3 = CONTESTS[0]
    other = dataclasses.replace(sb3, packages=("stable-baselines3==0.0.1",))
    assert interpreter(sb3, None) == Path(sys.executable)
    assert interpreter(other, None) is None
