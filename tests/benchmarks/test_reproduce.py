"""A run is made again from its folder, and compared."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from agents.provenance import PROVENANCE, provenance
from benchmarks.reproduce import (
    NotReproducible,
    changes,
    command_of,
    differing_lines,
    lines_of,
    origin_of,
    reproduce,
)

COMMAND = (
    "-m agents.train reinforce TextNER-v0 --clone-episodes 8 --clone-epochs 1 --seed 3 "
    "--total-timesteps 128 --steps 64 --num-envs 4 --validation-episodes 4 --test-episodes 8"
)


def test_a_run_is_the_same_again(tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [sys.executable, *COMMAND.split(), "--out", str(run)]
    subprocess.run(command, check=True, capture_output=True)
    assert reproduce(run, tmp_path / "again") == []

    lines = (run / "metrics.jsonl").read_text().splitlines()
    damaged = json.loads(lines[-1]) | {"rollout/reward": 9.0}
    changed = [*lines_of(run / "metrics.jsonl")[:-1], damaged]
    again = lines_of(tmp_path / "again" / "metrics.jsonl")
    damaged.pop("time/steps_per_s", None)
    (told,) = differing_lines("metrics.jsonl", changed, again)
    assert told.startswith(f"metrics.jsonl differs in 1 of {len(lines)} lines, first at step")
    said = [json.loads(line) for line in (run / "predictions.jsonl").read_text().splitlines()]
    other = [said[0], said[1] | {"text": "nothing"}, *said[2:]]
    (told,) = differing_lines("predictions.jsonl", said, other)
    assert "first in line 2: text was" in told


def test_options_of_its_own_are_left_out() -> None:
    words = [
        "python",
        "-m",
        "agents.train",
        "ppo",
        "--out=a",
        "--seed",
        "1",
        "--resume",
        "--wandb",
        "project",
        "--out",
        "b",
    ]
    assert command_of({"command": words}, Path("run")) == [*words[1:4], "--seed", "1"]


@pytest.mark.parametrize("start", [["/somewhere/bin/textenvs"], ["-m", "textenvs.cli"]])
def test_a_run_of_the_command_line(start: list[str]) -> None:
    words = ["python", *start, "train", "ppo", "--seed", "1", "--out", "b"]
    assert command_of({"command": words}, Path("run")) == [
        "-m",
        "agents.train",
        "ppo",
        "--seed",
        "1",
    ]


def test_a_folder_names_no_other_program() -> None:
    for words in (["-c", "print()"], ["-m"], ["textenvs", "play"], []):
        with pytest.raises(NotReproducible, match="expected textenvs train or one of python -m"):
            command_of({"command": ["python", *words]}, Path("run"))


def test_a_folder_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(NotReproducible, match="holds no run"):
        origin_of(tmp_path)
    (tmp_path / PROVENANCE).write_text("{}\n")
    with pytest.raises(NotReproducible, match="is not finished"):
        origin_of(tmp_path)


def test_what_changed_is_told() -> None:
    now = provenance()
    assert changes(now, now) == []
    before = {"versions": now["versions"] | {"torch": "1.0"}, "machine": None, "git": now["git"]}
    told = changes(before, now)
    assert told[0].startswith("versions: torch was 1.0 and is ")
    assert all(line.startswith("machine: ") for line in told[1:])
    assert len(told) == 1 + len(now["machine"]) - ([*now["machine"].values()].count(None))


def test_a_missing_line() -> None:
    assert differing_lines("x", [{}], []) == ["x had 1 lines and has 0"]


def test_nan_is_nan_again() -> None:
    assert differing_lines("x", [{"a": float("nan")}], [{"a": float("nan")}]) == []
    (told,) = differing_lines("x", [{"step": 1, "a": 0.0}], [{"step": 1, "a": float("nan")}])
    assert "a was 0.0 and is nan" in told
