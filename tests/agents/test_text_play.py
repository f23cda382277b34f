"""Agents that answer with text play as those of tokens do, and leave the same episodes."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

import textenvs
from agents import AgentError, ReferenceAgent, evaluate, record
from agents.episodes import Episode
from agents.text_play import make_text_env

EPISODES, SIZE = 12, 60


class Saying:
    """Says what a table has for a text."""

    def __init__(self, table: dict[str, str] | None = None, text_concurrency: int = 3) -> None:
        self.table = table or {}
        self.text_concurrency = text_concurrency

    def predict(
        self, observation: str, state: Any = None, episode_start: Any = None, deterministic: Any = 1
    ) -> tuple[Any, Any]:
        return self.table[observation], None


def what_the_expert_says(env_id: str, **options: Any) -> dict[str, str]:
    """From every text that the expert sees to its answer or turn."""
    table = {}
    tokens = gymnasium.make(env_id, split="test", size=SIZE, **options)
    env = make_text_env(env_id, split="test", size=SIZE, **options)
    for index in range(0, SIZE, SIZE // EPISODES):
        tokens.reset(options={"index": index})
        ended = False
        while not ended:
            *_, ended, _, info = tokens.step(tokens.unwrapped.expert_action())
        turns = [info["text"]]
        if env_id == "TextDialogue-v0":
            lines = info["text"].split("\n")
            turns = [lines[0], *(x.removeprefix("System: ") for x in lines if x[:7] == "System:")]
        text, _ = env.reset(options={"index": index})
        for turn in turns:
            table[text] = turn
            text, *_ = env.step(turn)
    return table


def same(one: Episode, other: Episode) -> bool:
    return all(np.array_equal(value, getattr(other, name)) for name, value in vars(one).items())


@pytest.mark.parametrize("env_id", textenvs.IDS)
def test_what_the_expert_says_gives_its_episodes(env_id: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"episodes": EPISODES, "size": SIZE, "reward": "dense"}
    agent = Saying(what_the_expert_says(env_id))
    by_text = evaluate(agent, env_id, predictions=tmp_path / "text.jsonl", **options)
    by_tokens = evaluate(ReferenceAgent(), env_id, predictions=tmp_path / "tokens.jsonl", **options)
    assert by_text.scores == by_tokens.scores
    assert by_text.texts == by_tokens.texts
    assert (tmp_path / "text.jsonl").read_bytes() == (tmp_path / "tokens.jsonl").read_bytes()
    options["split"] = "test"
    said = record(agent, env_id, tmp_path / "text", **options)
    done = record(ReferenceAgent(), env_id, tmp_path / "tokens", **options)
    assert all(map(same, said, done))


def test_the_parts_of_a_reward_are_metrics() -> None:
    def brevity(episode: Any) -> float:
        return 1 / len(episode.actions)

    options: dict[str, Any] = {"reward": {"f1": 1.0, "brevity": (0.1, brevity)}}
    agent = Saying(what_the_expert_says("TextQA-v0", **options))
    results = [
        evaluate(each, "TextQA-v0", episodes=EPISODES, size=SIZE, **options)
        for each in (agent, ReferenceAgent())
    ]
    assert "reward/brevity" in results[0].metrics
    assert results[0].scores == results[1].scores


def test_what_is_no_answer_is_played_as_illegal_and_told() -> None:
    table = what_the_expert_says("TextQASpan-v0")
    unsayable = list(table)[::4]
    agent = Saying(table | dict.fromkeys(unsayable, "Nobody knows."))
    with pytest.warns(
        UserWarning, match=r"3 of 12 answers .* TextQASpan-v0 .* text of the passage"
    ):
        result = evaluate(agent, "TextQASpan-v0", episodes=EPISODES, size=SIZE)
    assert result.returns.tolist() == [0, 1, 1, 1] * 3
    assert [result.texts[place] for place in (0, 4, 8)] == [""] * 3


def test_half_a_surrogate_pair_is_a_question_mark() -> None:
    agent = Saying(dict.fromkeys(what_the_expert_says("TextQA-v0"), "\ud83d"))
    result = evaluate(agent, "TextQA-v0", episodes=EPISODES, size=SIZE)
    assert result.texts == ["?"] * EPISODES


def test_answers_are_strings() -> None:
    agent = Saying(dict.fromkeys(what_the_expert_says("TextQA-v0"), 5))  # type: ignore[arg-type]
    with pytest.raises(
        AgentError, match=r"Saying\.predict answered with int 5; expected a pair of a"
    ):
        evaluate(agent, "TextQA-v0", episodes=EPISODES, size=SIZE)


class Watched(Saying):
    """Counts how many calls there are, and how many at once."""

    lock = threading.Lock()
    now = most = calls = 0

    def predict(self, observation: str, *rest: Any, **more: Any) -> tuple[Any, Any]:
        with self.lock:
            self.calls += 1
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(0.005)
        with self.lock:
            self.now -= 1
        return super().predict(observation)


@pytest.mark.parametrize("concurrency", [1, 4])
def test_so_many_episodes_go_on_at_once(concurrency: int) -> None:
    agent = Watched(what_the_expert_says("TextNER-v0"), concurrency)
    assert evaluate(agent, "TextNER-v0", episodes=EPISODES, size=SIZE).score.value == 1
    assert agent.most == concurrency


def test_the_first_error_ends_it_all() -> None:
    agent = Watched({}, 2)
    with pytest.raises(KeyError):
        evaluate(agent, "TextNER-v0", episodes=60, size=SIZE)
    assert agent.calls < 10


class Remembering(Saying):
    """Keeps its own turns as the state of an episode."""

    def predict(
        self, observation: str, state: Any = None, episode_start: Any = None, deterministic: Any = 1
    ) -> tuple[Any, Any]:
        assert episode_start == (state is None)
        before = [] if episode_start else state
        assert all(f"System: {turn}\n" in observation for turn in before)
        said, _ = super().predict(observation)
        return said, [*before, said]


def test_the_state_is_the_episodes_own() -> None:
    agent = Remembering(what_the_expert_says("TextDialogue-v0"))
    result = evaluate(agent, "TextDialogue-v0", episodes=EPISODES, size=SIZE)
    assert result.score.value == 1
