"""Training on the command line, and what Ctrl-C does to it."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import one_skill
import pytest

from agents import PPO, BehaviourCloning
from agents.errors import AgentError
from agents.run_files import CURVE, read_lines
from textenvs.cli import main

Printed = pytest.CaptureFixture[str]
Done = Callable[..., str]


# train -------------------------------------------------------------------------------------------


def test_a_run_leaves_what_the_other_commands_read(runs: Path) -> None:
    for name in ("ppo", "dqn"):
        kept = {path.name for path in (runs / name).iterdir()}
        assert {"best", "checkpoint", "curve.jsonl", "results.json", "settings.json"} <= kept
        results = json.loads((runs / name / "results.json").read_text())
        assert results["algorithm"].lower() == name
        assert results["settings"]["env"] == "TextNER-v0"
        assert results["timesteps"] >= 256


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path, done: Done) -> None:
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "run"
    line = done("train", "ppo", "one_skill:OneSkill-v0", "--out", out, status=1)
    assert "Not a directory" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["TextNER-v9"], "versioned environments: [ `v0` ]"),
        (["TextNER-v0", "--device", "tpu-9"], "the device is 'tpu-9'; expected auto, cpu, or cuda"),
        (["TextNER-v0", "--seed", "-1"], "expected at least 0"),
        (["nowhere_at_all:X-v0"], "No module named 'nowhere_at_all'"),
        (["TextNER-v0", "--resume"], "no run to resume"),
    ],
)
def test_a_training_that_cannot_begin_is_told_in_one_line(
    arguments: list[str], message: str, tmp_path: Path, done: Done
) -> None:
    assert message in done("train", "ppo", *arguments, "--out", tmp_path / "run", status=1)


# Ctrl-C ------------------------------------------------------------------------------------------

SKILL = [
    *("one_skill:OneSkill-v0", "--env-kwargs", '{"answers": 2, "examples": 40}'),
    *("--total-timesteps", "480", "--num-envs", "4", "--steps", "64", "--checkpoint-every", "1"),
    *("--clone-episodes", "20", "--clone-epochs", "3", "--validate-every", "1"),
    *("--validation-episodes", "8", "--test-episodes", "8", "--progress", "none"),
]
PRESSED = """
import os, signal, sys
from agents import PPO
from agents.run_files import CURVE, read_lines
from textenvs.cli import main

update = PPO.update

def pressed(self, *args):
    if self.iteration == 2:
        os.kill(os.getpid(), signal.SIGINT)
    return update(self, *args)

PPO.update = pressed
sys.exit(main())
"""


def curve(folder: Path) -> list[dict[str, float]]:
    """The learning curve without what tells of time."""
    points = read_lines(folder / CURVE)
    return [{name: value for name, value in p.items() if name != "seconds"} for p in points]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    assert main(["train", "ppo", *SKILL, "--out", str(folder)]) == 0
    return folder


def test_what_ctrl_c_stops_goes_on_by_the_printed_command(
    undisturbed: Path, tmp_path: Path, done: Done
) -> None:
    out = tmp_path / "a run"
    tests = Path(one_skill.__file__).parent
    stopped = subprocess.run(
        [sys.executable, "-c", PRESSED, "train", "ppo", *SKILL, "--out", str(out)],
        env=os.environ
        | {"PYTHONPATH": f"{tests}{os.pathsep}{tests.parents[1]}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert stopped.returncode == 130, stopped.stderr
    assert "stopping after this iteration; Ctrl-C again stops at once" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert not (out / "results.json").exists()
    part, whole = curve(out), curve(undisturbed)
    assert 1 < len(part) < len(whole)
    *_, said, command = stopped.stdout.splitlines()
    assert said == f"stopped, and saved in {out}. To go on:"
    program, *arguments = shlex.split(command)
    assert program == "textenvs"
    done(*arguments)
    assert curve(out) == whole
    results = [json.loads((run / "results.json").read_text()) for run in (out, undisturbed)]
    assert results[0]["scores"] == results[1]["scores"]


def test_ctrl_c_while_cloning_is_resumed_too(
    undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, done: Done, capsys: Printed
) -> None:
    command = ["train", "ppo", *SKILL, "--out", str(tmp_path)]
    iterate = BehaviourCloning.iterate
    with monkeypatch.context() as patch:
        patch.setattr(
            BehaviourCloning,
            "iterate",
            lambda self: signal.raise_signal(signal.SIGINT) or iterate(self),
        )
        assert main(command) == 130
    assert "To go on" in capsys.readouterr().out
    assert not (tmp_path / "curve.jsonl").exists()
    done(*command, "--resume")
    assert curve(tmp_path) == curve(undisturbed)


def test_a_second_ctrl_c_stops_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pressed_twice(self: PPO, *args: object) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("went on")

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(PPO, "update", pressed_twice)
    scratch = ["--clone-episodes", "0", "--out", str(tmp_path)]
    assert main(["train", "ppo", *SKILL, *scratch]) == 130
    assert signal.getsignal(signal.SIGINT) is before


def test_a_new_run_takes_nothing_of_an_old_one_for_its_own(
    runs: Path, small: list[str], tmp_path: Path, done: Done, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where it ends before it has anything of its own."""
    folder = tmp_path / "again"
    shutil.copytree(runs / "ppo", folder)

    def broken(*_: object) -> None:
        raise AgentError("no start")

    monkeypatch.setattr("agents.training_run.start_of", broken)
    done("train", "ppo", *small, "--seed", "3", "--out", folder, status=1)
    left = {file.name for file in folder.iterdir()}
    assert not left & {"results.json", "curve.jsonl", "metrics.jsonl", "predictions.jsonl"}
    assert "no trained agent" in done("evaluate", folder, status=1)
