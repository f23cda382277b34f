"""Playing with strings: whole answers or turns, each of them many actions of the environment."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from queue import SimpleQueue
from threading import Lock
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import WrapperSpec
from gymnasium.error import InvalidAction

from agents.environment import Ints, legal_actions, prefix_lengths
from agents.episodes import StepLog, make_episode, pack
from agents.errors import AgentError
from agents.predictor import TextPredictor
from agents.rollout import Played

VIEWS = (
    "agents.text_play:TokenRecorder",
    "textenvs.wrappers:TextObservation",
    "textenvs.wrappers:StringAction",
)
"""What is put around a token environment, from the inside out."""


class TokenRecorder(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Keeps an episode's tokens and actions, below the wrappers that make text of them.

    Attributes:
        played: the episode, once it has ended.
    """

    played: Played

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        """Record nothing before `reset`."""
        super().__init__(env)
        self._pad_token_id = int(env.get_wrapper_attr("pad_token_id"))
        self._log = StepLog(1)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        self._observation_L, info = self.env.reset(seed=seed, options=options)
        self._legal_A = legal_actions(info)
        self._log.restart()
        return self._observation_L, info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Act, and keep it."""
        lengths_1 = prefix_lengths(self._observation_L[None], self._pad_token_id)
        legal = {} if self._legal_A is None else {"legal": pack(self._legal_A[None])}
        observation_L, reward, terminated, truncated, info = self.env.step(action)
        self._log.append(
            positions=lengths_1 - 1,
            actions=np.array([action]),
            rewards=np.array([reward], np.float64),
            **legal,
        )
        self._observation_L, self._legal_A = observation_L, legal_actions(info)
        if terminated or truncated:
            components = info.get("reward_components", {})
            metrics = info.get("metrics", {}) | {f"reward/{n}": v for n, v in components.items()}
            metrics = {name: float(value) for name, value in metrics.items()}
            episode = make_episode(self._log.cut(0), observation_L, 0.0, metrics)
            self.played = Played(episode, str(info.get("text", "")))
        return observation_L, float(reward), terminated, truncated, info

    def play_illegally(self) -> None:
        """End the episode by illegal actions, or where there are none by the last legal ones."""
        ended = False
        while not ended:
            legal_A = self._legal_A
            if legal_A is None:
                legal_A = np.ones(self.action_space.n, np.bool_)  # type: ignore[attr-defined]
            illegal = np.flatnonzero(~legal_A)
            action = illegal[0] if illegal.size else len(legal_A) - 1
            _, _, terminated, truncated, _ = self.step(int(action))
            ended = terminated or truncated


def make_text_env(env_id: str, **env_kwargs: Any) -> gymnasium.Env[str, str]:
    """An environment of textenvs whose observations and actions are strings, and its recorder.

    Raises:
        OptionError: it has no such views.
    """
    spec = copy.deepcopy(gymnasium.spec(env_id))
    views = [WrapperSpec(place.partition(":")[2], place, {}) for place in VIEWS]
    spec.additional_wrappers = (*spec.additional_wrappers, *views)
    return gymnasium.make(spec, **env_kwargs)


def play_texts(
    agent: TextPredictor,
    env_id: str,
    env_kwargs: Mapping[str, Any],
    examples: Ints,
    slots: int,
    deterministic: bool = True,
    seed: int = 0,
) -> list[Played]:
    """Play each given example once; the agent is asked for several of them at the same time.

    What the agent says and the task cannot take as an answer (such as text that is no span of the
    passage) is played as illegal actions, with their natural consequence, and counted in a warning.

    Args:
        agent: who plays.
        env_id: an environment of textenvs.
        env_kwargs: its options.
        examples: indices into the split.
        slots: how many episodes go on at once.
        deterministic: passed on to `agent.predict`.
        seed: of what the task draws.

    Returns:
        One entry an example, in the order of `examples`.

    Raises:
        AgentError: the agent's answer is no string.
    """
    idle: SimpleQueue[gymnasium.Env[str, str]] = SimpleQueue()
    slots = min(slots, len(examples))
    for _ in range(slots):
        idle.put(make_text_env(env_id, **env_kwargs))
    refused: list[str] = []
    one_at_a_time = Lock()  # environments share their task; the agent's time is what is waited for

    def play(place: int) -> Played:
        env = idle.get()
        try:
            with one_at_a_time:
                text, _ = env.reset(seed=seed + place, options={"index": int(examples[place])})
            state: Any = None
            started, ended = True, False
            while not ended:
                said, state = agent.predict(
                    text, state=state, episode_start=started, deterministic=deterministic
                )
                started = False
                with one_at_a_time:
                    try:
                        text, _, terminated, truncated, _ = env.step(_as_text(said, agent))
                    except InvalidAction as error:
                        refused.append(str(error))
                        env.get_wrapper_attr("play_illegally")()
                        break
                ended = terminated or truncated
            played: Played = env.get_wrapper_attr("played")
            return played
        finally:
            idle.put(env)

    with ThreadPoolExecutor(slots) as pool:
        plays = [pool.submit(play, place) for place in range(len(examples))]
        _, others = wait(plays, return_when=FIRST_EXCEPTION)
        for each in others:
            each.cancel()
        played = [each.result() for each in plays]
    if refused:
        warnings.warn(
            f"{len(refused)} of {len(played)} answers are none that {env_id} takes, and were "
            f"played as illegal actions; one of them: {refused[0]}",
            stacklevel=2,
        )
    return played


def _as_text(said: object, agent: TextPredictor) -> str:
    if not isinstance(said, str):
        raise AgentError(
            f"{type(agent).__name__}.predict answered with {type(said).__name__} {said!r:.80}; "
            "expected a pair of a string and the state for the next call"
        )
    return said.encode("utf-8", "replace").decode("utf-8")  # half a surrogate pair is no text
