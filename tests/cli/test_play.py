"""A person plays: what is typed, what comes of it, and what is printed."""

from __future__ import annotations

import builtins
import re
from collections.abc import Callable, Iterator

import gymnasium
import numpy as np
import pytest

from textenvs.cli import main
from textenvs.env import TextEnv
from textenvs.registration import IDS

Printed = pytest.CaptureFixture[str]
Play = Callable[..., str]


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch, capsys: Printed) -> Play:
    """Plays an example of the test split by typing some lines; what was printed."""
    for name in ("COLUMNS", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)

    def played(env_id: str, index: int | None, *typed: str, options: tuple[str, ...] = ()) -> str:
        lines = iter(typed)
        chosen = () if index is None else ("--index", str(index))

        def type_next(prompt: str = "") -> str:
            try:
                line = next(lines)
            except StopIteration:
                raise EOFError from None
            print(f"{prompt}{line}")  # as a terminal would show it
            return line

        monkeypatch.setattr(builtins, "input", type_next)
        assert main(["play", env_id, *chosen, *options]) == 0
        printed = capsys.readouterr()
        assert printed.err == ""
        return printed.out

    return played


def made(env_id: str, index: int) -> TextEnv:
    """The same example, to compare with."""
    env = gymnasium.make(env_id, split="test").unwrapped
    assert isinstance(env, TextEnv)
    env.reset(options={"index": index})
    return env


def states(printed: str) -> list[str]:
    """The line of each state: the score so far, and what is legal."""
    return [line for line in printed.splitlines() if re.match(r"score \S+   \d+ legal", line)]


# Choosing tokens: example 3 of TextQA-v0 is answered by " the", " organ", and EOS ---------------


def test_a_token_is_chosen_by_how_it_begins(play: Play) -> None:
    shown = play("TextQA-v0", 3, "the", "org", ":end")
    assert "> the organ\n" in shown
    assert [line.split()[1] for line in states(shown)] == ["0.000", "0.000", "1.000"]
    assert shown.endswith("score 1.000\nmetrics f1 1.000, exact_match 1.000\nexpert the organ\n")


def test_a_token_that_is_meant_exactly_needs_no_more_letters(play: Play) -> None:
    """In this passage " in" is one, and the beginning of " instrument", too."""
    shown = play("TextQA-v0", 3, "in", ":u", "ins")
    assert shown.count("> in\n") == 1
    assert "> instrument\n" in shown


def test_what_can_mean_several_tokens_lists_them(play: Play) -> None:
    shown = play("TextQA-v0", 3, "o", ":l l")
    listed = [re.findall(r"'([^']*)' \(:(\d+)\)", line) for line in shown.splitlines()]
    env = made("TextQA-v0", 3)
    legal = np.flatnonzero(env.action_masks()).tolist()
    for line, letter in zip(filter(None, listed), "ol", strict=True):
        expected = [
            (name.replace("▁", " "), str(action))
            for action in legal
            if (name := env.task.token_name(int(env.action_tokens[action])))
            .replace("▁", "")
            .startswith(letter)
        ]
        assert line == expected
        assert len(line) > 1
    assert len(states(shown)) == 1  # nothing was played


def test_a_long_list_says_how_many_more_there_are(play: Play) -> None:
    shown = play("TextSummarization-v0", 0, ":l")
    assert len(re.findall(r"\(:\d+\)", shown)) == 24
    assert re.search(r"and 929\s+more", shown)


def test_actions_have_numbers_and_can_be_taken_back(play: Play) -> None:
    first = made("TextQA-v0", 3).expert_action()
    shown = play("TextQA-v0", 3, f":{first}", ":u", ":u", "the", ":u")
    begun = states(shown)
    assert begun == [begun[0], begun[1], begun[0], begun[1], begun[0]]
    assert begun[0] != begun[1]
    assert shown.count("there is nothing to undo") == 1
    assert shown.endswith("stopped after 0 actions, score 0.000\n")


def test_undoing_keeps_the_actions_before(play: Play) -> None:
    shown = play("TextNER-v0", 3, "B-ORG", "I-ORG", "O", ":u", ":u", "O")
    assert shown.endswith("stopped after 2 actions, score 0.000\n")
    tags = [line.split() for line in shown.splitlines() if line.split()[-1:] == ["?"]]
    assert tags == [
        ["?"],
        ["B-ORG", "?"],
        ["B-ORG", "I-ORG", "?"],
        ["B-ORG", "I-ORG", "O", "?"],
        ["B-ORG", "I-ORG", "?"],
        ["B-ORG", "?"],
        ["B-ORG", "O", "?"],
    ]


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("zzz", "no legal token begins with 'zzz'"),
        (":99999", "action 99999 is out of range"),
        (":0", "'<eos>' is not legal now"),
        (":end", "'<eos>' is not legal now"),
        ('"purple"', "is not legal now"),
        ('"the organ is"', "' is' is not legal now"),
        (":unknown", "no legal token begins with ':unknown'"),
    ],
)
def test_what_cannot_be_played_changes_nothing(play: Play, typed: str, message: str) -> None:
    shown = play("TextQA-v0", 3, typed, "the", "organ", ":end")
    assert message in shown
    assert "Traceback" not in shown
    assert len(states(shown)) == 3
    assert "\nscore 1.000\n" in shown


def test_an_episode_without_eos_says_so(play: Play) -> None:
    shown = play("TextNER-v0", 3, ":end", "O")
    assert "no action ends an episode here" in shown
    assert "stopped after 1 actions" in shown


# Whole answers, and the end ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("env_id", "answer"),
    [
        ("TextQA-v0", '"the organ"'),
        ("TextQASpan-v0", '"the organ"'),
        ("TextNER-v0", '"B-ORG I-ORG O O B-MISC O B-PER I-PER O"'),
    ],
)
def test_a_whole_answer_stands_in_quotes(play: Play, env_id: str, answer: str) -> None:
    shown = play(env_id, 3, answer)
    assert "\nscore 1.000\n" in shown
    assert re.search(rf"\nexpert +{answer[1:-1]}\n$", shown)


def test_a_span_that_is_not_in_the_passage_is_refused(play: Play) -> None:
    shown = play("TextQASpan-v0", 3, '"the lute"', ":q")
    assert "an answer is text of the passage, got 'the lute'" in shown
    assert shown.endswith("stopped after 0 actions, score 0.000\n")


def test_a_low_score_is_shown_with_what_the_expert_says(play: Play) -> None:
    shown = play("TextQA-v0", 3, '"guitar"')
    assert "\nscore 0.000\n" in shown
    assert re.search(r"\nexpert +the organ\n$", shown)


@pytest.mark.parametrize("typed", [(":q",), ()])
def test_one_can_stop_at_any_time(play: Play, typed: tuple[str, ...]) -> None:
    """By :q, or by the end of the input."""
    shown = play("TextDialogue-v0", 0, *typed)
    assert shown.endswith("stopped after 0 actions, score 0.000\n")


@pytest.mark.parametrize("typed", [":?", "", "   "])
def test_help_tells_what_can_be_typed(play: Play, typed: str) -> None:
    shown = play("TextQA-v0", 3, typed)
    for command in (":u ", ":h ", ":end ", ":q ", ":17 ", ":l TEXT"):
        assert f"\n{command}" in shown


# Hints -------------------------------------------------------------------------------------------


@pytest.fixture
def hinted(monkeypatch: pytest.MonkeyPatch, capsys: Printed) -> Callable[..., str]:
    """Asks for a hint, and does what it says, until the episode ends; what was printed."""

    def played(env_id: str, index: int, *options: str) -> str:
        seen: list[str] = []

        def typed() -> Iterator[str]:
            while True:
                seen.append(capsys.readouterr().out)
                yield ":h"
                seen.append(capsys.readouterr().out)
                hint = re.search(r"hint: .* \((:\d+)\)\n", seen[-1])
                assert hint, seen[-1]
                yield hint.group(1)

        lines = typed()
        monkeypatch.setattr(builtins, "input", lambda prompt="": next(lines))
        assert main(["play", env_id, "--index", str(index), *options]) == 0
        return "".join([*seen, capsys.readouterr().out])

    return played


@pytest.mark.parametrize("env_id", IDS)
def test_who_follows_the_experts_hints_scores_1(hinted: Callable[..., str], env_id: str) -> None:
    shown = hinted(env_id, 5)
    score = re.findall(r"^score (\d\.\d{3})$", shown, re.MULTILINE)
    assert score == ["1.000"]


def test_hints_of_the_simple_rule_score_what_it_does(hinted: Callable[..., str]) -> None:
    shown = hinted("TextNER-v0", 4, "--hints", "heuristic")
    env, done, score = made("TextNER-v0", 4), False, 0.0
    while not done:
        _, reward, done, _, _ = env.step(env.heuristic_action())
        score += float(reward)
    assert f"\nscore {score:.3f}\n" in shown
    assert 0 < score < 1


def test_an_example_is_drawn_by_the_seed(play: Play) -> None:
    drawn = [play("TextQA-v0", None, options=("--seed", str(seed))) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
