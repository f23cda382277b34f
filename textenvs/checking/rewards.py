"""Checks of the end of an episode, the rewards and the expert."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from textenvs.checking.play import (
    Choose,
    Step,
    expert_action,
    final,
    heuristic_action,
    mask_of,
    n_actions,
    play,
    random_action,
    random_legal_action,
)
from textenvs.checking.report import CheckFailed, NotOffered
from textenvs.checking.subject import AnyEnv, Subject, attribute

TOLERANCE = 1e-9
"""How far sums of rewards may be off by rounding."""


def episode_end(subject: Subject) -> None:
    """Episodes end terminated, with metrics and a text."""
    env = subject.make()
    limited = env.spec is not None and env.spec.max_episode_steps is not None
    names: set[str] | None = None
    for seed, choose in _plays(subject, env):
        for step in play(env, choose, seed=seed):
            if not math.isfinite(step.reward):
                raise CheckFailed(f"seed {seed}: the reward {step.reward} is not finite")
            if step.truncated and not limited:
                raise CheckFailed(f"seed {seed}: truncated is for time limits; this is terminated")
        metrics = _metrics(step, f"seed {seed}")
        if names is not None and names != metrics.keys():
            raise CheckFailed(f"seed {seed}: metrics {sorted(metrics)}, before {sorted(names)}")
        names = set(metrics)
        if not isinstance(step.next_info.get("text"), str):
            raise CheckFailed(f'seed {seed}: info["text"] must be the answer as a string')


def _metrics(step: Step, where: str) -> dict[str, float]:
    if "metrics" not in step.next_info:
        raise NotOffered('no info["metrics"] at the end of an episode')
    metrics: dict[str, float] = step.next_info["metrics"]
    for name, value in metrics.items():
        if not (isinstance(value, float) and math.isfinite(value)):
            raise CheckFailed(f"{where}: metric {name!r} must be a finite float, got {value!r}")
    return metrics


def _plays(subject: Subject, env: AnyEnv) -> list[tuple[int, Choose]]:
    """Seeds, played by all the policies there are in turn: scores are to be low and high."""
    return [
        (seed, choose)
        for choose in (*_rivals(env).values(), *_offered(env, "expert_action", expert_action))
        for seed in range(subject.episodes)
    ]


def _rivals(env: AnyEnv) -> dict[str, Choose]:
    """The policies that an expert must not be behind."""
    rng = np.random.default_rng(0)
    rivals = {"random legal play": random_legal_action(rng), "random play": random_action(rng)}
    for choose in _offered(env, "heuristic_action", heuristic_action):
        rivals["the heuristic"] = choose
    return rivals


def _offered(env: AnyEnv, name: str, choose: Choose) -> list[Choose]:
    return [choose] if hasattr(env.unwrapped, name) else []


def terminal_reward(subject: Subject) -> None:
    """The return is the score, in [0, 1], paid at the end."""
    try:
        env, pays_before = subject.make(reward="terminal"), False
    except NotOffered:
        env, pays_before = subject.make(), True
    name = getattr(env.unwrapped, "score_name", None)
    for seed, choose in _plays(subject, env):
        total = 0.0
        for step in play(env, choose, seed=seed):
            total += step.reward
            if step.reward and not (step.done or pays_before):
                raise CheckFailed(f"seed {seed}: reward {step.reward} before the end")
        if not -TOLERANCE <= total <= 1 + TOLERANCE:
            raise CheckFailed(f"seed {seed}: the score must be in [0, 1], the return is {total}")
        score = step.next_info.get("metrics", {}).get(name, total)
        if abs(score - total) > TOLERANCE:
            raise CheckFailed(f"seed {seed}: the return is {total}, metrics[{name!r}] is {score}")


def dense_reward(subject: Subject) -> None:
    """Dense rewards sum to the terminal reward."""
    dense, terminal = subject.make(reward="dense"), subject.make(reward="terminal")
    for seed, choose in _plays(subject, dense):
        steps = list(play(dense, choose, seed=seed))
        if steps[-1].truncated:
            continue  # it was cut off before its score was settled
        actions = iter([step.action for step in steps])
        score, _ = final(terminal, lambda *_, actions=actions: next(actions), seed=seed)
        total = math.fsum(step.reward for step in steps)
        if abs(total - score) > TOLERANCE:
            raise CheckFailed(
                f"seed {seed}: the dense rewards sum to {total}, the terminal reward of the same "
                f"{len(steps)} actions is {score}; r = Φ(s') - Φ(s) needs Φ(s_0) = 0 and "
                "Φ(final) = score"
            )


def expert_is_best(subject: Subject) -> None:
    """Neither random play nor the heuristic beats the expert."""
    env = _scoring(subject)
    attribute(env, "expert_action")
    rivals = _rivals(env)
    for seed in range(subject.episodes):
        best, _ = final(env, expert_action, seed=seed)
        for name, choose in rivals.items():
            score, _ = final(env, choose, seed=seed)
            if score > best + TOLERANCE:
                raise CheckFailed(f"seed {seed}: {name} scores {score}, the expert {best}")


def _scoring(subject: Subject) -> AnyEnv:
    try:
        return subject.make(reward="terminal")
    except NotOffered:
        return subject.make()


def expert_is_legal(subject: Subject) -> None:
    """The expert's action is legal in every state."""
    env = subject.make()
    expert: Any = attribute(env, "expert_action")
    rng = np.random.default_rng(0)
    for seed in range(subject.episodes):
        _, info = env.reset(seed=seed)
        _check_expert(env, expert(), info, f"seed {seed}, reset")
        for number, step in enumerate(play(env, random_legal_action(rng), seed=seed), 1):
            if not step.done:
                _check_expert(env, expert(), step.next_info, f"seed {seed}, step {number}")


def _check_expert(env: AnyEnv, action: Any, info: dict[str, Any], where: str) -> None:
    legal = mask_of(env, info)
    if not 0 <= action < n_actions(env):
        raise CheckFailed(f"{where}: the expert's action {action!r} is not in {env.action_space}")
    if legal.any() and not legal[action]:
        raise CheckFailed(f"{where}: the expert's action {action} is illegal")


CHECKS = (
    episode_end,
    terminal_reward,
    dense_reward,
    expert_is_best,
    expert_is_legal,
)
