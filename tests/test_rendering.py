"""What a person sees of an episode."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from hypothesis import given
from hypothesis import strategies as st

import textenvs
from textenvs.terminal import has_colour, width
from textenvs.views import Paragraph, Tagged, columns, printable, wrap

ESCAPE = "\033"


def render(env_id: str, index: int, steps: int = 10_000, **kwargs: Any) -> str:
    """What is rendered after the expert's first actions."""
    env = gymnasium.make(env_id, **{"render_mode": "ansi", "split": "test", **kwargs})
    env.reset(options={"index": index})
    for _ in range(steps):
        if env.step(env.unwrapped.expert_action())[2]:
            break
    return str(env.render())


@pytest.fixture
def long_file(tmp_path: Path) -> str:
    """A SQuAD file of one long passage, with control characters, and the answer in its middle."""
    half = "The quick brown fox jumps over the lazy dog. " * 40
    text = f"{half}Ann\033[31m\a won. {half}"
    answers = [{"text": "Ann", "answer_start": len(half)}]
    questions = [{"id": "1", "question": "Who won?", "answers": answers}]
    paragraph = {"context": text, "qas": questions}
    path = tmp_path / "long.json"
    path.write_text(json.dumps({"data": [{"title": "t", "paragraphs": [paragraph]}]}), "utf-8")
    return str(path)


def test_question_answering() -> None:
    assert (
        render("TextQA-v0", 3, steps=1)
        == """\
qa, example 3
  Noria Ravmore lives in Ashburg. Lenia Zelley has a home in Drevville. The
  instrument of Noria Ravmore is the guitar. The instrument of Lenia Zelley is
  the organ.
  What does Zelley play?
> the
   1  '▁the' (894)  reward +0.000  score 0.000  3 legal"""
    )
    assert render("TextQA-v0", 3).endswith("""
> the organ
   3  '<eos>' (0)  reward +1.000  score 1.000  ended""")


def test_a_span_is_marked_in_its_passage() -> None:
    assert "\n  [the] organ.\n" in render("TextQASpan-v0", 3, steps=1)
    assert "\n  [the organ].\n" in render("TextQASpan-v0", 3)
    env = gymnasium.make("TextQASpan-v0", render_mode="ansi")
    env.reset(seed=0)
    env.step(env.action_space.n - 1)  # beyond the passage
    assert "[" not in str(env.render())


def test_tags_stand_below_their_words() -> None:
    assert (
        render("TextNER-v0", 0, steps=3, reward="dense")
        == """\
ner, example 0
  Nobody  in  Dunburg  remembers  S.  Ashstrom  .
  O       O   B-LOC    ?
   3  'B-LOC' (1)  reward +0.667  score 0.667  6 legal"""
    )


def test_turns_of_a_dialogue_have_speakers() -> None:
    lines = render("TextDialogue-v0", 3).split("\n")
    speakers = [line.split(":")[0] for line in lines if re.match(r"\w+:", line)]
    assert speakers[:4] == ["User", "System", "User", "System"]
    assert lines[-1].endswith("ended")


def test_an_environment_that_masks_nothing_tells_no_legal_actions() -> None:
    text = render("TextSummarization-v0", 0, steps=3)
    assert "legal" not in text
    assert "reward +0.000  score 0." in text


@pytest.mark.parametrize("env_id", textenvs.IDS)
def test_a_vector_environment_renders_as_the_single_one_does(env_id: str) -> None:
    envs = gymnasium.make_vec(
        env_id,
        num_envs=2,
        render_mode="ansi",
        split="test",
        reward="dense",
        autoreset_mode="NextStep",
    )
    env = gymnasium.make(env_id, render_mode="ansi", split="test", reward="dense")
    envs.reset(options={"index": 5})
    env.reset(options={"index": 5})
    done = False
    while not done:
        action = env.unwrapped.expert_action()
        envs.step([action, action])
        done = env.step(action)[2]
        assert envs.render() == (env.render(), env.render())


def test_a_long_prompt_is_folded_but_what_was_chosen_stays(long_file: str) -> None:
    text = render("TextQASpan-v0", 0, dataset=long_file, split="all")
    assert len(text.split("\n")) < 25
    assert text.count("lines folded ...") == 2
    assert "[Ann]" in text
    assert "Who won?" in text
    assert "[Ann]" not in render("TextQASpan-v0", 0, steps=0, dataset=long_file, split="all")


def test_control_characters_of_the_data_do_not_reach_the_terminal(long_file: str) -> None:
    text = render("TextQASpan-v0", 0, dataset=long_file, split="all")
    assert "␛[31m␇" in text
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)


def test_control_characters_of_tags_do_not_reach_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "x.conll"
    path.write_text("Bo\033[2Jb\tB-\033[31mPER\nruns\tO\n", "utf-8")
    text = render("TextNER-v0", 0, dataset=str(path), split="all")
    assert "B-␛[31mPER" in text
    part = Tagged(("a\nb", "東"), ("B-\033[2J", "O"))
    shown = [piece.text for line in part.lines(40) for piece in line]
    for line in (*text.split("\n"), *shown, part.latest(40)):
        assert not re.search(r"[\x00-\x1f\x7f-\x9f]", line)


@pytest.mark.parametrize("sign", ["\u202e", "\u2066", "\u2028"])
def test_nothing_turns_or_parts_what_is_shown(sign: str) -> None:
    ((piece,),) = Paragraph(f"user{sign}resu").lines(40)
    assert piece.text == "user\ufffdresu"


@pytest.mark.parametrize(
    ("text", "room"), [("e\u0301", 1), ("กี่", 1), ("हि", 2), ("a\u200bb", 2), ("東京", 4)]
)
def test_signs_that_take_no_column_are_not_counted(text: str, room: int) -> None:
    assert columns(text) == room


def test_colour_marks_the_agents_part(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = render("TextQASpan-v0", 3)
    monkeypatch.setenv("FORCE_COLOR", "1")
    coloured = render("TextQASpan-v0", 3)
    assert f"{ESCAPE}[1;36m[the organ]{ESCAPE}[0m." in coloured
    assert re.sub(r"\033\[[\d;]*m", "", coloured) == plain


@pytest.mark.parametrize(
    ("variables", "terminal", "expected"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"TERM": "dumb"}, True, False),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, False),
    ],
)
def test_when_there_is_colour(
    variables: dict[str, str], terminal: bool, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm", **variables}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    assert has_colour() is expected


def test_text_is_as_wide_as_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    assert width() == 80  # no terminal
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert width() == 50
    lines = render("TextSummarization-v0", 0).split("\n")
    assert 40 < max(map(columns, lines[:-1])) <= 50


def play(env_id: str, index: int, **kwargs: Any) -> None:
    env = gymnasium.make(env_id, render_mode="human", split="test", **kwargs)
    env.reset(options={"index": index})
    while not env.step(env.unwrapped.expert_action())[2]:
        pass
    assert env.render() is None


def test_for_a_human_the_prompt_is_told_once_and_each_action_in_a_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    play("TextQA-v0", 3)
    assert (
        capsys.readouterr().out
        == """\
qa, example 3
  Noria Ravmore lives in Ashburg. Lenia Zelley has a home in Drevville. The
  instrument of Noria Ravmore is the guitar. The instrument of Lenia Zelley is
  the organ.
  What does Zelley play?
   1  '▁the' (894)        reward +0.000  score 0.000  3 legal  the
   2  '▁organ' (778)      reward +0.000  score 1.000  2 legal  the organ
   3  '<eos>' (0)         reward +1.000  score 1.000  ended  the organ
> the organ
"""
    )


def test_for_a_human_the_users_turns_are_told_when_they_come_and_the_whole_at_the_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    play("TextDialogue-v0", 3)
    lines = capsys.readouterr().out.rstrip("\n").split("\n")
    ends = [number for number, line in enumerate(lines) if "'<eos>'" in line]
    assert all(lines[number + 1].startswith("User: ") for number in ends[:-1])
    assert lines[ends[-1]].find("ended") > 0
    whole = lines[ends[-1] + 1 :]
    assert [line[:6].strip() for line in whole] == ["System", "User:"] * (len(whole) // 2)


def test_for_a_human_lines_keep_to_the_width(capsys: pytest.CaptureFixture[str]) -> None:
    for env_id in textenvs.IDS:
        play(env_id, 7, reward="dense")
    assert max(map(columns, capsys.readouterr().out.split("\n"))) <= 80


@pytest.mark.parametrize("env_id", textenvs.IDS)
def test_a_narrow_terminal(
    env_id: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("textenvs.rendering.width", lambda: 40)
    text = render(env_id, 7)
    assert max(map(columns, text.split("\n"))) <= 40
    assert text.splitlines()[-1] == "  reward +1.000  score 1.000  ended"
    play(env_id, 7)
    assert max(map(columns, capsys.readouterr().out.split("\n"))) <= 40


texts = st.text(st.sampled_from("ab é東́ \n\t") | st.characters(), max_size=200)


@given(texts, st.integers(2, 40))
def test_wrapping_keeps_every_word_and_the_width(text: str, room: int) -> None:
    text = printable(text)
    spans = list(wrap(text, room))
    assert all(columns(text[start:end]) <= room for start, end in spans)
    kept = "".join(text[start:end] for start, end in spans)
    assert re.sub(r"\s", "", kept) == re.sub(r"\s", "", text)


@given(st.lists(st.text("ab東", min_size=1, max_size=8), min_size=1, max_size=20), st.data())
def test_each_tag_starts_where_its_word_does(words: list[str], data: st.DataObject) -> None:
    tags = data.draw(st.lists(st.sampled_from(["O", "B-LOC"]), max_size=len(words)))
    lines = ["".join(piece.text for piece in line) for line in Tagged(words, tags).lines(30)]
    found = []
    for upper, lower in zip(lines[::2], lines[1::2], strict=True):
        starts = {columns(upper[: match.start()]): match[0] for match in re.finditer(r"\S+", upper)}
        marks = {match.start(): match[0] for match in re.finditer(r"\S+", lower)}
        found += [(word, marks.get(place, "")) for place, word in starts.items()]
    expected = [*tags, "?"][: len(words)]
    assert found == list(zip(words, expected + [""] * (len(words) - len(expected)), strict=True))


@given(st.text("ab東 ", max_size=30), st.integers(-5, 12))
def test_no_width_is_too_small(text: str, room: int) -> None:
    for part in (Paragraph(text, ">", by_agent=True), Tagged(text.split(), ["O"])):
        part.lines(room)
        assert columns(part.latest(room)) <= max(room, 4)


def test_an_empty_answer_takes_no_line() -> None:
    assert Paragraph("", speaker=">", by_agent=True).lines(40) == []
