"""Which commands there are, what they print, and what becomes of mistakes."""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import subprocess
import sys
from importlib import metadata
from importlib.machinery import ModuleSpec
from pathlib import Path

import gymnasium
import pytest

from textenvs.cli import listing, main
from textenvs.cli.main import COMMANDS
from textenvs.errors import OptionError
from textenvs.registration import IDS

Printed = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """80 columns without colours, whatever terminal the tests run in."""
    for name in ("COLUMNS", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


def said(capsys: Printed, *arguments: str, status: int) -> str:
    """The one line on standard error of a command that fails."""
    assert main(arguments) == status
    line, end, rest = capsys.readouterr().err.partition("\n")
    assert (end, rest) == ("\n", "")
    assert line.startswith("error: ")
    return line


# What there is -----------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_the_overview_lists_every_command(capsys: Printed, arguments: list[str]) -> None:
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    for name, command in COMMANDS.items():
        assert any(line.split()[:1] == [name] and command.help in line for line in lines), name
    assert max(map(len, lines)) <= 80


def test_the_version_is_that_of_the_package(capsys: Printed) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"textenvs {metadata.version('textenvs')}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(capsys: Printed, name: str) -> None:
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"])
    assert stop.value.code == 0
    assert f"usage: textenvs {name}" in capsys.readouterr().out


# Mistakes of who types ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["shwo"], "there is no command 'shwo': did you mean 'show'? See textenvs --help"),
        (["xyzzy"], "there is no command 'xyzzy'. See textenvs --help"),
        (["list", "--jsn"], "--jsn: did you mean '--json'? See textenvs list --help"),
        (["show", "TextQA-v0", "--episods", "3"], "did you mean '--episodes'?"),
        (
            ["show", "TextQA-v0", "--episods", "3", "--indx", "4"],
            "did you mean '--episodes' and '--index'?",
        ),
        (["show"], "Missing from textenvs show: ENV"),
        (["show", "TextQA-v0", "--episodes"], "argument '--episodes'. Expected 1 values. See"),
        (["show", "TextQA-v0", "--episodes", "x"], "--episodes: invalid literal for int()"),
        (["show", "TextQA-v0", "--player", "me"], "('expert', 'heuristic', 'random'). See"),
        (["list", "extra"], "Unrecognized options: extra. See textenvs list --help"),
        (["show", "nowhere_at_all:X-v0"], "No module named 'nowhere_at_all'"),
        (["show", "TextQA-v0", "--kwargs", "size"], "expected KEY=VALUE or a JSON object"),
        (["train"], "Expected one of {"),
        (["train", "pop"], "pop: did you mean 'ppo'? See textenvs train --help"),
        (["train", "xyzzy"], "Available subcommands: bc"),
        (["train", "ppo", "--clone-episods", "5"], "did you mean '--clone-episodes'?"),
        (["train", "ppo", "--steps", "0"], "error: steps is 0; expected at least 1. See"),
    ],
)
def test_a_wrong_command_line_is_told_in_one_line(
    capsys: Printed, arguments: list[str], message: str
) -> None:
    assert message in said(capsys, *arguments, status=2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "TextQB-v0"], "Did you mean: `TextQA`?"),
        (["show", "TextQA-v9"], "versioned environments: [ `v0` ]"),
        (["show", "CartPole-v1"], "CartPole-v1 is none of textenvs"),
        (["play", "CartPole-v1"], "CartPole-v1 is none of textenvs"),
        (["show", "TextQA-v0", "--split", "tets"], "did you mean 'test'?"),
        (["show", "TextQA-v0", "--dataset", "/nowhere.json"], "/nowhere.json: no such file"),
        (["show", "TextQA-v0", "--kwargs", "sise=3"], "did you mean 'size'?"),
        (["show", "TextQA-v0", "--index", "50000"], "index must be an integer in [0, 50000)"),
        (["play", "TextQA-v0", "--index", "-1"], "index must be an integer in [0, 1000)"),
        (["play", "TextQA-v0", "--seed", "-1"], "--seed is -1; expected at least 0"),
        (["play", "TextQA-v0", "--hints", "nobody"], "there is no folder nobody"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(
    capsys: Printed, arguments: list[str], message: str
) -> None:
    assert message in said(capsys, *arguments, status=1)


def test_messages_are_the_same_where_the_terminal_has_no_unicode() -> None:
    """Boxes are then drawn in ASCII, and signs that are missing get their codes."""
    found = [
        subprocess.run(
            [sys.executable, "-m", "textenvs.cli", *arguments],
            env=os.environ | {"PYTHONIOENCODING": "ascii"},
            capture_output=True,
            text=True,
            check=False,
        )
        for arguments in (
            ["list", "--jsn"],
            ["show", "TextSummarization-v0", "--no-manual", "--episodes", "1"],
        )
    ]
    assert found[0].returncode == 2
    assert found[0].stderr == (
        "error: Unrecognized options: --jsn: did you mean '--json'? See textenvs list --help\n"
    )
    assert (found[1].returncode, found[1].stderr) == (0, "")
    assert r"\u2581" in found[1].stdout


# Mistakes of the program, and what happens to it -------------------------------------------------


@pytest.mark.parametrize("error", [KeyError("k"), ValueError("v"), RuntimeError("r"), TypeError()])
def test_a_mistake_of_the_program_keeps_its_traceback(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(listing, "run", raising(error))
    with pytest.raises(type(error)) as caught:
        main(["list"])
    assert caught.value is error


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OptionError("two\n  lines"), "error: two lines"),
        (OSError(28, "No space left on device", "x"), "error: [Errno 28] No space left on device:"),
        (gymnasium.error.Error(), "error: Error"),
    ],
)
def test_an_error_that_was_expected_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: Printed, error: Exception, message: str
) -> None:
    monkeypatch.setattr(listing, "run", raising(error))
    assert said(capsys, "list", status=1).startswith(message)


def test_ctrl_c_has_the_status_130(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "run", raising(KeyboardInterrupt()))
    assert main(["list"]) == 130


def raising(error: BaseException) -> object:
    def run(settings: listing.Settings) -> int:
        raise error

    return run


@pytest.mark.parametrize("arguments", [["show", "TextQA-v0"], ["list", "--json"], ["list"]])
def test_a_reader_that_has_enough_is_no_error(arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        run = subprocess.run(
            [sys.executable, "-m", "textenvs.cli", *arguments],
            stdout=writer,
            stderr=subprocess.PIPE,
            check=False,
        )
    finally:
        os.close(writer)
    assert run.stderr == b""
    if arguments != ["list"]:  # rich leaves with 1 by itself
        assert run.returncode == 0


MISSING = """
import json, sys
from textenvs.cli import main

name, package = sys.argv[1:]
sys.modules[package] = None  # as if it were not there
sys.exit(main([name]))
"""


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [("list", "rich", "cli"), ("list", "tyro", "cli"), ("train", "torch", "agents")],
)
def test_a_missing_package_is_named_with_its_remedy(name: str, package: str, extra: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", MISSING, name, package], capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert run.stderr == (
        f"error: textenvs {name} needs {package}, which is not installed: "
        f"pip install 'textenvs[{extra}]'\n"
    )


def test_a_missing_module_of_our_own_is_a_mistake_of_the_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "textenvs.cli.listing", None)
    with pytest.raises(ModuleNotFoundError):
        main(["list"])


# list and show -----------------------------------------------------------------------------------


def test_the_list_is_json_on_request(capsys: Printed) -> None:
    assert main(["list", "--json"]) == 0
    entries = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [entry["env"] for entry in entries] == list(IDS)
    for entry in entries:
        env = gymnasium.make(entry["env"], split="validation")
        assert entry["actions"] == env.action_space.n
        assert entry["examples"]["validation"] == env.unwrapped.num_examples
        assert entry["legal"] == ("some" if "action_mask" in env.reset(seed=0)[1] else "all")
        assert entry["threshold"] == env.spec.reward_threshold


def test_the_list_fits_into_80_columns(capsys: Printed) -> None:
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    for env_id in IDS:
        assert any(line.startswith(f"{env_id} ") and "50,000 + 1,000" in line for line in lines)
        assert any(line.startswith(f"{env_id}: ") for line in lines)


@pytest.mark.parametrize("env_id", IDS)
def test_show_prints_manual_spaces_and_episodes(capsys: Printed, env_id: str) -> None:
    assert main(["show", env_id, "--split", "test", "--episodes", "2"]) == 0
    shown = capsys.readouterr().out
    env = gymnasium.make(env_id, split="test").unwrapped
    assert inspect.getdoc(type(env.task)) in shown
    assert f"action       {env.action_space}" in shown
    assert str(env.observation_space) in shown
    examples = [line for line in shown.splitlines() if line.startswith("Example ")]
    assert examples == [f"Example {index}, played by expert" for index in (0, 500)]
    spaces = shown.partition("\nSpaces\n")[2]
    assert max(map(len, spaces.splitlines())) <= 80
    assert spaces.count(f"{env.score_name} 1") == 2  # of the expert


def test_show_without_manual_and_of_one_example(capsys: Printed) -> None:
    assert main(["show", "TextNER-v0", "--split", "test", "--no-manual", "--index", "7"]) == 0
    shown = capsys.readouterr().out
    assert "## Description" not in shown
    assert shown.count("Example ") == shown.count("Example 7, played by expert") == 1


@pytest.mark.parametrize("player", ["heuristic", "random"])
def test_others_than_the_expert_play(capsys: Printed, player: str) -> None:
    command = ["show", "TextNER-v0", "--split", "test", "--index", "3", "--player", player]
    assert main([*command, "--no-manual", "--kwargs", "reward=terminal"]) == 0
    shown = capsys.readouterr().out
    assert f"Example 3, played by {player}" in shown
    line = next(line for line in shown.splitlines() if line.startswith("actions"))
    tags = [tag.partition("(")[0] for tag in line.split()[1:]]
    env = gymnasium.make("TextNER-v0", split="test").unwrapped
    env.reset(options={"index": 3})
    assert set(tags) <= set(env.task.labels)
    assert len(tags) == len(env.task.examples[3].words)
    if player == "heuristic":
        expected, done = [], False
        while not done:
            action = env.heuristic_action()
            expected.append(env.task.labels[action])
            done = env.step(action)[2]
        assert tags == expected


# completion and doctor ---------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_shell_completes_commands_and_options(capsys: Printed, shell: str) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in (*COMMANDS, "--episodes", "--predictions", "--total-timesteps", "heuristic"):
        assert word in script, word


def test_the_doctor_speaks_json(capsys: Printed) -> None:
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["problems"] == []
    assert sys.executable in found["python"]
    assert "cpu" in found["devices"]
    parts = {part["extra"]: part for part in found["parts"]}
    assert parts[""]["versions"]["gymnasium"] == metadata.version("gymnasium")
    assert parts["cli"]["missing"] == []
    assert parts["agents"]["versions"]["torch"] == metadata.version("torch")


def test_the_doctor_names_what_is_missing(monkeypatch: pytest.MonkeyPatch, capsys: Printed) -> None:
    version = metadata.version

    def without(name: str) -> str:
        if name == "httpx":
            raise metadata.PackageNotFoundError(name)
        return "0.1" if name == "tyro" else version(name)

    monkeypatch.setattr(metadata, "version", without)
    assert main(["doctor", "--json"]) == 1  # this command does not work with such a tyro
    parts = {p["extra"]: p["missing"] for p in json.loads(capsys.readouterr().out)["parts"]}
    assert any(each.startswith("httpx") for each in parts["chat"])
    assert parts["cli"] == ["tyro>=0.9 (there is 0.1)"]
    assert main(["doctor"]) == 1
    assert "'textenvs[chat]'" in capsys.readouterr().out


@pytest.mark.parametrize("place", ["/elsewhere/agents/__init__.py", None])
def test_the_doctor_finds_another_package_in_our_place(
    monkeypatch: pytest.MonkeyPatch, capsys: Printed, place: str | None
) -> None:
    find = importlib.util.find_spec
    other = None if place is None else ModuleSpec("agents", None, origin=place)
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: other if name == "agents" else find(name)
    )
    assert main(["doctor", "--json"]) == 1
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert f"`import agents` finds {place and Path(place)}" in problem
    assert main(["doctor"]) == 1
    assert "problem: `import agents`" in capsys.readouterr().out
