"""Each source of chance has a seed, which moves that source alone."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import one_skill  # noqa: F401  registers its id
import pytest
import torch

from agents import PPO, AgentError, PPOConfig, Seeds
from agents.episodes import Episode

OPTIONS = {"answers": 4, "noise": 2, "words": 5, "examples": 40}
CONFIG = PPOConfig(num_envs=4, steps=32, minibatch_tokens=128, epochs=1)


class Course(NamedTuple):
    """What one iteration went through."""

    start: torch.Tensor
    prompts: list[npt.NDArray[np.integer]]
    actions: list[int]
    end: torch.Tensor


def course(seeds: Seeds) -> Course:
    agent = PPO("OneSkill-v0", CONFIG, seed=seeds, env_kwargs=OPTIONS)
    seen: list[Episode] = []
    learn = agent.update

    def update(episodes: list[Episode], rng: np.random.Generator) -> dict[str, float]:
        seen.extend(episodes)
        return learn(episodes, rng)

    agent.update = update  # type: ignore[assignment, method-assign]
    start = torch.nn.utils.parameters_to_vector(agent.model.parameters()).detach().clone()
    agent.learn(32, progress_bar=False)
    end = torch.nn.utils.parameters_to_vector(agent.model.parameters()).detach()
    actions = [int(action) for episode in seen for action in episode.actions_T]
    return Course(start, [episode.tokens_L[:5] for episode in seen], actions, end)


@pytest.mark.parametrize("source", ["weights", "actions", "batches", "envs"])
def test_a_seed_moves_its_source_alone(source: str) -> None:
    one, other = (course(dataclasses.replace(Seeds.same(0), **{source: s})) for s in (0, 1))
    assert torch.equal(one.start, other.start) is (source != "weights")
    same_prompts = all(map(np.array_equal, one.prompts, other.prompts))
    assert same_prompts is (source != "envs")
    if source == "batches":
        assert one.actions == other.actions
    if source == "actions":
        assert one.actions != other.actions
    assert not torch.equal(one.end, other.end)


def test_the_same_seeds_give_the_same_training() -> None:
    assert torch.equal(course(Seeds.same(3)).end, course(Seeds.same(3)).end)


def test_a_seed_below_0_is_refused() -> None:
    with pytest.raises(AgentError, match="the seed of envs is -1; expected at least 0"):
        dataclasses.replace(Seeds.same(0), envs=-1)
