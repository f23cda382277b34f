"""Checks that the vector environment is a loop of single ones, bit by bit."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from textenvs.checking.play import difference
from textenvs.checking.report import CheckFailed, NotOffered
from textenvs.checking.subject import AnyVectorEnv, Subject, attribute

NUM_ENVS = 4
ENDED = 3 * NUM_ENVS
"""Episodes that must end before two environments count as the same."""

MOST_STEPS = 2_000


def vector_same_step(subject: Subject) -> None:
    """A loop of single ones, if reset in the same step."""
    _compare(subject, AutoresetMode.SAME_STEP)


def vector_next_step(subject: Subject) -> None:
    """A loop of single ones, if reset in the next step."""
    _compare(subject, AutoresetMode.NEXT_STEP)


def vector_disabled(subject: Subject) -> None:
    """A loop of single ones, if reset when told to."""
    _compare(subject, AutoresetMode.DISABLED)


def _compare(subject: Subject, mode: AutoresetMode) -> None:
    _play_both(subject.make_vector(NUM_ENVS, mode), subject.make_loop(NUM_ENVS, mode), True)
    try:
        ours = subject.make_vector(NUM_ENVS, mode, reward="dense")
    except NotOffered:
        return
    _play_both(ours, subject.make_loop(NUM_ENVS, mode, reward="dense"), False)


def _play_both(ours: AnyVectorEnv, loop: AnyVectorEnv, legal: bool) -> None:
    """Play both with the same actions; raise where they differ."""
    mode = loop.metadata["autoreset_mode"]
    for name in ("single_observation_space", "single_action_space", "num_envs"):
        if getattr(ours, name) != getattr(loop, name):
            raise CheckFailed(f"{name}: {getattr(ours, name)}, of the loop {getattr(loop, name)}")
    if ours.metadata.get("autoreset_mode") is not mode:
        raise CheckFailed(f"metadata['autoreset_mode'] must be {mode}, got {ours.metadata}")
    rng = np.random.default_rng(0)
    (observation, info), theirs = ours.reset(seed=11), loop.reset(seed=11)
    _same("after reset", {"observations": observation, "info": info}, theirs)
    finished = 0
    for number in range(1, MOST_STEPS):
        actions = _actions(ours, info, rng, legal)
        observation, rewards, terminated, truncated, info = ours.step(actions)
        _same(
            f"step {number}",
            {
                "observations": observation,
                "rewards": rewards,
                "terminations": terminated,
                "truncations": truncated,
                "info": info,
            },
            loop.step(actions),
        )
        ended = terminated | truncated
        finished += int(ended.sum())
        if finished >= ENDED:
            return
        if mode is AutoresetMode.DISABLED and ended.any():
            (observation, info), theirs = (
                envs.reset(options={"reset_mask": ended.copy()}) for envs in (ours, loop)
            )
            _same(f"reset after step {number}", {"observations": observation, "info": info}, theirs)
    raise CheckFailed(f"only {finished} episodes ended in {MOST_STEPS} steps")


def _same(when: str, ours: dict[str, Any], theirs: tuple[Any, ...]) -> None:
    for (name, value), other in zip(ours.items(), theirs, strict=True):
        if where := difference(value, other, name):
            raise CheckFailed(f"{when}, vector environment and loop: {where}")


def _actions(
    envs: AnyVectorEnv, info: dict[str, Any], rng: np.random.Generator, legal: bool
) -> NDArray[np.int64]:
    count = int(getattr(envs.single_action_space, "n", 1))
    masks = info.get("action_mask") if legal else None
    if masks is None:
        return rng.integers(count, size=envs.num_envs)
    # Any legal action is before all illegal ones; one of those, where no action is legal.
    priorities = rng.random((envs.num_envs, count)) + np.asarray(masks)
    return np.asarray(priorities.argmax(1), np.int64)


def vector_policies(subject: Subject) -> None:
    """Expert, heuristic and masks are those of single ones."""
    ours = subject.make_vector(NUM_ENVS, AutoresetMode.SAME_STEP)
    singles = [subject.make() for _ in range(NUM_ENVS)]
    pairs = [
        (several, single)
        for several, single in (
            ("expert_actions", "expert_action"),
            ("heuristic_actions", "heuristic_action"),
            ("action_masks", "action_masks"),
        )
        if hasattr(ours.unwrapped, several)
    ]
    if not pairs:
        attribute(ours, "expert_actions")
    rng = np.random.default_rng(0)
    _, info = ours.reset(seed=5)
    for slot, env in enumerate(singles):
        env.reset(seed=5 + slot)
    running = np.ones(NUM_ENVS, bool)
    while running.any():
        for several, single in pairs:
            values = attribute(ours, several)()
            for slot in np.flatnonzero(running).tolist():
                value = np.asarray(attribute(singles[slot], single)())
                if not np.array_equal(values[slot], value):
                    raise CheckFailed(
                        f"slot {slot}: {several}() {values[slot]}, {single}() {value}"
                    )
        actions = _actions(ours, info, rng, legal=True)
        _, _, terminated, truncated, info = ours.step(actions)
        for slot in np.flatnonzero(running).tolist():
            singles[slot].step(int(actions[slot]))
        running &= ~(terminated | truncated)


CHECKS = (vector_same_step, vector_next_step, vector_disabled, vector_policies)
