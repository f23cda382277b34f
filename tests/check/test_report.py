"""The report as text and as JSON, and the command that prints it."""

import json
import re

import gymnasium
import pytest
import toys  # noqa: F401  # the command imports it by name
from gymnasium.envs.registration import registry

import textenvs
from textenvs.checking.report import Report, Result, Returns
from textenvs.cli import main
from textenvs.errors import OptionError

REPORT = Report(
    "Mine-v0 split='test'",
    (
        Result("masks", "Masks are masks", "passed"),
        Result("pickling", "It pickles " + "and pickles " * 10, "failed", "first\nsecond " * 20),
        Result("spec_json", "It is JSON", "skipped", "not offered: no spec"),
    ),
    20,
    {
        "expert": Returns(1.0, "reference", "the reference policy"),
        "copy the prompt": Returns(-0.25, "probe", "the prompt's tokens"),
    },
)


@pytest.fixture
def toy_ids():
    gymnasium.register("Toy-v0", entry_point="toys:Reversing")
    gymnasium.register("BadToy-v0", entry_point="toys:NotTelescoping")
    yield
    for env_id in ("Toy-v0", "BadToy-v0"):
        del registry[env_id]


def test_text_is_aligned_and_keeps_to_the_width():
    text = REPORT.to_text(columns=60)
    lines = text.split("\n")
    assert max(map(len, lines)) <= 60
    assert lines[:2] == ["Mine-v0 split='test'", "  ok    masks      Masks are masks"]
    assert "  FAIL  pickling   It pickles and pickles" in text
    assert "        not offered: no spec" in lines
    assert "    expert            1.000  the reference policy" in lines
    assert "    copy the prompt  -0.250  the prompt's tokens" in lines
    assert lines[-1] == "1 passed, 1 failed, 1 skipped"
    assert not REPORT.ok
    assert REPORT.failed == ("pickling",)


def test_colour_adds_nothing_but_escape_codes(monkeypatch):
    coloured = REPORT.to_text(colour=True)
    assert "\033[1;31mFAIL\033[0m" in coloured
    assert re.sub(r"\033\[[\d;]*m", "", coloured) == REPORT.to_text()
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    assert str(REPORT) == REPORT.to_text()
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert str(REPORT) == coloured


def test_json_holds_everything():
    data = json.loads(REPORT.to_json())
    assert data["ok"] is False
    assert [result["status"] for result in data["results"]] == ["passed", "failed", "skipped"]
    assert data["returns"]["copy the prompt"]["mean"] == -0.25
    assert data["episodes"] == 20


def test_unknown_checks_and_options_are_named():
    with pytest.raises(OptionError, match=r"unknown check 'mask': did you mean 'masks'\?"):
        textenvs.check("TextNER-v0", checks=["mask"])
    with pytest.raises(OptionError, match="episodes must be an integer of at least 1, got 0"):
        textenvs.check("TextNER-v0", episodes=0)
    with pytest.raises(OptionError, match=r"unknown option .*'splt': did you mean 'split'\?"):
        textenvs.check("TextNER-v0", splt="test")
    with pytest.raises(gymnasium.error.NameNotFound):
        textenvs.check("TextNR-v0")
    with pytest.raises(TypeError, match="is made already"):
        textenvs.check(gymnasium.make("TextNER-v0"), split="test")


def test_a_vector_environment_is_refused():
    with pytest.raises(TypeError, match="a vector environment is checked beside single ones"):
        textenvs.check(gymnasium.make_vec("TextNER-v0", num_envs=2))


def test_one_check_and_none():
    (result,) = textenvs.check("TextNER-v0", checks="masks", episodes=2).results
    assert (result.name, result.status) == ("masks", "passed")
    assert str(textenvs.check("TextNER-v0", checks=[])).startswith("TextNER-v0\n")


def test_options_of_make_are_used_and_shown():
    report = textenvs.check("TextNER-v0", checks=["reset_index"], split="test", size=3)
    assert report.environment == "TextNER-v0 split='test', size=3"
    assert report.ok


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["toys:Toy-v0", "--checks", "masks", "dense_reward"], 0),
        (["BadToy-v0", "--checks", "masks", "dense_reward"], 1),
        (["BadToy-v0", "--checks", "masks"], 0),
        (["TextNER-v0", "--checks", "masks", "--kwargs", "split=test", '{"size": 3}'], 0),
    ],
)
def test_the_commands_status_says_whether_a_check_failed(toy_ids, capsys, arguments, status):
    assert main(["check", *arguments]) == status
    out = capsys.readouterr().out
    assert ("FAIL" in out) is (status == 1)
    assert main(["check", *arguments, "--json", "--episodes", "5"]) == status
    assert json.loads(capsys.readouterr().out)["ok"] is (status == 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "ENV"),
        (["Nowhere-v0"], "`Nowhere` doesn't exist"),
        (["no_such_module:Toy-v0"], "No module named 'no_such_module'"),
        (["TextNER-v0", "--kwargs", "split"], "expected KEY=VALUE or a JSON object, got 'split'"),
        (["TextNER-v0", "--kwargs", "{split"], "--kwargs: expected a JSON object: Expecting"),
        (["TextNER-v0", "--kwargs", "split=tets"], "did you mean 'test'?"),
        (["TextNER-v0", "--episodes", "0"], "at least 1"),
        (["TextNER-v0", "--checks", "nothing"], "unknown check 'nothing'"),
    ],
)
def test_bad_usage_has_the_status_2(capsys, arguments, message):
    assert main(["check", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_values_of_options_are_json_or_text(toy_ids, capsys):
    main(["check", "Toy-v0", "--checks", "masks", "--kwargs", "extra=[1, 2]", "reward=dense"])
    assert "Toy-v0 extra=[1, 2], reward='dense'" in capsys.readouterr().out
