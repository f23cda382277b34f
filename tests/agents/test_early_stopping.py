"""The best checkpoint is kept, and training ends when nothing better comes."""

from __future__ import annotations

import json
from pathlib import Path

import gymnasium
import one_skill  # noqa: F401  registers its id
import pytest
import torch

from agents import PPO, AgentError, CheckpointError, PPOConfig, evaluate
from agents.early_stopping import EarlyStopping
from agents.state import weights

TASK = {"answers": 2, "noise": 2, "words": 5}
QUICK = PPOConfig(steps=16, num_envs=2, epochs=1, checkpoint_every=2)


class Scripted(EarlyStopping):
    """Takes its scores from a list, by the iteration."""

    def __init__(self, folder: Path, scores: list[float], **options: int) -> None:
        super().__init__(folder, **options)
        self.script = scores

    def score(self, agent: object) -> float:
        return self.script[agent.iteration // self.every - 1]  # type: ignore[attr-defined]


def trained(stopping: EarlyStopping, steps: int = 160) -> PPO:
    agent = PPO("OneSkill-v0", QUICK, env_kwargs=TASK)
    return agent.learn(steps, progress_bar=False, callback=stopping)


def iterations(folder: Path) -> list[int]:
    lines = (folder / "scores.jsonl").read_text().splitlines()
    return [json.loads(line)["iteration"] for line in lines]


def test_it_stops_after_scores_without_a_better_one(tmp_path: Path) -> None:
    stopping = Scripted(tmp_path, [0.1, 0.5, 0.4, 0.5, 0.3, 0.9], every=1, patience=3)
    agent = trained(stopping)
    assert agent.iteration == 5
    assert PPO.load(tmp_path / "best").iteration == 2
    assert stopping.best_score == 0.5


def test_without_patience_it_only_keeps_the_best(tmp_path: Path) -> None:
    stopping = Scripted(tmp_path, [0.5, 0.1, 0.2, 0.6, 0.3], every=2)
    agent = trained(stopping, 160)
    assert agent.num_timesteps >= 160
    assert iterations(tmp_path) == [2, 4, 6, 8, 10]
    assert PPO.load(tmp_path / "best").iteration == 8


def test_the_best_weights_come_back(tmp_path: Path) -> None:
    kept = {}

    class Keeping(Scripted):
        def record(self, agent: PPO, score: float) -> None:
            kept[agent.iteration] = {n: t.clone() for n, t in weights(agent.model).items()}
            super().record(agent, score)

    stopping = Keeping(tmp_path, [0.1, 0.5, 0.4, 0.2], every=1)
    agent = trained(stopping, 50)
    observations, _ = agent.env.reset(seed=0)
    agent.predict(observations)
    version = agent.model.weights_version
    stopping.restore(agent)
    assert agent.model.weights_version != version
    for name, tensor in weights(agent.model).items():
        assert torch.equal(tensor, kept[2][name])
    assert any(not torch.equal(t, kept[3][n]) for n, t in weights(agent.model).items())


def test_the_start_can_be_the_best(tmp_path: Path) -> None:
    stopping = Scripted(tmp_path, [0.1, 0.2], every=1, patience=2)
    agent = PPO("OneSkill-v0", QUICK, env_kwargs=TASK)
    stopping.record(agent, 0.7)
    agent.learn(160, progress_bar=False, callback=stopping)
    assert agent.iteration == 2
    assert iterations(tmp_path) == [0, 1, 2]
    assert PPO.load(tmp_path / "best").iteration == 0


class Killed(Exception):
    pass


def test_a_resumed_run_stops_where_the_uninterrupted_one_does(tmp_path: Path) -> None:
    scores = [0.1, 0.5, 0.4, 0.45, 0.3, 0.9, 0.9, 0.9]
    assert trained(Scripted(tmp_path / "whole", scores, every=1, patience=3)).iteration == 5
    stopping = Scripted(tmp_path / "part", scores, every=1, patience=3)

    def killed(agent: PPO) -> bool:
        more = stopping(agent)
        if agent.iteration == 4:
            raise Killed
        return more

    agent = PPO("OneSkill-v0", QUICK, env_kwargs=TASK)
    with pytest.raises(Killed):
        agent.learn(160, progress_bar=False, callback=killed, run_dir=tmp_path)
    assert iterations(tmp_path / "part") == [1, 2, 3, 4]
    resumed = PPO.load(tmp_path / "checkpoint")
    assert resumed.iteration == 2
    again = Scripted(tmp_path / "part", scores, every=1, patience=3)
    again.recall(resumed)
    assert iterations(tmp_path / "part") == [1, 2]
    assert again.best_timesteps == resumed.num_timesteps
    assert not again.exhausted
    resumed.learn(progress_bar=False, callback=again)
    assert resumed.iteration == 5
    assert again.exhausted
    assert iterations(tmp_path / "part") == [1, 2, 3, 4, 5]
    assert PPO.load(tmp_path / "part" / "best").iteration == 2


def test_a_new_run_in_an_old_folder_begins_anew(tmp_path: Path) -> None:
    trained(Scripted(tmp_path, [0.9, 0.8], every=1), 30)
    trained(Scripted(tmp_path, [0.2, 0.3], every=1), 30)
    assert iterations(tmp_path) == [1, 2]
    assert PPO.load(tmp_path / "best").iteration == 2


def test_the_score_is_that_of_the_held_out_examples(tmp_path: Path) -> None:
    stopping = EarlyStopping(tmp_path, every=1, episodes=20)
    agent = trained(stopping, 16)
    result = evaluate(agent, "OneSkill-v0", split="validation", episodes=20, **TASK)
    assert stopping.best_score == result.score.value


def test_the_split_trained_on_is_not_the_one_scored_on(tmp_path: Path) -> None:
    stopping = EarlyStopping(tmp_path, every=1, episodes=20)
    agent = PPO("OneSkill-v0", QUICK, env_kwargs={**TASK, "split": "train"})
    agent.learn(16, progress_bar=False, callback=stopping)
    result = evaluate(agent, "OneSkill-v0", split="validation", episodes=20, **TASK)
    assert stopping.best_score == result.score.value


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match="patience is 0"):
        EarlyStopping(tmp_path, patience=0)
    stopping = EarlyStopping(tmp_path, every=1)
    agent = PPO(gymnasium.make("OneSkill-v0", **TASK), QUICK)
    with pytest.raises(AgentError, match="give the agent the environment's id"):
        agent.learn(16, progress_bar=False, callback=stopping)
    with pytest.raises(AgentError, match="the score is NaN"):
        stopping.record(agent, float("nan"))
    with pytest.raises(CheckpointError, match="no checkpoint"):
        stopping.restore(agent)
