"""A task over other examples: the same tokens, actions and observations, whatever is asked."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from textenvs import DatasetError, TextEnv, TextVectorEnv
from textenvs.data.schema import Record
from textenvs.tasks import build_task
from textenvs.tasks.sources import SourceTask

NAMES = ("ner", "qa", "qa_span", "summarization", "dialogue")
DIALOGUES = [
    ["A table, please.", "For when?", "Tonight at 7 p.m.", "It is booked.", "Bye.", "Bye!"],
    ["I need a taxi to the port", "Where are you now?", "At home.", "A taxi is coming."],
    ["Where is the station, and when does the last train leave?", "At 9."],
]


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, SourceTask[Any]]:
    """Each task with its built-in data; recorded dialogues of a file."""
    path = tmp_path_factory.mktemp("dialogues") / "dialogues.jsonl"
    path.write_text("".join(json.dumps({"turns": each}) + "\n" for each in DIALOGUES))
    made = {name: build_task(name, split="test", size=30) for name in NAMES[:-1]}
    return made | {"dialogue": build_task("dialogue", dataset=str(path), split="all")}


def fields(name: str, example: Any) -> dict[str, Any]:
    """What of an example is there where nobody knows the answer."""
    if name == "dialogue":
        return {"turns": list(example.user)}
    known = {"ner": ("words",), "summarization": ("document",)}
    return {field: getattr(example, field) for field in known.get(name, ("passage", "question"))}


def asked(task: SourceTask[Any], *values: dict[str, Any]) -> list[Any]:
    records = [Record(f"line {n}", f"line {n}", each) for n, each in enumerate(values, 1)]
    return task.asked.read(records, "lines", {}, "raise")


def first(task: SourceTask[Any], index: int) -> np.ndarray:
    """The first observation of an example."""
    return TextEnv(task).reset(options={"index": index})[0]


@pytest.mark.parametrize("name", NAMES)
def test_it_has_the_tasks_tokens_actions_and_observations(
    tasks: Mapping[str, SourceTask[Any]], name: str
) -> None:
    task = tasks[name]
    asking = task.asking(task.examples[2:3])
    assert type(asking) is type(task)
    assert asking.num_examples == 1
    assert asking.tokenizer is task.tokenizer
    assert asking.action_tokens.tolist() == task.action_tokens.tolist()
    for size in ("max_tokens", "max_steps", "vocab_size", "constrained", "score_name"):
        assert getattr(asking, size) == getattr(task, size)
    ours, theirs = TextEnv(asking), TextEnv(task)
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space


@pytest.mark.parametrize("name", NAMES)
def test_known_examples_have_the_same_prompts_with_and_without_answers(
    tasks: Mapping[str, SourceTask[Any]], name: str
) -> None:
    task = tasks[name]
    chosen = [2, 0, 1]
    known = [task.examples[index] for index in chosen]
    unanswered = asked(task, *(fields(name, example) for example in known))
    for asking in (task.asking(known), task.asking(unanswered)):
        for place, index in enumerate(chosen):
            assert first(asking, place).tolist() == first(task, index).tolist()
            assert asking.prompt_text(place) == task.prompt_text(index)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_actions_lead_to_the_same_states(
    tasks: Mapping[str, SourceTask[Any]], name: str
) -> None:
    """The answer that nobody knows is no part of an observation, nor of what is legal."""
    task = tasks[name]
    known = TextEnv(task)
    asking = TextEnv(task.asking(asked(task, fields(name, task.examples[1]))))
    for env, index in ((known, 1), (asking, 0)):
        env.reset(options={"index": index})
    done = False
    while not done:
        assert asking.action_masks().tolist() == known.action_masks().tolist()
        action = known.expert_action()
        expected, _, done, _, info = known.step(action)
        found, _, over, _, told = asking.step(action)
        assert found.tolist() == expected.tolist()
        assert over == done
    assert told["text"] == info["text"]


@pytest.mark.parametrize("name", NAMES)
def test_many_are_played_together(tasks: Mapping[str, SourceTask[Any]], name: str) -> None:
    task = tasks[name]
    asking = task.asking(asked(task, *(fields(name, task.examples[n]) for n in range(3))))
    env = TextVectorEnv(asking, num_envs=3, autoreset_mode=AutoresetMode.DISABLED)
    everyone = np.ones(3, np.bool_)
    observations, _ = env.reset(options={"reset_mask": everyone, "index": np.arange(3)})
    assert observations.tolist() == [first(task, n).tolist() for n in range(3)]
    env.close()


@pytest.mark.parametrize("name", NAMES)
def test_the_original_stays_as_it_is(tasks: Mapping[str, SourceTask[Any]], name: str) -> None:
    task = tasks[name]
    before = first(task, 0).tolist(), task.num_examples, task.shortfalls
    assert experts_score(task) == 1
    other = TextEnv(task.asking(asked(task, fields(name, task.examples[1]))))
    other.reset(options={"index": 0})
    while not other.step(int(other.action_masks().argmax()))[2]:
        pass
    assert (first(task, 0).tolist(), task.num_examples, task.shortfalls) == before
    assert experts_score(task) == 1


def experts_score(task: SourceTask[Any]) -> float:
    """On the first example."""
    env = TextEnv(task)
    env.reset(options={"index": 0})
    done = False
    while not done:
        _, reward, done, _, _ = env.step(env.expert_action())
    return float(reward)


# What does not fit -------------------------------------------------------------------------------

TOO_MUCH = {
    "ner": ({"words": ["word"] * 21}, "line 1: expected at most 20 actions"),
    "qa": ({"passage": "a b c " * 60, "question": "d?"}, "at most 72 tokens to point at"),
    "qa_span": ({"passage": "a b c " * 60, "question": "d?"}, "at most 72 tokens to point at"),
    "dialogue": ({"turns": ["A", "b c d e f g " * 30]}, "tokens that users add"),
}


@pytest.mark.parametrize("name", TOO_MUCH)
def test_what_has_no_room_is_refused(tasks: Mapping[str, SourceTask[Any]], name: str) -> None:
    values, message = TOO_MUCH[name]
    task = tasks[name]
    with pytest.raises(DatasetError, match=message):
        task.asking([task.examples[0], *asked(task, values)])


TOO_LONG = {
    "ner": ({"words": ["Donaudampfschifffahrt"] * 12}, "sentences cut at max_prompt_tokens"),
    "qa": ({"passage": "a b c.", "question": "d " * 90}, "passages cut at max_prompt_tokens"),
    "summarization": ({"document": "a b c. " * 90}, "documents cut at max_prompt_tokens"),
    "dialogue": (
        {"turns": ["Now and then and again. " * 30]},
        "first turns of the user cut at max_prompt_tokens",
    ),
}


@pytest.mark.parametrize("name", TOO_LONG)
def test_what_is_too_long_is_cut_and_said_to_be(
    tasks: Mapping[str, SourceTask[Any]], name: str
) -> None:
    values, reason = TOO_LONG[name]
    task = tasks[name]
    asking = task.asking([*asked(task, values), task.examples[0]])
    for index in range(2):
        first(asking, index)
    assert reason in asking.shortfalls_of(0)
    assert asking.shortfalls_of(1) == []
    assert asking.shortfalls[reason] == 1
    assert reason not in task.shortfalls


def test_dialogues_of_more_turns_are_cut(tasks: Mapping[str, SourceTask[Any]]) -> None:
    task = tasks["dialogue"]
    asking = task.asking(asked(task, {"turns": ["A", "b", "c", "d"]}))
    first(asking, 0)
    assert "dialogues cut at max_turns" in asking.shortfalls_of(0)


@pytest.mark.parametrize("name", NAMES)
def test_the_answer_need_not_be_there_but_the_question(
    tasks: Mapping[str, SourceTask[Any]], name: str
) -> None:
    task = tasks[name]
    for field in fields(name, task.examples[0]):
        values = fields(name, task.examples[0])
        del values[field]
        with pytest.raises(DatasetError, match=f"line 1: expected a column '{field}'"):
            asked(task, values)
        with pytest.raises(DatasetError, match="line 1"):
            asked(task, values | {field: 3})


# Copies ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_copies_ask_the_same(tasks: Mapping[str, SourceTask[Any]], name: str) -> None:
    task = tasks[name]
    asking = task.asking(asked(task, fields(name, task.examples[2])))
    for again in (pickle.loads(pickle.dumps(asking)), copy.deepcopy(asking)):
        assert again.num_examples == 1
        assert first(again, 0).tolist() == first(task, 2).tolist()
    env, known = TextEnv(asking), TextEnv(task)
    env.reset(options={"index": 0})
    known.reset(options={"index": 2})
    env.step(known.expert_action())
    assert copy.deepcopy(env).step(1)[0].tolist() == env.step(1)[0].tolist()


def test_a_file_of_its_own_is_asked_too(tmp_path: Path) -> None:
    """A task over a file has the file's limits."""
    path = tmp_path / "sentences.jsonl"
    lines = [{"words": ["Ann"] * n, "tags": ["B-PER"] * n} for n in (2, 3, 5)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    task = build_task("ner", dataset=str(path), split="all")
    asking = task.asking(asked(task, {"text": "Ann Bo Cy Di Ed"}))
    assert asking.shortfalls_of(0) == []
    assert first(asking, 0).shape == first(task, 0).shape
    with pytest.raises(DatasetError, match="at most 5 actions"):
        task.asking(asked(task, {"text": "Ann Bo Cy Di Ed Flo"}))
