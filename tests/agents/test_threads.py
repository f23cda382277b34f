"""A small model on the CPU works with one thread, and leaves torch as it was."""

from __future__ import annotations

from collections.abc import Iterator

import one_skill  # noqa: F401  registers its id
import pytest
import torch
from torch import nn

from agents import PPO, PPOConfig, evaluate
from agents.threads import SMALL, threads_for


@pytest.fixture(autouse=True)
def three_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def threads_within(model: object) -> int:
    with threads_for(model):
        return torch.get_num_threads()


def test_which_models_get_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    assert threads_within(nn.Linear(4, 4)) == 1
    assert threads_within(nn.Linear(SMALL, 1, device="meta")) == 3
    large = nn.Linear(1, 1)
    monkeypatch.setattr("agents.threads.SMALL", 2)
    assert threads_within(large) == 3
    assert threads_within(None) == 3


def test_a_chosen_number_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads_within(nn.Linear(4, 4)) == 3


def test_torch_is_left_as_it_was() -> None:
    seen = []

    def watch(agent: PPO) -> bool:
        seen.append(torch.get_num_threads())
        return True

    agent = PPO("OneSkill-v0", PPOConfig(num_envs=4, steps=32))
    agent.learn(32, progress_bar=False, callback=watch)
    assert seen == [1]
    assert torch.get_num_threads() == 3
    evaluate(agent, "OneSkill-v0", split=None, episodes=4)
    assert torch.get_num_threads() == 3
    with pytest.raises(ZeroDivisionError), threads_for(agent.model):
        raise ZeroDivisionError
    assert torch.get_num_threads() == 3
