"""Steps per second of environments under random legal play.

What is timed is the same for one environment and for many: the whole loop, that is choosing a
random legal action (a uniform one among those that the mask allows), ``step``, and the resets of
ended episodes. Nothing is drawn or computed beforehand.
"""

from __future__ import annotations

import random
import time
from functools import partial
from itertools import count
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

import textenvs  # noqa: F401  registers its ids
from benchmarks.environments import TRIVIAL_ID
from benchmarks.measuring import Measurement, beside

AnyEnv = gymnasium.Env[Any, Any]
AnyVectorEnv = VectorEnv[Any, Any, Any]

SLOTS = 256
NER_DENSE: dict[str, Any] = {"id": "TextNER-v0", "reward": "dense"}
QA: dict[str, Any] = {"id": "TextQA-v0"}


def single_steps(env: AnyEnv, steps: int) -> float:
    """Steps per second of one environment."""
    uniform = random.Random(0).random
    n: int = env.action_space.n  # type: ignore[attr-defined]
    _, info = env.reset(seed=0)
    start = time.perf_counter()
    for _ in range(steps):
        mask = info.get("action_mask")
        action = int(uniform() * n) if mask is None else one_legal(mask, uniform())
        _, _, terminated, truncated, info = env.step(action)
        if terminated or truncated:
            _, info = env.reset()
    return steps / (time.perf_counter() - start)


def vector_steps(envs: AnyVectorEnv, iterations: int) -> float:
    """Steps per second of a vector environment, those of all slots counted."""
    rng = np.random.default_rng(0)
    slots, n = envs.num_envs, envs.single_action_space.n  # type: ignore[attr-defined]
    _, info = envs.reset(seed=0)
    start = time.perf_counter()
    for _ in range(iterations):
        masks = info.get("action_mask")
        if masks is None:
            actions = rng.integers(n, size=slots)
        else:
            actions = all_legal(masks, rng.random(slots))
        _, _, _, _, info = envs.step(actions)
    return iterations * slots / (time.perf_counter() - start)


def one_legal(mask: NDArray[np.int8], level: float) -> int:
    """The legal action at a level in [0, 1) of those that the mask ``(actions,)`` allows."""
    legal = mask.view(np.bool_).nonzero()[0]
    return int(legal[int(level * len(legal))])


def all_legal(masks: NDArray[np.int8], levels: NDArray[np.float64]) -> NDArray[np.intp]:
    """`one_legal` of every slot.

    Args:
        masks: ``(slots, actions)``, 1 where an action is legal; at least one a slot.
        levels: ``(slots,)``, each in [0, 1).
    """
    slots, n = masks.shape
    legal = masks.view(np.bool_).ravel().nonzero()[0]
    bounds = legal.searchsorted(np.arange(slots + 1) * n)
    first, counts = bounds[:-1], bounds[1:] - bounds[:-1]
    chosen = first + (levels * counts).astype(np.intp)
    actions: NDArray[np.intp] = legal[chosen] - np.arange(slots) * n
    return actions


def first_pass_steps(env: AnyEnv) -> float:
    """Steps per second of one episode on each example, none of which was used before."""
    uniform = random.Random(0).random
    steps = 0
    env.reset(seed=0, options={"index": 0})  # what is made once for all examples
    start = time.perf_counter()
    for index in range(1, env.get_wrapper_attr("num_examples")):
        _, info = env.reset(options={"index": index})
        ended = False
        while not ended:
            _, _, ended, _, info = env.step(one_legal(info["action_mask"], uniform()))
            steps += 1
    return steps / (time.perf_counter() - start)


def encode_all(env: AnyEnv | AnyVectorEnv) -> None:
    """Encode all examples of the environment's task, which keeps them."""
    task: Any = env.unwrapped.task  # type: ignore[union-attr]
    for index in range(task.num_examples):
        task.row(index)


def single_beside_trivial(examples: int, steps: int, rounds: int) -> Measurement:
    """TextNER-v0 beside an environment that does nothing."""
    env, trivial = gymnasium.make(**NER_DENSE, size=examples), gymnasium.make(TRIVIAL_ID)
    encode_all(env)
    ours, least = partial(single_steps, env, steps), partial(single_steps, trivial, steps)
    facts = {"required": 60_000, "required_of": "rate"}
    what = "TextNER-v0 dense, one env"
    return beside(what, "steps/s", ours, "trivial env", least, rounds, **facts)


def first_pass_beside_steady(examples: int, steps: int, rounds: int) -> Measurement:
    """The first episode on each example, which it makes and encodes, beside later ones.

    Each round has a world of its own; of the words' tokens, which the tokenizer remembers, many
    have been seen in the rounds before.
    """
    env = gymnasium.make(**NER_DENSE, size=examples)
    encode_all(env)
    worlds = count(1)

    def first_pass() -> float:
        fresh = gymnasium.make(**NER_DENSE, size=examples, data_seed=next(worlds))
        return first_pass_steps(fresh)

    steady = partial(single_steps, env, steps)
    what = "TextNER-v0 dense, one env, cold"
    return beside(what, "steps/s", first_pass, "encoded", steady, rounds)


def vector_beside_single(
    what: str,
    options: dict[str, Any],
    required: float,
    examples: int,
    steps: int,
    iterations: int,
    rounds: int,
) -> Measurement:
    """`SLOTS` slots of the native vector environment beside one single environment.

    Args:
        what: Its name.
        options: The environment's id and options.
        required: The least ratio.
        examples: How many there are to play on.
        steps: A round of the single environment's.
        iterations: Steps of the vector environment in a round.
        rounds: How many.
    """
    env = gymnasium.make(**options, size=examples)
    envs = gymnasium.make_vec(**options, size=examples, num_envs=SLOTS)
    encode_all(env)
    assert env.unwrapped.task is envs.unwrapped.task  # type: ignore[attr-defined]
    many, one = partial(vector_steps, envs, iterations), partial(single_steps, env, steps)
    what = f"{what}, {SLOTS} slots"
    return beside(what, "steps/s", many, "one env", one, rounds, required=required)


def vector_beside_trivial(
    what: str,
    options: dict[str, Any],
    slots: int,
    required: float,
    iterations: int,
    rounds: int,
) -> Measurement:
    """A native vector environment beside one that does nothing: its share of what is possible.

    Args:
        what: Its name.
        options: The environment's id and options.
        slots: How many.
        required: The least number of steps per second.
        iterations: Steps of each in a round.
        rounds: How many.
    """
    envs = gymnasium.make_vec(**options, num_envs=slots)
    encode_all(envs)
    trivial = gymnasium.make_vec(TRIVIAL_ID, num_envs=slots)
    ours, least = (partial(vector_steps, e, iterations) for e in (envs, trivial))
    what, against = f"{what}, {slots} slots", f"trivial, {slots} slots"
    facts = {"required": required, "required_of": "rate"}
    return beside(what, "steps/s", ours, against, least, rounds, **facts)
