"""Checks that an episode can be had again: from its seed, elsewhere, from a copy, from a spec."""

from __future__ import annotations

import contextlib
import json
import os
import pickle  # noqa: TID251  # copies of our own making, none from elsewhere
import random
import subprocess
import sys
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode

from textenvs.checking.play import difference, digests, play, random_legal_action, trace
from textenvs.checking.report import CheckFailed, NotOffered
from textenvs.checking.subject import AnyEnv, Subject

EPISODES = 8
"""Episodes of a trace: enough for the draw of examples to show."""

IN_ANOTHER_PROCESS = "from textenvs.checking.reproducibility import _print_digests as p; p()"


def seeding(subject: Subject) -> None:
    """The same seed gives the same episodes, another others."""
    first = trace(subject.make(), 7, EPISODES)
    if where := difference(first, trace(subject.make(), 7, EPISODES), "episode"):
        raise CheckFailed(f"two plays from seed 7 differ: {where}")
    env = subject.make()
    if getattr(env.unwrapped, "num_examples", 2) > 1 and not difference(
        first, trace(env, 8, EPISODES)
    ):
        raise CheckFailed(f"seeds 7 and 8 give the same {EPISODES} episodes")


def other_process(subject: Subject) -> None:
    """So does a process with another PYTHONHASHSEED."""
    written = _to_json(subject)
    if '"__main__:' in written:
        raise NotOffered("it is defined in the main program, which no other process can import")
    run = subprocess.run(  # noqa: S603  # this interpreter, and a program from this file
        [sys.executable, "-c", IN_ANOTHER_PROCESS],
        input=written,
        env={**os.environ, "PYTHONHASHSEED": "4711", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        reason = run.stderr.strip().rpartition("\n")[2]
        if reason.startswith(("ModuleNotFoundError", "ImportError")):
            raise NotOffered(f"a fresh process cannot import it: {reason}")
        raise CheckFailed(f"in a fresh process it fails: {reason}")
    theirs = json.loads(run.stdout.rpartition("\n\n")[2])
    for episode, pair in enumerate(zip(digests(_first_episodes(written)), theirs, strict=True)):
        if pair[0] != pair[1]:
            raise CheckFailed(
                f"episode {episode} from seed 7 differs in a process with another PYTHONHASHSEED: "
                "does the order of a set, or hash(), decide something?"
            )


def _first_episodes(written: str) -> list[list[object]]:
    return trace(gymnasium.make(EnvSpec.from_json(written)), 7, EPISODES)


def _print_digests() -> None:
    print("\n\n" + json.dumps(digests(_first_episodes(sys.stdin.read()))))


def pickling(subject: Subject) -> None:
    """A copy pickled in mid-episode goes on the same."""
    env = subject.make()
    choose = random_legal_action(np.random.default_rng(0))
    for seed in range(EPISODES):
        actions = [step.action for step in play(env, choose, seed=seed)]
        half = len(actions) // 2
        env.reset(seed=seed)
        for action in actions[:half]:
            env.step(action)
        copy, rest = _copied(env), actions[half:]
        if where := difference(_go_on(env, rest), _go_on(copy, rest), "later"):
            raise CheckFailed(f"seed {seed}: a copy made after {half} actions differs: {where}")


def _copied(env: AnyEnv) -> AnyEnv:
    try:
        copy: AnyEnv = pickle.loads(pickle.dumps(env))  # noqa: S301  # it is our own
    except Exception as error:
        raise CheckFailed(f"it cannot be pickled: {error!r}") from error
    return copy


def _go_on(env: AnyEnv, actions: list[int]) -> list[Any]:
    """The rest of an episode, and the beginning of the next."""
    return [*(env.step(action)[:4] for action in actions), env.reset()[0]]


def spec_json(subject: Subject) -> None:
    """The spec survives JSON, and makes the same episodes."""
    written = _to_json(subject)
    copy = gymnasium.make(EnvSpec.from_json(written))
    if where := difference(trace(subject.make(), 7, 2), trace(copy, 7, 2), "episode"):
        raise CheckFailed(f"made from the spec's JSON it differs: {where}")


def _to_json(subject: Subject) -> str:
    if subject.spec is None:
        raise NotOffered("no spec")
    try:
        return subject.spec.to_json()
    except (TypeError, ValueError) as error:
        raise NotOffered(f"the spec cannot be written to JSON: {error}") from error


def global_random(subject: Subject) -> None:
    """No global random generator is used or seeded."""
    kept = random.getstate(), np.random.get_state()  # noqa: NPY002
    # A state of the check's own, as the present one may be what the environment seeds it with.
    random.seed(20_031)
    np.random.seed(20_031)  # noqa: NPY002
    before = _global_state()
    try:
        trace(subject.make(), 3, 3)
        with contextlib.suppress(NotOffered):
            envs = subject.make_vector(2, AutoresetMode.SAME_STEP)
            envs.reset(seed=3)
            envs.step(np.zeros(2, np.int64))
        after = _global_state()
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])  # noqa: NPY002
    for name, ours, theirs in zip(("random", "numpy.random"), before, after, strict=True):
        if ours != theirs:
            raise CheckFailed(
                f"making and playing it changed the global state of {name}: draw from "
                "env.np_random alone"
            )


def _global_state() -> tuple[object, object]:
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002
    return random.getstate(), (kind, np.asarray(keys).tobytes(), *rest)


CHECKS = (seeding, other_process, pickling, spec_json, global_random)
