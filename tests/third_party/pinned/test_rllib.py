"""RLlib's PPO trains a language model in our environments, with env runners in other processes."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import textenvs

pytest.importorskip("ray.rllib", reason="needs an environment of its own: make test-pinned")

import ray
import rllib_ppo

pytestmark = pytest.mark.filterwarnings("ignore")  # of the library, about itself
FOLDERS = [Path(__file__).parents[2] / "agents", Path(rllib_ppo.__file__).parent]


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """On this machine, of processes that find what the tests import."""
    folders = os.pathsep.join(map(str, FOLDERS))
    ray.init(num_cpus=3, runtime_env={"env_vars": {"PYTHONPATH": folders}})
    yield
    ray.shutdown()


def test_ppo_learns_the_one_skill_with_two_env_runners() -> None:
    args = rllib_ppo.Args(
        env_id="one_skill:OneSkill-v0",
        total_timesteps=2048,
        num_env_runners=2,
        num_envs_per_env_runner=4,
        batch_size=256,
        minibatch_size=128,
    )
    _, returns = rllib_ppo.train(args, answers=2, noise=2, words=5)
    assert returns[0] < 0.4
    assert returns[-1] > 0.9


@pytest.mark.parametrize("env_id", sorted(textenvs.IDS))
def test_ppo_trains_everywhere_over_legal_actions(env_id: str) -> None:
    """An illegal one would be an error here. RLlib 2.60 has no check of a single environment."""
    args = rllib_ppo.Args(env_id=env_id, total_timesteps=32, num_env_runners=0)
    small = {"num_envs_per_env_runner": 2, "batch_size": 32, "minibatch_size": 16, "epochs": 1}
    rllib_ppo.train(dataclasses.replace(args, **small), size=20, illegal_action="raise")
