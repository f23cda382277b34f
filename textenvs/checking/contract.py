"""Checks of the token MDP: spaces, prefixes, masks, actions and resets."""

from __future__ import annotations

import contextlib
import io
import warnings
from itertools import islice
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.error import Error as GymnasiumError
from gymnasium.utils.env_checker import check_env
from numpy.typing import NDArray

from textenvs.checking.play import (
    Step,
    difference,
    mask_of,
    n_actions,
    play,
    random_action,
    random_legal_action,
)
from textenvs.checking.report import CheckFailed, NotOffered
from textenvs.checking.subject import AnyEnv, Subject, attribute

REFUSALS = (GymnasiumError, ValueError, LookupError)
"""What an environment may raise for a bad action or option."""

MOST_ACTIONS = 512
"""Of larger action spaces so many are tried one by one."""


def gymnasium_api(subject: Subject) -> None:
    """Gymnasium's check_env passes without a warning."""
    env = subject.make().unwrapped
    with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("always")
        check_env(env, skip_render_check=env.spec is None or not env.metadata.get("render_modes"))
    if caught:
        raise CheckFailed("\n".join(str(warning.message) for warning in caught))


def spaces_and_ids(subject: Subject) -> None:
    """Spaces, action_tokens and pad_token_id fit together."""
    env = subject.make()
    prefixes, actions = env.observation_space, env.action_space
    if not (isinstance(prefixes, spaces.Box) and len(prefixes.shape) == 1):
        raise CheckFailed(f"observations must be Box(0, vocab_size - 1, (max_tokens,)): {prefixes}")
    if prefixes.dtype != np.int32 or prefixes.low.any():
        raise CheckFailed(f"observations must be int32 token ids from 0: {prefixes}")
    if not (isinstance(actions, spaces.Discrete) and actions.start == 0):
        raise CheckFailed(f"actions must be Discrete(n_actions), from 0: {actions}")
    tokens = np.asarray(_required(env, "action_tokens"))
    if tokens.shape != (actions.n,) or tokens.dtype.kind not in "iu":
        raise CheckFailed(
            f"action_tokens must be {actions.n} integers, one for each action, got {tokens.dtype} "
            f"{tokens.shape}"
        )
    pad, high = int(_required(env, "pad_token_id")), int(prefixes.high.max())
    for name, ids in (("action_tokens", tokens), ("pad_token_id", np.array([pad]))):
        if ids.min() < 0 or ids.max() > high:
            raise CheckFailed(f"{name} must lie in [0, {high}], as observations do, got {ids}")
    if len(np.unique(tokens)) < len(tokens):
        raise CheckFailed("action_tokens must be distinct: two actions append the same token")
    observation, _ = env.reset(seed=0)
    if observation not in prefixes:
        raise CheckFailed(f"the first observation is not in {prefixes}: {observation}")


def _required(env: AnyEnv, name: str) -> Any:
    try:
        return attribute(env, name)
    except NotOffered as error:
        raise CheckFailed(str(error)) from None


def prefix_grows(subject: Subject) -> None:
    """The prefix only grows, by the action's token first."""
    env = subject.make()
    pad, tokens = int(attribute(env, "pad_token_id")), np.asarray(attribute(env, "action_tokens"))
    rng = np.random.default_rng(0)
    for choose in (random_legal_action(rng), random_action(rng)):
        for seed in range(subject.episodes):
            length = 0
            for number, step in enumerate(play(env, choose, seed=seed), 1):
                length = max(length, _length(step.observation, pad))
                _check_growth(step, length, int(tokens[step.action]), f"seed {seed}, step {number}")
                if pad not in tokens and (step.observation[:length] == pad).any():
                    raise CheckFailed(
                        f"seed {seed}, step {number}: the pad id {pad} stands inside the prefix, "
                        "not only to its right"
                    )
                length += 1


def _check_growth(step: Step, length: int, token: int, where: str) -> None:
    before, after = step.observation, step.next_observation
    changed = np.flatnonzero(before[:length] != after[:length])
    if len(changed):
        place = int(changed[0])
        raise CheckFailed(
            f"{where}: the prefix may only grow, but its token {place} was {before[place]} and is "
            f"{after[place]}"
        )
    if length >= len(after) or after[length] != token:
        found = after[length] if length < len(after) else "the end of the observation"
        raise CheckFailed(
            f"{where}: action {step.action} must append its token {token} at place {length}, where "
            f"{found} stands"
        )


def _length(observation: NDArray[Any], pad: int) -> int:
    filled = np.flatnonzero(observation != pad)
    return int(filled[-1]) + 1 if len(filled) else 0


def masks(subject: Subject) -> None:
    """Masks are int8, allow something, equal action_masks()."""
    env = subject.make()
    rng = np.random.default_rng(0)
    _, info = env.reset(seed=0)
    constrained = "action_mask" in info
    for choose in (random_legal_action(rng), random_action(rng)):
        for seed in range(subject.episodes):
            _check_mask(env, env.reset(seed=seed)[1], constrained, f"seed {seed}, reset")
            for number, step in enumerate(play(env, choose, seed=seed), 1):
                if not step.done:
                    where = f"seed {seed}, step {number}"
                    _check_mask(env, step.next_info, constrained, where)
    if not constrained:
        raise NotOffered("no action_mask in infos: every action is legal")


def _check_mask(env: AnyEnv, info: dict[str, Any], constrained: bool, where: str) -> None:
    if ("action_mask" in info) is not constrained:
        raise CheckFailed(f"{where}: action_mask must be in every info, or in none")
    mask, count = mask_of(env, info), n_actions(env)
    if mask.dtype != np.int8 or mask.shape != (count,) or not np.isin(mask, (0, 1)).all():
        raise CheckFailed(
            f"{where}: an action_mask is int8 ({count},) of 0 and 1, got {mask.dtype} {mask.shape}"
        )
    if not mask.any():
        raise CheckFailed(f"{where}: no action is legal, but the episode goes on")
    env.action_space.sample(mask)
    if hasattr(env.unwrapped, "action_masks"):
        method = np.asarray(env.unwrapped.action_masks())
        if method.dtype != np.bool_ or (found := difference(method, mask == 1)):
            raise CheckFailed(
                f"{where}: action_masks() must be the mask as bool: "
                f"{found if method.dtype == np.bool_ else method.dtype}"
            )


def every_action(subject: Subject) -> None:
    """Every action can be taken, legal or not."""
    env = subject.make()
    rng = np.random.default_rng(0)
    count = n_actions(env)
    tried = range(count) if count <= MOST_ACTIONS else rng.choice(count, MOST_ACTIONS, False)
    for action in map(int, tried):
        env.reset(seed=0)
        try:
            env.step(action)
        except Exception as error:
            raise CheckFailed(f"action {action} after reset(seed=0) raised {error!r}") from error
    for seed in range(subject.episodes):
        taken: list[int] = []
        try:
            for step in play(env, random_action(rng), seed=seed):
                taken.append(step.action)
        except CheckFailed:
            raise
        except Exception as error:
            raise CheckFailed(
                f"after reset(seed={seed}) and actions {taken} one more raised {error!r}"
            ) from error


def illegal_actions(subject: Subject) -> None:
    """An illegal action raises on demand, and harms nothing."""
    strict, free = subject.make(illegal_action="raise"), subject.make()
    rng = np.random.default_rng(0)
    found = 0
    for seed in range(subject.episodes):
        strict.reset(seed=seed)
        for step in play(free, random_legal_action(rng), seed=seed):
            legal = mask_of(free, step.info)
            if not legal.any():
                break
            illegal = np.flatnonzero(legal == 0)
            if len(illegal):
                found += 1
                _expect_error(strict, int(rng.choice(illegal)), f"seed {seed}")
            after, reward, terminated, truncated, _ = strict.step(step.action)
            ours = (after, float(reward), terminated, truncated)
            theirs = (step.next_observation, step.reward, step.terminated, step.truncated)
            if where := difference(ours, theirs, "step"):
                raise CheckFailed(f"seed {seed}: an illegal action changed the episode: {where}")
    if not found:
        raise NotOffered("no action was illegal")


def _expect_error(env: AnyEnv, action: int, where: str) -> None:
    try:
        env.step(action)
    except REFUSALS:
        return
    raise CheckFailed(f"{where}: the mask forbids action {action}, but it raised no error")


def reset_index(subject: Subject) -> None:
    """Reset takes the example of options={"index": i}."""
    env = subject.make()
    count = int(attribute(env, "num_examples"))
    firsts = set()
    for index in islice(range(count), subject.episodes):
        first, _ = env.reset(seed=index, options={"index": index})
        again, _ = env.reset(seed=index + 1, options={"index": index})
        if where := difference(first, again, f"example {index}"):
            raise CheckFailed(f"another seed gave another prompt of one example: {where}")
        firsts.add(first.tobytes())
    if count > 1 and len(firsts) == 1:
        raise CheckFailed(f"{min(count, subject.episodes)} indices all gave the same prompt")
    for index in (-1, count):
        try:
            env.reset(options={"index": index})
        except REFUSALS:
            continue
        raise CheckFailed(f"index {index} is outside [0, {count}), but raised no error")


CHECKS = (
    gymnasium_api,
    spaces_and_ids,
    prefix_grows,
    masks,
    every_action,
    illegal_actions,
    reset_index,
)
