"""A run that is killed again and again, and resumed each time, is the run that nobody disturbed.

One program imports what is needed, and forks a process for each attempt: the kill is the real one.
It comes just before a file is opened for writing, renamed or removed: what is on the disk changes
at no other moment, and a slow machine changes nothing about it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agents.checkpoint import load_checkpoint

COMMON = {
    "env": "OneSkill-v0",
    "env_kwargs": '{"answers": 2, "noise": 3, "words": 6, "examples": 60, "masked": true}',
    "validation_episodes": 16,
    "test_episodes": 16,
}
RL = {"total_timesteps": 240, "clone_episodes": 20, "clone_epochs": 2, "validate_every": 2}
RUNS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "bc": ({"validate_every": 1}, {"num_envs": 4, "episodes": 40, "epochs": 6}),
    "ppo": (RL, {"num_envs": 4, "steps": 32, "checkpoint_every": 2}),
    "dqn": (
        RL,
        {
            "num_envs": 4,
            "steps": 32,
            "checkpoint_every": 2,
            "learning_starts": 64,
            "replay_steps": 150,
            "priority_exponent": 0.6,
        },
    ),
}
"""Options of the command and of the algorithm."""
KILLS = (0.15, 0.3, 0.25)
"""When an attempt is killed: at this share of the file changes that an undisturbed run makes."""
PROGRAM = """
import json, os, signal, sys
from pathlib import Path
import torch
import matplotlib.backends.backend_agg, matplotlib.figure, torch.utils.tensorboard
import one_skill
from agents.run_settings import SETTINGS
from agents.train import ALGORITHMS, TrainBC, settings_of
from agents.training_run import train

runs, folder, kills = json.loads(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])


class Changes:
    \"\"\"Counts changes of files in a folder, just before each, and dies at one of them.\"\"\"

    def __init__(self, out, fatal):
        self.out, self.fatal, self.count = f"{out}{os.sep}", fatal, 0

    def __call__(self, event, details):
        if event not in ("open", "os.rename", "os.remove"):
            return
        path = str(details[0])
        if not path.startswith(self.out) or "tensorboard" in path:  # has a thread of its own
            return
        if event == "open" and not details[2] & (os.O_WRONLY | os.O_RDWR):
            return
        self.count += 1
        if self.count == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)


def attempt(name, out, fatal=None):
    \"\"\"Train in a process of its own, which dies at a change of a file; how many it made.\"\"\"
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        torch.set_num_threads(1)
        sys.stdout = open(os.devnull, "w")
        changes = Changes(out, fatal)
        sys.addaudithook(changes)
        resume = (out / SETTINGS).exists()
        algorithm, (options, config) = ALGORITHMS[name], runs[name]
        settings_type = TrainBC if name == "bc" else settings_of(name)
        config = algorithm.config_type(**config)
        train(algorithm, settings_type(**options, config=config, out=out, resume=resume))
        os.write(tell, str(changes.count).encode())
        os._exit(0)
    os.close(tell)
    _, status = os.waitpid(child, 0)
    expected = 0 if fatal is None else signal.SIGKILL
    assert status == expected, f"{name} at change {fatal}: status {status}"
    with open(told) as report:
        return int(report.read() or 0)


for name in runs:
    changes = attempt(name, folder / name / "whole")
    for share in kills:
        attempt(name, folder / name / "part", round(share * changes))
    attempt(name, folder / name / "part")
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an undisturbed and a killed run of each algorithm."""
    folder = tmp_path_factory.mktemp("runs")
    tests = Path(__file__).parent
    search = f"{tests}{os.pathsep}{tests.parents[1]}"
    told = {name: [COMMON | options, config] for name, (options, config) in RUNS.items()}
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(told), str(folder), json.dumps(KILLS)],
        env=os.environ | {"PYTHONPATH": search, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return folder


@pytest.mark.parametrize("name", RUNS)
def test_a_killed_run_is_the_undisturbed_one(name: str, runs: Path) -> None:
    folders = runs / name / "whole", runs / name / "part"
    whole, part = (json.loads((folder / "results.json").read_text()) for folder in folders)
    for results in (whole, part):
        del results["training_seconds"], results["settings"]
        for point in results["curve"]:
            del point["seconds"]
    assert whole == part
    assert len(whole["curve"]) >= 4
    for file in ("metrics.jsonl", "scores.jsonl", "curve.jsonl", "predictions.jsonl"):
        undisturbed, killed = (lines_of(folder / file) for folder in folders)
        assert undisturbed == killed
    for kept in ("checkpoint", "best"):
        (facts, tensors), (other_facts, others) = (
            load_checkpoint(folder / kept) for folder in folders
        )
        assert facts["num_timesteps"] == other_facts["num_timesteps"]
        for group, named in tensors.items():
            assert named.keys() == others[group].keys()
            assert all((tensor == others[group][each]).all() for each, tensor in named.items())


TIMES = ("time/", "seconds")


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The lines without what tells of time."""
    return [
        {key: value for key, value in json.loads(line).items() if not key.startswith(TIMES)}
        for line in path.read_text().splitlines()
    ]
