"""What the tests of commands about trained agents share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from agents import PPO, PPOConfig
from textenvs.cli import main

Printed = pytest.CaptureFixture[str]
SMALL = [
    *("TextNER-v0", "--total-timesteps", "256", "--num-envs", "4", "--steps", "64"),
    *("--clone-episodes", "60", "--clone-epochs", "2", "--seed", "3"),
    *("--validation-episodes", "8", "--test-episodes", "12", "--validate-every", "2"),
]


@pytest.fixture(scope="session")
def small() -> list[str]:
    """Options of a training that is short."""
    return SMALL


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """80 columns without colours, whatever terminal the tests run in."""
    for name in ("COLUMNS", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two short runs, `ppo` and `dqn`."""
    folder = tmp_path_factory.mktemp("runs")
    for name, options in (("ppo", []), ("dqn", ["--learning-starts", "64"])):
        assert main(["train", name, *SMALL, *options, "--out", str(folder / name)]) == 0
    return folder


@pytest.fixture
def done(capsys: Printed) -> Callable[..., str]:
    """Runs a command that ends with some status; what it printed."""

    def run(*arguments: object, status: int = 0) -> str:
        assert main([str(argument) for argument in arguments]) == status
        printed = capsys.readouterr()
        if status:
            line, end, rest = printed.err.partition("\n")
            assert (end, rest, printed.out) == ("\n", "", "")
            assert line.startswith("error: ")
            return line
        return printed.out

    return run


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The checkpoint of an agent that has not learnt yet, but whose answers differ."""
    made: dict[str, Path] = {}

    def make(env_id: str) -> Path:
        if env_id not in made:
            made[env_id] = tmp_path_factory.mktemp("untrained")
            PPO(env_id, PPOConfig(num_envs=1)).save(made[env_id])
        return made[env_id]

    return make
