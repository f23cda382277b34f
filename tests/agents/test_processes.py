"""Two processes train as one does, up to the rounding of sums."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import one_skill  # noqa: F401  registers its id
import pytest
import torch
from gymnasium.vector import AutoresetMode
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from agents import PPO, AgentError, PPOConfig
from agents.checkpoint import load_checkpoint
from agents.environment import make_env
from agents.models.draws import SlotGenerator, uniform
from agents.processes import LaunchedProcesses, Processes
from agents.state import weights
from agents.train import ALGORITHMS

TASK = {"answers": 3, "fewest": 1, "noise": 3, "words": 6, "masked": True, "appends": 2}
SIZES = {"num_envs": 5, "minibatch_tokens": 96}
RUNS: dict[str, dict[str, Any]] = {
    "ppo": {"steps": 60, "checkpoint_every": 2, "weight_decay": 0.01, "microbatch_tokens": 48},
    "bc": {"episodes": 30, "epochs": 2, "weight_decay": 0.01},
    "dqn": {"steps": 60, "checkpoint_every": 3, "learning_starts": 60, "priority_exponent": 0.6},
}
STEPS = 180
PROGRAM = """
import json, sys
from pathlib import Path
import torch
from safetensors.torch import save_file
import one_skill
from agents.state import weights
from agents.train import ALGORITHMS

torch.set_num_threads(1)
runs, task, folder = json.loads(sys.argv[1]), json.loads(sys.argv[2]), Path(sys.argv[3])
for name, config in runs.items():
    algorithm = ALGORITHMS[name]
    agent = algorithm("OneSkill-v0", algorithm.config_type(**config), env_kwargs=task)
    agent.learn(int(sys.argv[4]), progress_bar=False, run_dir=folder / name)
    agent.save(folder / name / "end")
    rank = agent.processes.rank
    save_file(weights(agent.model), folder / name / f"{rank}.safetensors")

ppo = ALGORITHMS["ppo"]
stopped = ppo("OneSkill-v0", ppo.config_type(**runs["ppo"]), env_kwargs=task)
stopped.learn(
    int(sys.argv[4]),
    progress_bar=False,
    callback=lambda agent: agent.iteration < 2,
    run_dir=folder / "stopped",
)
resumed = ppo.load(folder / "stopped" / "checkpoint").learn(progress_bar=False)
resumed.save(folder / "resumed")
"""


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def paths() -> dict[str, str]:
    """What a program needs to find the tests' environment and the project."""
    tests = Path(__file__).parent
    return {"PYTHONPATH": f"{tests}{os.pathsep}{tests.parents[1]}", "OMP_NUM_THREADS": "1"}


def lines_of(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def launch(count: int, arguments: list[str]) -> list[subprocess.CompletedProcess[str]]:
    """Run Python in several processes that know of each other."""
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    common |= {"WORLD_SIZE": str(count), **paths()}
    started = [
        subprocess.Popen(
            [sys.executable, *arguments],
            env=os.environ | common | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(count)
    ]
    outputs = [process.communicate(timeout=120)[0] for process in started]
    return [
        subprocess.CompletedProcess(process.args, process.returncode, output)
        for process, output in zip(started, outputs, strict=True)
    ]


@pytest.fixture(scope="module")
def run_by_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all runs."""
    folder = tmp_path_factory.mktemp("two")
    configs = {name: SIZES | config for name, config in RUNS.items()}
    arguments = [json.dumps(configs), json.dumps(TASK), str(folder), str(STEPS)]
    for process in launch(2, ["-c", PROGRAM, *arguments]):
        assert process.returncode == 0, process.stdout
    return folder


@pytest.mark.parametrize("name", RUNS)
def test_two_processes_are_one(name: str, run_by_two: Path, tmp_path: Path) -> None:
    config, both = SIZES | RUNS[name], run_by_two / name
    algorithm = ALGORITHMS[name]
    alone = algorithm("OneSkill-v0", algorithm.config_type(**config), env_kwargs=TASK)
    alone.learn(STEPS, progress_bar=False, run_dir=tmp_path)
    facts, parts = load_checkpoint(both / "end")
    assert facts["num_timesteps"] == alone.num_timesteps
    expected = weights(alone.model)
    moved = 0.0
    start = algorithm("OneSkill-v0", algorithm.config_type(**config), env_kwargs=TASK).model
    for weight, begun in weights(start).items():
        torch.testing.assert_close(parts["model"][weight], expected[weight], atol=2e-5, rtol=1e-4)
        moved = max(moved, float((expected[weight] - begun).detach().abs().max()))
    assert moved > 1e-3
    ranks = [load_file(both / f"{rank}.safetensors") for rank in range(2)]
    assert all(torch.equal(ranks[0][weight], ranks[1][weight]) for weight in expected)
    for line, other in zip(lines_of(both), lines_of(tmp_path), strict=True):
        assert line.keys() == other.keys()
        for key in line:
            if not key.startswith("time/"):
                np.testing.assert_allclose(line[key], other[key], rtol=2e-3, atol=1e-4)


def test_one_command_trains_in_two_processes(tmp_path: Path) -> None:
    accelerate = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    accelerate += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    accelerate += ["--main_process_port", str(free_port())]
    command = ["-m", "agents.train", "ppo", "one_skill:OneSkill-v0", "--out", "run"]
    command += ["--device", "cpu", "--clone-episodes", "20", "--clone-epochs", "1"]
    command += ["--num-envs", "4", "--steps", "32", "--total-timesteps", "64"]
    run = subprocess.run(
        [sys.executable, *accelerate, *command],
        cwd=tmp_path,
        env=os.environ | paths(),
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("95 % intervals") == 1
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["scores"].keys() >= {"random", "cloned", "PPO", "expert"}
    steps = [line["step"] for line in lines_of(tmp_path / "run")]
    assert steps == sorted(set(steps))


def test_two_processes_resume_bit_by_bit(run_by_two: Path) -> None:
    facts, parts = load_checkpoint(run_by_two / "ppo" / "end")
    stopped, _ = load_checkpoint(run_by_two / "stopped" / "checkpoint")
    resumed, others = load_checkpoint(run_by_two / "resumed")
    assert stopped["num_timesteps"] < facts["num_timesteps"] == resumed["num_timesteps"]
    for group, tensors in parts.items():
        assert all(torch.equal(tensor, others[group][name]) for name, tensor in tensors.items())


@given(total=st.integers(1, 40), data=st.data())
def test_slots_are_divided_and_draw_as_one(total: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, total))
    shares = []
    for rank in range(count):
        processes = Processes()
        processes.rank, processes.count = rank, count
        shares.append(processes.slots(total))
    assert [slot for share in shares for slot in share] == list(range(total))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    device = torch.device("cpu")
    one = torch.Generator(device).manual_seed(7)
    several = [SlotGenerator.of(device, share.start, total) for share in shares]
    for generator in several:
        generator.manual_seed(7)
    for _ in range(3):
        parts = [uniform(len(share), g) for share, g in zip(shares, several, strict=True)]
        assert torch.equal(torch.cat(parts), uniform(total, one))


def test_there_is_a_slot_for_each() -> None:
    processes = Processes()
    processes.count = 3
    with pytest.raises(AgentError, match="num_envs is 2, but there are 3 processes"):
        processes.slots(2)


def test_several_processes_make_their_own_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    env = make_env("OneSkill-v0", 2, AutoresetMode.SAME_STEP)
    agent = PPO(env, PPOConfig(num_envs=2))
    monkeypatch.setattr(agent.processes, "count", 2, raising=False)
    with pytest.raises(AgentError, match="give the environment's id"):
        agent._make_env(env)


def test_launched_processes_override_all_that_one_process_does() -> None:
    own = {"main", "slots", "share"}
    public = {name for name, value in vars(Processes).items() if callable(value)}
    needed = {name for name in public if not name.startswith("_")} - own
    assert needed <= vars(LaunchedProcesses).keys()
