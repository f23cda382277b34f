"""Playing episodes, and telling where two plays differ."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from textenvs.checking.report import CheckFailed
from textenvs.checking.subject import AnyEnv, attribute

Choose: TypeAlias = Callable[[AnyEnv, NDArray[Any], dict[str, Any]], int]
"""A policy: an action for an environment in a state, from its observation and its info."""

AT_THE_END = ("metrics", "text")
"""What the info of a finished episode holds."""


class Step(NamedTuple):
    """A transition."""

    observation: NDArray[Any]
    info: dict[str, Any]
    action: int
    next_observation: NDArray[Any]
    reward: float
    terminated: bool
    truncated: bool
    next_info: dict[str, Any]

    @property
    def done(self) -> bool:
        """Whether the episode has ended."""
        return self.terminated or self.truncated


def play(env: AnyEnv, choose: Choose, **reset: Any) -> Iterator[Step]:
    """The transitions of an episode; ``reset`` are the arguments of `env.reset`.

    Raises:
        CheckFailed: It takes more actions than an observation has room for.
    """
    observation, info = env.reset(**reset)
    most = int(np.prod(env.observation_space.shape or (1,))) + 1
    for _ in range(most):
        action = choose(env, observation, info)
        after, reward, terminated, truncated, next_info = env.step(action)
        step = Step(
            observation, info, action, after, float(reward), terminated, truncated, next_info
        )
        yield step
        if step.done:
            return
        observation, info = after, next_info
    raise CheckFailed(
        f"an episode went on after {most} actions: each appends a token, and an observation has "
        f"room for {most - 1}"
    )


def final(env: AnyEnv, choose: Choose, **reset: Any) -> tuple[float, Step]:
    """The undiscounted return of an episode, and its last transition."""
    total = 0.0
    for step in play(env, choose, **reset):
        total += step.reward
    return total, step


def random_action(rng: np.random.Generator) -> Choose:
    """Any action of the space, legal or not."""
    return lambda env, observation, info: int(rng.integers(n_actions(env)))


def random_legal_action(rng: np.random.Generator) -> Choose:
    """A uniform legal action; any, where a mask allows none."""

    def choose(env: AnyEnv, observation: NDArray[Any], info: dict[str, Any]) -> int:
        legal = np.flatnonzero(mask_of(env, info))
        return int(rng.choice(legal) if len(legal) else rng.integers(n_actions(env)))

    return choose


def expert_action(env: AnyEnv, observation: NDArray[Any], info: dict[str, Any]) -> int:
    """The expert's action."""
    return int(attribute(env, "expert_action")())


def heuristic_action(env: AnyEnv, observation: NDArray[Any], info: dict[str, Any]) -> int:
    """The heuristic's action."""
    return int(attribute(env, "heuristic_action")())


def n_actions(env: AnyEnv) -> int:
    """How many actions there are."""
    return int(getattr(env.action_space, "n", 0)) or 1


def mask_of(env: AnyEnv, info: dict[str, Any]) -> NDArray[Any]:
    """The legal actions; all, where the environment constrains none."""
    mask = info.get("action_mask")
    return np.ones(n_actions(env), np.int8) if mask is None else np.asarray(mask)


def trace(env: AnyEnv, seed: int, episodes: int) -> list[list[Any]]:
    """Everything that random play shows of episodes from one seed.

    The actions are drawn from a generator of their own: two environments that agree are asked the
    same.
    """
    choose = random_legal_action(np.random.default_rng(0))
    return [
        [_record(step) for step in play(env, choose, seed=seed if episode == 0 else None)]
        for episode in range(episodes)
    ]


def _record(step: Step) -> dict[str, Any]:
    return step._asdict() | {"info": _shown(step.info), "next_info": _shown(step.next_info)}


def _shown(info: dict[str, Any]) -> dict[str, Any]:
    return {key: info[key] for key in ("action_mask", *AT_THE_END) if key in info}


def digests(episodes: list[list[Any]]) -> list[str]:
    """A hash of each episode of a `trace`, the same in any process."""
    return [hashlib.sha256(repr(_plain(steps)).encode()).hexdigest() for steps in episodes]


def _plain(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return (str(value.dtype), np.asarray(value).tolist())
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def difference(ours: Any, theirs: Any, path: str = "") -> str | None:
    """Where two values first differ in type, shape or content, and how; None if they do not.

    >>> difference({"a": [1, 2]}, {"a": [1, 3]}, "info")
    "info['a'][1]: 2 and 3"
    """
    if type(ours) is not type(theirs):
        return f"{path}: a {type(ours).__name__} and a {type(theirs).__name__}"
    if isinstance(ours, dict):
        if ours.keys() != theirs.keys():
            return f"{path}: keys {list(ours)} and {list(theirs)}"
        pairs = ((f"{path}[{key!r}]", ours[key], theirs[key]) for key in ours)
    elif isinstance(ours, (list, tuple)) or (
        isinstance(ours, np.ndarray) and ours.dtype == theirs.dtype == object
    ):
        if len(ours) != len(theirs):
            return f"{path}: {len(ours)} and {len(theirs)} items"
        pairs = ((f"{path}[{i}]", a, b) for i, (a, b) in enumerate(zip(ours, theirs, strict=True)))
    elif isinstance(ours, np.ndarray):
        return _array_difference(ours, theirs, path)
    else:
        both_nan = ours != ours and theirs != theirs
        return None if ours == theirs or both_nan else f"{path}: {ours!r} and {theirs!r}"
    return next((found for name, a, b in pairs if (found := difference(a, b, name))), None)


def _array_difference(ours: NDArray[Any], theirs: NDArray[Any], path: str) -> str | None:
    if (ours.shape, ours.dtype) != (theirs.shape, theirs.dtype):
        return f"{path}: {ours.dtype} {ours.shape} and {theirs.dtype} {theirs.shape}"
    where = np.argwhere((ours != theirs) & ~((ours != ours) & (theirs != theirs)))
    if not len(where):
        return None
    place = tuple(where[0].tolist())
    return f"{path}{list(place)}: {ours[place]} and {theirs[place]}"
