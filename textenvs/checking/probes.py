"""Tricks that a reward should not pay for, played beside random, heuristic and expert.

A trick plays the same whatever is asked. A reward that pays for it measures something else than the
task, and an agent that learns from that reward finds the trick.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain, cycle, repeat
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from textenvs.checking.play import (
    Choose,
    expert_action,
    final,
    heuristic_action,
    mask_of,
    n_actions,
    random_legal_action,
)
from textenvs.checking.report import CheckFailed, NotOffered, Returns
from textenvs.checking.subject import AnyEnv, Subject, attribute

HALF_WAY = 0.5
"""A trick is flagged from this share of the way from random legal play to the expert ..."""

ABOVE_HEURISTIC = 0.25
"""... and where it beats the heuristic, and random play, by this share of the same way."""

TOKENS, LABELS = 6, 16
"""How many tokens are tried one by one: the most common ones of prompts; if none of theirs is an
action, as with labels, the first actions."""

Planner: TypeAlias = Callable[[NDArray[Any]], Iterator[int]]
"""All actions of an episode from its first observation."""


class Policy(NamedTuple):
    """What a policy does, and ways to play it, of which the best counts."""

    what: str
    ways: list[Callable[[], Choose]]


def reward_hacks(subject: Subject) -> None:
    """No trick comes near the expert: see the returns below."""
    env = subject.make()
    random_legal = random_legal_action(np.random.default_rng(0))
    policies = {"random legal": Policy("a uniform legal action", [lambda: random_legal])}
    if hasattr(env.unwrapped, "heuristic_action"):
        policies["heuristic"] = Policy("the task's simple rule", [lambda: heuristic_action])
    if hasattr(env.unwrapped, "expert_action"):
        policies["expert"] = Policy("the reference policy", [lambda: expert_action])
    references = set(policies)
    for name, (what, ways) in (policies | _tricks(env)).items():
        mean = max(_mean_return(subject, env, way) for way in ways)
        kind: Literal["reference", "probe"] = "reference" if name in references else "probe"
        subject.returns[name] = Returns(mean, kind, what)
    judge(subject.returns)


def _mean_return(subject: Subject, env: AnyEnv, policy: Callable[[], Choose]) -> float:
    seeds = range(subject.episodes)
    return float(np.mean([final(env, policy(), seed=seed)[0] for seed in seeds]))


def judge(returns: dict[str, Returns]) -> None:
    """Raise `CheckFailed` if a probe's mean is too high among the others."""
    if "expert" not in returns:
        raise NotOffered("there is no expert to compare the tricks with; the table has the returns")
    low, high = returns["random legal"].mean, returns["expert"].mean
    if high <= low:
        raise NotOffered(f"the expert, {high:.3f}, is no better than random play, {low:.3f}")
    limit, what = low + HALF_WAY * (high - low), f"over half way from {low:.3f} to {high:.3f}"
    if "heuristic" in returns:
        simple = max(returns["heuristic"].mean, low)
        well_above = simple + ABOVE_HEURISTIC * (high - low)
        if well_above < limit:
            limit, what = well_above, f"well over heuristic and random play, {simple:.3f}"
    found = [
        f"{name!r} returns {probe.mean:.3f}, {what}: does the reward pay for the task?"
        for name, probe in returns.items()
        if probe.kind == "probe" and probe.mean > limit
    ]
    if found:
        raise CheckFailed("\n".join(found))


def _tricks(env: AnyEnv) -> dict[str, Policy]:
    """The tricks that the environment's actions allow."""
    count = n_actions(env)
    tokens = np.asarray(attribute(env, "action_tokens"))
    action_of = {token: action for action, token in enumerate(tokens.tolist())}
    end = action_of.pop(getattr(env.unwrapped, "eos_token_id", None), None)
    common = _common_actions(env, action_of)
    tricks = {
        "one token": Policy(
            f"the same action to the end; the best of {len(common)}",
            [_planned(_first([action], action)) for action in common],
        ),
        "all labels": Policy("every action in turn", [_planned(lambda _: cycle(range(count)))]),
        "longest answer": Policy(
            "the first legal action, then the last ones, no EOS", [lambda: _longest(end)]
        ),
    }
    if end is not None:
        tricks["empty answer"] = Policy("EOS at once", [_planned(_first([], end))])
        tricks["short answer"] = Policy(
            f"one action and EOS; the best of {len(common)}",
            [_planned(_first([action], end)) for action in common],
        )
    if _prompt_actions(env, env.reset(seed=0)[0], action_of):
        tricks["copy the prompt"] = Policy(
            "the prompt's tokens, then EOS",
            [
                _planned(
                    lambda prompt: chain(
                        _prompt_actions(env, prompt, action_of),
                        cycle(range(count)) if end is None else repeat(end),
                    )
                )
            ],
        )
    return tricks


def _first(actions: list[int], then: int) -> Planner:
    return lambda prompt: chain(actions, repeat(then))


def _planned(planner: Planner) -> Callable[[], Choose]:
    """A policy that settles all actions of an episode when it sees the prompt."""

    def begin() -> Choose:
        plan: Iterator[int] | None = None

        def choose(env: AnyEnv, observation: NDArray[Any], info: dict[str, Any]) -> int:
            nonlocal plan
            plan = plan or planner(observation)
            return next(plan)

        return choose

    return begin


def _longest(end: int | None) -> Choose:
    begun = False

    def choose(env: AnyEnv, observation: NDArray[Any], info: dict[str, Any]) -> int:
        nonlocal begun
        legal = np.flatnonzero(mask_of(env, info))
        going_on = legal[legal != end] if end is not None else legal
        choices = going_on if len(going_on) else np.arange(n_actions(env))
        first, begun = not begun, True
        return int(choices[0 if first else -1])

    return choose


def _prompt_actions(env: AnyEnv, prompt: NDArray[Any], action_of: dict[int, int]) -> list[int]:
    """The prompt's tokens as actions, those that are."""
    filled = np.flatnonzero(prompt != attribute(env, "pad_token_id"))
    tokens = prompt[: filled[-1] + 1].tolist() if len(filled) else []
    return [action_of[token] for token in tokens if token in action_of]


def _common_actions(env: AnyEnv, action_of: dict[int, int]) -> list[int]:
    """The most common tokens of prompts as actions; the first actions, where prompts have none."""
    counts: Counter[int] = Counter()
    for seed in range(20):
        counts.update(_prompt_actions(env, env.reset(seed=seed)[0], action_of))
    common = [action for action, _ in counts.most_common(TOKENS)]
    return common or list(range(min(n_actions(env), LABELS)))


CHECKS = (reward_hacks,)
