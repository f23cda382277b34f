"""Agents learn the one skill in seconds, and the same seed gives the same bytes."""

from __future__ import annotations

import json
from pathlib import Path

import gymnasium
import numpy as np
import one_skill
import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from agents import (
    PPO,
    BCConfig,
    BehaviourCloning,
    PPOConfig,
    RandomAgent,
    ReferenceAgent,
    TrainingDiverged,
    evaluate,
)
from agents.agent import LanguageAgent
from agents.schedules import Schedule
from agents.state import weights

EASY = {"answers": 2, "noise": 2, "words": 5}
TASK = {"answers": 2, "noise": 3, "words": 10, "examples": 400}
QUICK = PPOConfig(steps=64, num_envs=4, minibatch_tokens=256, epochs=2, checkpoint_every=2)


def same_weights(one: LanguageAgent, other: LanguageAgent) -> bool:
    theirs = weights(other.model)
    return all(torch.equal(tensor, theirs[name]) for name, tensor in weights(one.model).items())


@pytest.mark.parametrize(
    ("schedule", "warmup", "rates"),
    [
        ("constant", 0.0, [1.0] * 5),
        ("linear", 0.0, [0.9, 0.7, 0.5, 0.3, 0.1]),
        ("cosine", 0.0, [0.976, 0.794, 0.5, 0.206, 0.024]),
        ("linear", 0.4, [0.25, 0.75, 0.833, 0.5, 0.167]),
    ],
)
def test_the_learning_rate_is_that_of_an_updates_middle(
    schedule: Schedule, warmup: float, rates: list[float]
) -> None:
    config = PPOConfig(
        num_envs=1, steps=1, learning_rate=1.0, learning_rate_schedule=schedule, warmup=warmup
    )
    agent = PPO("OneSkill-v0", config, env_kwargs=EASY)
    agent._begin_leg(10)
    found = []
    for _ in range(5):
        agent._schedule(2)
        found.append(agent.descent.rate)
        agent.num_timesteps += 2
    assert found == pytest.approx(rates, abs=1e-3)


@pytest.mark.parametrize("steps", [1, 100])
def test_an_update_beyond_the_end_learns_as_well(steps: int) -> None:
    """All of the training is one update on more actions than were asked for."""
    agent = PPO("OneSkill-v0", PPOConfig(num_envs=2, steps=256), env_kwargs=EASY)
    before = {name: weight.clone() for name, weight in weights(agent.model).items()}
    agent.learn(steps, progress_bar=False)
    assert agent.descent.rate > 1e-4
    now = weights(agent.model)
    assert not any(torch.equal(now[name], before[name]) for name in before if "norm" in name)


def test_ppo_learns_from_scratch() -> None:
    config = PPOConfig(steps=256, learning_rate=1e-3, minibatch_tokens=1024)
    agent = PPO("OneSkill-v0", config, env_kwargs=EASY)
    start = evaluate(agent, "OneSkill-v0", **EASY).score
    agent.learn(4000, progress_bar=False)
    end = evaluate(agent, "OneSkill-v0", **EASY).score
    assert start.high < 0.8
    assert end.low > 0.95


def test_cloning_learns_what_the_expert_does() -> None:
    agent = BehaviourCloning(
        "OneSkill-v0", BCConfig(epochs=6, minibatch_tokens=512), env_kwargs=TASK
    )
    agent.learn(progress_bar=False)
    assert evaluate(agent, "OneSkill-v0", **TASK).score.low > 0.95
    assert evaluate(ReferenceAgent(), "OneSkill-v0", **TASK).score == (1, 1, 1)
    assert evaluate(RandomAgent(10), "OneSkill-v0", **TASK).score.high < 0.2


@pytest.mark.parametrize("algorithm", [PPO, BehaviourCloning])
def test_same_seed_same_bytes(algorithm: type[LanguageAgent]) -> None:
    config = QUICK if algorithm is PPO else BCConfig(num_envs=4, episodes=20, epochs=2)
    agents = [
        algorithm("OneSkill-v0", config, seed=seed, env_kwargs=TASK).learn(  # type: ignore[attr-defined]
            200, progress_bar=False
        )
        for seed in (3, 3, 4)
    ]
    assert same_weights(agents[0], agents[1])
    assert not same_weights(agents[0], agents[2])


class Interrupted(Exception):
    pass


def test_a_resumed_run_is_the_uninterrupted_one(tmp_path: Path) -> None:
    whole = PPO("OneSkill-v0", QUICK, seed=1, env_kwargs=TASK)
    whole.learn(400, progress_bar=False)

    def interrupt(agent: PPO) -> None:
        if agent.iteration == 3:
            raise Interrupted

    part = PPO("OneSkill-v0", QUICK, seed=1, env_kwargs=TASK)
    with pytest.raises(Interrupted):
        part.learn(400, progress_bar=False, callback=interrupt, run_dir=tmp_path)
    resumed = PPO.load(tmp_path / "checkpoint")
    assert resumed.iteration == 2
    resumed.learn(progress_bar=False)
    assert resumed.num_timesteps == whole.num_timesteps
    assert same_weights(resumed, whole)


def test_a_run_folder_has_its_logs(tmp_path: Path) -> None:
    agent = PPO("OneSkill-v0", QUICK, env_kwargs=TASK)
    agent.learn(150, progress_bar=False, run_dir=tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == agent.num_timesteps
    assert {"rollout/reward", "score/share", "policy/kl", "policy/entropy"} <= lines[0].keys()
    assert lines[0]["optimizer/learning_rate"] > lines[-1]["optimizer/learning_rate"]
    assert list((tmp_path / "tensorboard").iterdir())
    assert (tmp_path / "checkpoint" / "checkpoint.json").exists()


class BadReward(one_skill.OneSkillEnv):
    def step(self, action: object) -> tuple:
        observation, _, *rest = super().step(action)
        return observation, float("nan"), *rest


def test_a_reward_that_is_nan_stops_training(tmp_path: Path) -> None:
    env = SyncVectorEnv([BadReward] * 4, autoreset_mode=AutoresetMode.SAME_STEP)
    agent = PPO(env, QUICK)
    before = {name: tensor.clone() for name, tensor in weights(agent.model).items()}
    with pytest.raises(TrainingDiverged, match="step 0: a reward is not finite") as caught:
        agent.learn(100, progress_bar=False, run_dir=tmp_path)
    assert all(torch.equal(t, before[name]) for name, t in weights(agent.model).items())
    with np.load(caught.value.batch_path) as batch:
        assert np.isnan(batch["rewards_0"]).any()


@pytest.mark.parametrize("algorithm", [PPO, BehaviourCloning])
def test_a_loss_that_is_nan_stops_training_and_leaves_the_checkpoint(
    algorithm: type[LanguageAgent], tmp_path: Path
) -> None:
    config = QUICK if algorithm is PPO else BCConfig(num_envs=4, episodes=20)
    agent = algorithm("OneSkill-v0", config, env_kwargs=TASK)
    agent.save(tmp_path / "checkpoint")
    good = algorithm.load(tmp_path / "checkpoint")
    with torch.no_grad():
        agent.model.value_head[-1].bias.fill_(float("nan"))
        agent.model.backbone.lm.get_output_embeddings().weight[5].fill_(float("inf"))
    with pytest.raises(TrainingDiverged, match="not finite") as caught:
        agent.learn(200, progress_bar=False, run_dir=tmp_path)  # type: ignore[attr-defined]
    assert caught.value.batch_path.parent == tmp_path
    assert caught.value.checkpoint == tmp_path / "checkpoint"
    assert f"the last good checkpoint is in {tmp_path / 'checkpoint'}" in str(caught.value)
    assert same_weights(algorithm.load(tmp_path / "checkpoint"), good)


def test_a_gradient_that_is_nan_is_named() -> None:
    agent = PPO("OneSkill-v0", QUICK, env_kwargs=TASK)
    before = {name: tensor.clone() for name, tensor in weights(agent.model).items()}
    agent.model.value_head[-1].bias.register_hook(lambda gradient: gradient * float("nan"))
    with pytest.raises(TrainingDiverged, match="step 0: the gradient is not finite") as caught:
        agent.learn(100, progress_bar=False)
    assert caught.value.checkpoint is None
    assert "no checkpoint was written yet" in str(caught.value)
    changed = [n for n, t in weights(agent.model).items() if not torch.equal(t, before[n])]
    assert changed == ["value_head.2.bias"]  # which began at the mean return


def test_a_policy_that_is_nan_is_named() -> None:
    agent = PPO("OneSkill-v0", QUICK, env_kwargs=TASK)
    with torch.no_grad():
        agent.model.backbone.lm.get_output_embeddings().weight.fill_(float("nan"))
    with pytest.raises(TrainingDiverged, match="step 0: the policy is not finite") as caught:
        agent.learn(100, progress_bar=False)
    with np.load(caught.value.batch_path) as batch:
        assert len(batch["observations"]) == 4


def test_a_native_vector_environment_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    def agent() -> PPO:
        return PPO("TextNER-v0", QUICK, seed=1, env_kwargs={"size": 200})

    whole, again = (agent().learn(300, progress_bar=False) for _ in range(2))
    assert same_weights(whole, again)

    def interrupt(agent: PPO) -> None:
        if agent.iteration == 3:
            raise Interrupted

    with pytest.raises(Interrupted):
        agent().learn(300, progress_bar=False, callback=interrupt, run_dir=tmp_path)
    resumed = PPO.load(tmp_path / "checkpoint").learn(progress_bar=False)
    assert resumed.num_timesteps == whole.num_timesteps
    assert same_weights(resumed, whole)


def test_a_callback_can_end_the_training() -> None:
    agent = PPO("OneSkill-v0", QUICK, env_kwargs=TASK)
    agent.learn(10_000, progress_bar=False, callback=lambda agent: False)
    assert agent.iteration == 1


def test_a_single_environment_is_played_in_one_slot() -> None:
    agent = PPO(gymnasium.make("OneSkill-v0", **TASK), QUICK)
    agent.learn(64, progress_bar=False)
    assert agent.env.num_envs == 1
