"""The command line trains, reports, and goes on after an interruption."""

from __future__ import annotations

import json
from pathlib import Path

import one_skill  # noqa: F401  registers its id
import pytest

from agents import AgentError, BCConfig, PPOConfig
from agents.train import Settings, TrainBC, TrainPPO, main, train_bc, train_ppo

OPTIONS = '{"answers": 2, "noise": 2, "words": 5, "examples": 40}'


def ppo_run(out: Path, **changes: object) -> TrainPPO:
    settings = {
        "env": "OneSkill-v0",
        "env_kwargs": OPTIONS,
        "total_timesteps": 200,
        "clone_episodes": 20,
        "clone_epochs": 1,
        "validate_every": 1,
        "out": out,
        "config": PPOConfig(num_envs=4, steps=64, checkpoint_every=2),
    }
    return TrainPPO(**(settings | changes))  # type: ignore[arg-type]


def test_ppo_reports_the_ladder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train_ppo(ppo_run(tmp_path))
    printed = capsys.readouterr().out
    table = printed[printed.index("95 % intervals") :].splitlines()
    assert [line.split()[0] for line in table[3:7]] == ["random", "cloned", "PPO", "expert"]
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["scores"]["expert"]["share"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    steps = [point["timesteps"] for point in results["curve"]]
    assert steps[0] == 0
    assert steps == sorted(steps)
    assert len(steps) >= 4
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "checkpoint" / "checkpoint.json").exists()


def test_an_interrupted_run_resumes_to_the_same_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_ppo(ppo_run(tmp_path / "whole"))
    with monkeypatch.context() as patch:
        interrupt_at(3, patch)
        with pytest.raises(KeyboardInterrupt):
            train_ppo(ppo_run(tmp_path / "part"))
    train_ppo(ppo_run(tmp_path / "part", resume=True))
    whole, part = (
        json.loads((tmp_path / run / "results.json").read_text()) for run in ("whole", "part")
    )
    assert whole["scores"] == part["scores"]
    assert whole["curve"] == part["curve"]
    steps = [
        [
            json.loads(line)["step"]
            for line in (tmp_path / run / "metrics.jsonl").read_text().splitlines()
        ]
        for run in ("whole", "part")
    ]
    assert steps[0] == steps[1]


def interrupt_at(iteration: int, patch: pytest.MonkeyPatch) -> None:
    from agents.ppo import PPO

    update = PPO.update

    def interrupted(self: PPO, *args: object) -> dict[str, float]:
        if self.iteration == iteration:
            raise KeyboardInterrupt
        return update(self, *args)  # type: ignore[arg-type]

    patch.setattr(PPO, "update", interrupted)


def test_cloning_reports_too(tmp_path: Path) -> None:
    train_bc(
        TrainBC(
            env="OneSkill-v0",
            env_kwargs=OPTIONS,
            out=tmp_path,
            config=BCConfig(num_envs=4, episodes=20, epochs=1),
        )
    )
    assert {"random", "cloned", "expert"} == json.loads((tmp_path / "results.json").read_text())[
        "scores"
    ].keys()


def test_the_command_line_reads_the_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    arguments = "train ppo --env OneSkill-v0 --clone-episodes 0 --total-timesteps 64 --steps 64"
    arguments += f" --num-envs 4 --seed 3 --out {tmp_path}"
    monkeypatch.setattr("sys.argv", [*arguments.split(), "--env-kwargs", OPTIONS])
    main()
    settings = json.loads((tmp_path / "results.json").read_text())["settings"]
    assert (settings["seed"], settings["config"]["steps"]) == (3, 64)


def test_environment_options_are_read_and_checked() -> None:
    settings = Settings(dataset="x.json", reward="dense", env_kwargs='{"size": 3}', model="org/lm")
    assert settings.environment_options() == {
        "size": 3,
        "dataset": "x.json",
        "reward": "dense",
        "tokenizer": "org/lm",
    }
    with pytest.raises(AgentError, match="not JSON"):
        Settings(env_kwargs="{").environment_options()
    with pytest.raises(AgentError, match="expected a JSON object"):
        Settings(env_kwargs="[]").environment_options()
