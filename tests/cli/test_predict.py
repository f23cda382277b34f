"""Trained agents on text of one's own."""

from __future__ import annotations

import dataclasses
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from agents import BCConfig, BehaviourCloning
from agents.cli.predict import Settings as PredictSettings
from agents.cli.runs import open_agent
from textenvs.cli import main

Printed = pytest.CaptureFixture[str]
Done = Callable[..., str]


def json_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


# predict -----------------------------------------------------------------------------------------


@pytest.fixture
def predicted(monkeypatch: pytest.MonkeyPatch, capsys: Printed) -> Callable[..., list[Any]]:
    """What an agent answers to some lines."""

    def predict(run: Path, lines: list[Any], *options: str, status: int = 0) -> list[Any]:
        text = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in text)))
        assert main(["predict", str(run), *options]) == status
        printed = capsys.readouterr()
        assert printed.err == ""
        return json_lines(printed.out)

    return predict


Predicted = Callable[..., list[Any]]


def test_json_and_plain_text_are_answered_alike(runs: Path, predicted: Predicted) -> None:
    words = ["Ann", "visited", "Oslo", "."]
    lines = [{"words": words}, "Ann visited Oslo .", {"text": " ".join(words)}, {"tokens": words}]
    answers = predicted(runs / "ppo", [*lines, '"Ann visited Oslo ."'], "--tokens")
    assert [answer.pop("line") for answer in answers] == [1, 2, 3, 4, 5]
    assert all(answer == answers[0] for answer in answers)
    (answer, *_) = answers
    assert len(answer["text"].split()) == len(words)
    assert [token for token, _ in answer["tokens"]] == answer["text"].split()
    likely = [probability for _, probability in answer["tokens"]]
    assert answer["probability"] == pytest.approx(np.prod(likely), abs=1e-5)


def test_an_agent_by_action_values_has_no_probabilities(runs: Path, predicted: Predicted) -> None:
    (answer,) = predicted(runs / "dqn", ["Ann visited Oslo ."], "--tokens")
    assert set(answer) == {"line", "text", "tokens"}
    assert [probability for _, probability in answer["tokens"]] == [None] * 4


def test_bad_lines_have_errors_and_the_others_answers(runs: Path, predicted: Predicted) -> None:
    lines = [
        "Ann sleeps .",
        [1, 2],
        {"word": "Ann"},
        "",
        {"words": []},
        " ".join("abcdefghijklmnopqrstuvwxyz"),
        '"half a pair: \\ud800"',
        "{",
        "Bo runs .",
    ]
    answers = predicted(runs / "ppo", lines, status=1)
    assert [answer["line"] for answer in answers] == [1, 2, 3, 5, 6, 7, 8, 9]  # 4 is blank
    errors = {answer["line"]: answer.get("error", "") for answer in answers}
    for line, message in {
        2: "expected a JSON object such as",
        3: "expected a column 'words' or 'tokens' or 'text'",
        5: "expected words, got none",
        6: "expected at most 20 actions",
        7: "expected Unicode text",
        8: "expected a JSON object: ",
    }.items():
        assert message in errors[line]
        assert f"line {line}" in errors[line]
    assert [line for line, error in errors.items() if not error] == [1, 9]
    assert predicted(runs / "ppo", []) == []


def test_more_lines_than_a_batch_are_answered_in_order(runs: Path, predicted: Predicted) -> None:
    lines = ["word " * (1 + number % 7) for number in range(PredictSettings.batch + 6)]
    lines[3] = "{}"
    answers = predicted(runs / "ppo", lines, status=1)
    assert [answer["line"] for answer in answers] == list(range(1, PredictSettings.batch + 7))
    assert "error" in answers.pop(3)
    for answer in answers:
        assert len(answer["text"].split()) == 1 + (answer["line"] - 1) % 7
    assert answers[-1]["text"] == predicted(runs / "ppo", [lines[-1]])[0]["text"]


def test_a_prompt_that_was_cut_has_a_warning(runs: Path, predicted: Predicted) -> None:
    whole, cut = predicted(runs / "ppo", ["Ann sleeps .", "Donaudampfschifffahrt " * 12])
    assert "warning" not in whole
    assert cut["warning"] == "sentences cut at max_prompt_tokens"
    assert len(cut["text"].split()) < 12


def test_bytes_that_are_no_text_are_an_error_of_their_line(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    given = io.BytesIO(b"Ann sleeps .\n\xff\xfe\nBo runs .\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(given, encoding="utf-8"))
    assert main(["predict", str(runs / "ppo")]) == 1
    answers = json_lines(capsys.readouterr().out)
    assert ["error" in answer for answer in answers] == [False, True, False]


def test_answers_are_json_where_the_terminal_has_no_unicode(
    untrained: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, predicted: Predicted
) -> None:
    run, line = untrained("TextQASpan-v0"), {"passage": "東東東", "question": "?"}
    (expected,) = predicted(run, [line])
    assert set(expected["text"]) == {"東"}
    screen = io.BytesIO()
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(line)))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(screen, encoding="ascii"))
    assert main(["predict", str(run)]) == 0
    assert json.loads(screen.getvalue()) == expected


@pytest.fixture(scope="module")
def in_dialogues(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of an agent that has begun to imitate recorded dialogues."""
    folder = tmp_path_factory.mktemp("dialogues")
    file = folder / "dialogues.jsonl"
    turns = [
        [f"A {thing} for {n}, please.", question, f"At {n} p.m.", "It is booked."]
        for n in range(2, 32)
        for thing, question in (("table", "What do you eat?"), ("taxi", "Where to?"))
    ]
    file.write_text("".join(json.dumps({"turns": each}) + "\n" for each in turns))
    config = BCConfig(num_envs=4, episodes=40, epochs=12, minibatch_tokens=128, learning_rate=3e-3)
    agent = BehaviourCloning("TextDialogue-v0", config, env_kwargs={"dataset": str(file)})
    agent.learn(progress_bar=False).save(folder)
    return folder


@pytest.mark.parametrize(
    "env_id",
    ["TextNER-v0", "TextQA-v0", "TextQASpan-v0", "TextSummarization-v0", "TextDialogue-v0"],
)
def test_a_prompt_of_the_test_split_is_answered_as_when_it_is_evaluated(
    env_id: str,
    runs: Path,
    untrained: Callable[[str], Path],
    in_dialogues: Path,
    tmp_path: Path,
    done: Done,
    predicted: Predicted,
) -> None:
    known = {"TextNER-v0": runs / "ppo", "TextDialogue-v0": in_dialogues}
    run = known.get(env_id) or untrained(env_id)
    file = tmp_path / "said.jsonl"
    done("evaluate", run, "--episodes", "4", "--predictions", file)
    said = json_lines(file.read_text())
    agent = open_agent(run)
    env = gymnasium.make(env_id, split="test", **agent.env_kwargs).unwrapped
    fields = [dataclasses.asdict(env.task.examples[line["index"]]) for line in said]
    asked = [{name: each[name] for name in ASKED if name in each} for each in fields]
    if env_id == "TextDialogue-v0":
        asked = [{"turns": each["user"]} for each in fields]
    answers = predicted(run, asked)
    assert [answer["text"] for answer in answers] == [line["text"] for line in said]
    assert len({line["text"] for line in said}) > 1


ASKED = ("words", "passage", "question", "document")
"""Fields of examples that are there where nobody knows the answer."""


def test_sampled_answers_depend_on_the_seed(runs: Path, predicted: Predicted) -> None:
    lines = ["Ann visited Oslo , Bergen and Rome with Bo Olsen of Acme ."] * 3
    drawn = predicted(runs / "ppo", lines, "--sample")
    assert drawn == predicted(runs / "ppo", lines, "--sample")
    assert len({answer["text"] for answer in drawn}) > 1
    assert len({answer["text"] for answer in predicted(runs / "ppo", lines)}) == 1


def test_tasks_without_prompts_of_ones_own_say_so(
    untrained: Callable[[str], Path], done: Done
) -> None:
    line = done("predict", untrained("TextDialogue-v0"), status=1)
    assert "TextDialogue-v0 takes no prompts from outside" in line
    line = done("predict", untrained("OneSkill-v0"), status=1)
    assert "OneSkill-v0 takes no prompts from outside" in line


def test_json_that_is_broken_is_no_sentence(runs: Path, predicted: Predicted) -> None:
    (answer,) = predicted(runs / "ppo", ['{"words": ["Ana",]}'], status=1)
    assert "expected a JSON object" in answer["error"]
    marked, plain = predicted(runs / "ppo", ['\ufeff{"words": ["Ana"]}', '{"words": ["Ana"]}'])
    assert marked["text"] == plain["text"]


def test_answers_come_in_batches_as_small_as_wanted(runs: Path, predicted: Predicted) -> None:
    lines = ["Ana lives in Rome .", "Bob ."]
    one_by_one = predicted(runs / "ppo", lines, "--batch", "1")
    assert [a["text"] for a in one_by_one] == [a["text"] for a in predicted(runs / "ppo", lines)]
