"""Asking what comes next changes nothing of what comes."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

import textenvs  # noqa: F401  registers its ids


def play(ask: bool, mode: str) -> list[list[int]]:
    envs = gymnasium.make_vec("TextNER-v0", num_envs=3, size=30, autoreset_mode=mode)
    base = envs.unwrapped
    observations, _ = envs.reset(seed=5)
    seen = [observations.ravel().tolist()]
    for step in range(60):
        expected = [base.upcoming_prompt(slot) for slot in range(3)] if ask else []
        observations, _, terminated, _, _ = envs.step(np.zeros(3, np.int64))
        seen.append(observations.ravel().tolist())
        for slot in np.flatnonzero(terminated) if ask and mode == "SameStep" else ():
            prompt = expected[slot]
            assert observations[slot, : len(prompt)].tolist() == prompt.tolist()
            assert (observations[slot, len(prompt) :] == base.pad_token_id).all()
        if step == 40:
            observations, _ = envs.reset(seed=[7, None, 8])
            seen.append(observations.ravel().tolist())
    return seen


@pytest.mark.parametrize("mode", ["SameStep", "NextStep"])
def test_the_episodes_are_the_same_with_and_without_asking(mode: str) -> None:
    assert play(ask=True, mode=mode) == play(ask=False, mode=mode)


def test_asking_again_gives_the_same() -> None:
    envs = gymnasium.make_vec("TextQA-v0", num_envs=2, size=30)
    envs.reset(seed=0)
    first, again = (envs.unwrapped.upcoming_prompt(1) for _ in range(2))
    assert first.tolist() == again.tolist()


def test_a_named_example_comes_before_the_one_that_was_drawn() -> None:
    envs = gymnasium.make_vec("TextQA-v0", num_envs=1, size=30)
    envs.reset(seed=0)
    prompt = envs.unwrapped.upcoming_prompt(0)
    named, _ = envs.reset(options={"index": 3})
    single = gymnasium.make("TextQA-v0", size=30).unwrapped
    assert named[0].tolist() == single.reset(options={"index": 3})[0].tolist()
    drawn, _ = envs.reset()
    assert drawn[0, : len(prompt)].tolist() == prompt.tolist()
