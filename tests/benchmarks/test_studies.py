"""Ablations and the study of chance: their trainings differ in what they say, and are reported."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path
from types import SimpleNamespace

import pytest
from scipy.stats import norm

from agents.checkpoint import write_atomically
from agents.provenance import PROVENANCE, provenance
from agents.train import read
from benchmarks import ablations, cells, randomness
from benchmarks.ablations import ABLATIONS, LABELS, TRAININGS
from benchmarks.cells import Cell
from benchmarks.randomness import SOURCE_TRAININGS, SOURCES, SWEPT_TRAININGS, deviation
from benchmarks.records import Record, read_records
from benchmarks.trained import RECORDS

ORIGIN = (json.dumps(provenance()) + "\n").encode()
EVERY = [*TRAININGS, SOURCE_TRAININGS, SWEPT_TRAININGS]


def pretend(arguments: list[str], **_: object) -> SimpleNamespace:
    """A training command that only writes its results."""
    out = Path(arguments[arguments.index("--out") + 1])
    score = {"f1": {"value": random.Random(str(out)).random(), "low": 0.0, "high": 1.0}}
    results = {
        "algorithm": "PPO", "score_name": "f1", "scores": {"PPO": score, "cloned": score},
        "episodes": {"PPO": 8, "cloned": 8}, "timesteps": 64, "training_seconds": 60.0,
        "parameters": 9, "curve": [{"timesteps": 0, "seconds": 0.0, "value": 0.1}],
    }  # fmt: skip
    write_atomically(out / PROVENANCE, ORIGIN)
    write_atomically(out / "results.json", json.dumps(results).encode())
    return SimpleNamespace(returncode=int("ppo+lora" in str(out)))


def test_every_command_is_one(tmp_path: Path) -> None:
    for trainings in EVERY:
        for cell in trainings.cells(tmp_path, seeds=1):
            for _, module, *arguments in cell.commands:
                assert module == "agents.train"
                settings = read(arguments)
                assert settings.env_id == trainings.env
                assert settings.environment_options() is not None


def test_one_source_of_chance_moves_at_a_time(tmp_path: Path) -> None:
    seen = {}
    for cell in SOURCE_TRAININGS.cells(tmp_path, seeds=2):
        seen[cell.agent, cell.seed] = dataclasses.asdict(read(cell.arguments[2:]).seeds)
    for source in SOURCES:
        assert seen[f"ppo+{source}", 2] == dict.fromkeys(SOURCES, 0) | {source: 2}
    assert seen["ppo+all", 1] == dict.fromkeys(SOURCES, 1)


def test_every_variant_of_an_ablation_is_trained() -> None:
    assert {(a.env, name) for a in ABLATIONS for name in a.variants} == set(LABELS)


def runs(agent: str, scores: tuple[float, ...]) -> list[Record]:
    """Trainings with seeds 0, 1, ..."""
    bounds = {"low": 0.0, "high": 1.0}
    return [
        Record(
            env="TextNER-v0", agent=agent, label="PPO", seed=seed, score_name="f1",
            scores={"PPO": {"f1": {"value": value, **bounds}}}, episodes=8, curve=[], timesteps=64,
            training_seconds=60.0, parameters=9, commands=[], provenance={},
        )
        for seed, value in enumerate(scores)
    ]  # fmt: skip


def test_differences_are_of_one_seed() -> None:
    """0.1 and 0.3 above the first: 0.2, and 1.271 to either side, more than there is."""
    both = [*runs("ppo", (0.2, 0.6)), *runs("ppo+scratch", (0.5, 0.7))]
    _, _, first, second = ablations.ablation_table(ABLATIONS[0], both).splitlines()
    assert first.split(" | ")[3] == ""
    assert second.split(" | ")[3] == "0.200 [-1.000, 1.000]"


def test_values_of_a_sweep_are_compared_with_their_reference() -> None:
    sweep = randomness.Sweep("sharpness", "PPO", "ppo", "--sharpness {}", (1, 2, 4), reference=2)
    both = [*runs("ppo+sharpness-2", (0.2, 0.6)), *runs("ppo+sharpness-4", (0.5, 0.7, 0.9))]
    assert randomness.sweep_table(sweep, both).splitlines()[2:] == [
        "| 2 | 0.400 [0.000, 1.000] |  | 2 |",
        "| 4 | 0.700 [0.203, 1.000] | 0.200 [-1.000, 1.000] | 3 |",
    ]
    assert all(sweep.reference in sweep.values for sweep in randomness.SWEEPS)


def test_ablations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cells.subprocess, "run", pretend)
    assert ablations.run(ablations.Settings(out=tmp_path, seeds=2, jobs=2)) == 1
    printed = capsys.readouterr()
    assert printed.out.count("FAILED: python -m agents.train ppo TextNER-v0") == 2
    assert "| PPO, heads and embeddings |" in printed.out
    assert "| PPO, LoRA of rank 8 |" not in printed.out
    records = read_records([tmp_path / RECORDS])
    assert len(records) == 2 * (len(LABELS) - 1)

    def refuse(cell: Cell) -> bool:
        assert cell.agent == "ppo+lora"
        return True

    monkeypatch.setattr(Cell, "run", refuse)
    ablations.run(ablations.Settings(out=tmp_path, seeds=2))


def test_randomness(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cells.subprocess, "run", pretend)
    monkeypatch.setattr(randomness, "answer", lambda *_: [])
    assert randomness.run(randomness.Settings(out=tmp_path, seeds=3, jobs=2)) == 0
    printed = capsys.readouterr().out
    for label in (*SOURCES.values(), "all of them"):
        assert f"| {label} |" in printed
    records = read_records([tmp_path / RECORDS])
    assert len(records) == 3 * (len(SOURCE_TRAININGS.variants) + len(SWEPT_TRAININGS.variants))
    randomness.run(randomness.Settings(out=tmp_path, seeds=1, options="--total-timesteps 64"))
    assert read_records([tmp_path / RECORDS]) == records, "a trial has a folder of its own"
    scores = randomness.scores_of(records, "ppo+weights")
    assert f"{min(scores):.3f} | {max(scores):.3f}" in printed


def test_answers_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that was asked is not asked again."""
    asked = []

    def evaluate(agent: SimpleNamespace, *_: object, deterministic: bool, **__: object) -> object:
        asked.append((agent.model.temperature, deterministic))
        return SimpleNamespace(score=SimpleNamespace(value=len(asked) / 100))

    def load(_: Path) -> SimpleNamespace:
        return SimpleNamespace(model=SimpleNamespace(temperature=1.0))

    monkeypatch.setattr(randomness, "evaluate", evaluate)
    monkeypatch.setattr(randomness, "load_agent", load)
    runs = [run_of(seed, "monday") for seed in (1, 2)]
    first = randomness.answer(tmp_path, runs[:1], None)
    assert asked == [(1.0, True), *[(0.5, False)] * 5, *[(1.0, False)] * 5]
    asked.clear()
    both = randomness.answer(tmp_path, runs, None)
    assert len(asked) == 11
    assert both[:3] == first
    assert randomness.read_answers(tmp_path / randomness.ANSWERS) == both
    assert "| sampled, temperature 0.5 |" in randomness.answers_table(both)
    for again, episodes in ((runs[0], 5), (run_of(1, "tuesday"), None)):
        asked.clear()
        randomness.answer(tmp_path, [again], episodes)
        assert len(asked) == 11


def run_of(seed: int, started: str) -> Record:
    """The record of a training that nobody ran."""
    origin = {"started": started}
    return Record("TextNER-v0", "ppo+all", "PPO", seed, "f1", {}, 8, [], 64, 1.0, 9, [], origin)


def test_the_interval_of_a_deviation_holds_it_as_often_as_it_says() -> None:
    held = 0
    for seed in range(300):
        _, low, high = deviation(list(norm.rvs(scale=2, size=8, random_state=seed)))
        held += low <= 2 <= high
    assert 0.92 <= held / 300 <= 0.98
