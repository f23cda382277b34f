"""Trained agents on the command line: train, evaluate, compare, watch, report, predict, export."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import one_skill
import pytest
import torch

from agents import PPO, BCConfig, BehaviourCloning, PPOConfig, evaluate, load_agent
from agents.cli.predict import Settings as PredictSettings
from agents.cli.runs import open_agent
from agents.errors import AgentError
from agents.recorded import load_episodes
from textenvs.cli import main

Printed = pytest.CaptureFixture[str]
SMALL = [
    *("TextNER-v0", "--total-timesteps", "256", "--num-envs", "4", "--steps", "64"),
    *("--clone-episodes", "60", "--clone-epochs", "2", "--seed", "3"),
    *("--validation-episodes", "8", "--test-episodes", "12", "--validate-every", "2"),
]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """80 columns without colours, whatever terminal the tests run in."""
    for name in ("COLUMNS", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two short runs, `ppo` and `dqn`."""
    folder = tmp_path_factory.mktemp("runs")
    for name, options in (("ppo", []), ("dqn", ["--learning-starts", "64"])):
        assert main(["train", name, *SMALL, *options, "--out", str(folder / name)]) == 0
    return folder


@pytest.fixture
def done(capsys: Printed) -> Callable[..., str]:
    """Runs a command that ends with some status; what it printed."""

    def run(*arguments: object, status: int = 0) -> str:
        assert main([str(argument) for argument in arguments]) == status
        printed = capsys.readouterr()
        if status:
            line, end, rest = printed.err.partition("\n")
            assert (end, rest, printed.out) == ("\n", "", "")
            assert line.startswith("error: ")
            return line
        return printed.out

    return run


Done = Callable[..., str]


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


# train -------------------------------------------------------------------------------------------


def test_a_run_leaves_what_the_other_commands_read(runs: Path) -> None:
    for name in ("ppo", "dqn"):
        kept = {path.name for path in (runs / name).iterdir()}
        assert {"best", "checkpoint", "curve.jsonl", "results.json", "settings.json"} <= kept
        results = json.loads((runs / name / "results.json").read_text())
        assert results["algorithm"].lower() == name
        assert results["settings"]["env"] == "TextNER-v0"
        assert results["timesteps"] >= 256


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path, done: Done) -> None:
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "run"
    line = done("train", "ppo", "one_skill:OneSkill-v0", "--out", out, status=1)
    assert "Not a directory" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["TextNER-v9"], "versioned environments: [ `v0` ]"),
        (["TextNER-v0", "--device", "tpu-9"], "the device is 'tpu-9'; expected auto, cpu, or cuda"),
        (["TextNER-v0", "--seed", "-1"], "expected at least 0"),
        (["nowhere_at_all:X-v0"], "No module named 'nowhere_at_all'"),
        (["TextNER-v0", "--resume"], "no run to resume"),
    ],
)
def test_a_training_that_cannot_begin_is_told_in_one_line(
    arguments: list[str], message: str, tmp_path: Path, done: Done
) -> None:
    assert message in done("train", "ppo", *arguments, "--out", tmp_path / "run", status=1)


# Ctrl-C ------------------------------------------------------------------------------------------

SKILL = [
    *("one_skill:OneSkill-v0", "--env-kwargs", '{"answers": 2, "examples": 40}'),
    *("--total-timesteps", "480", "--num-envs", "4", "--steps", "64", "--checkpoint-every", "1"),
    *("--clone-episodes", "20", "--clone-epochs", "3", "--validate-every", "1"),
    *("--validation-episodes", "8", "--test-episodes", "8", "--progress", "none"),
]
PRESSED = """
import os, signal, sys
from agents import PPO
from textenvs.cli import main

update = PPO.update

def pressed(self, *args):
    if self.iteration == 2:
        os.kill(os.getpid(), signal.SIGINT)
    return update(self, *args)

PPO.update = pressed
sys.exit(main())
"""


def curve(folder: Path) -> list[dict[str, float]]:
    """The learning curve without what tells of time."""
    points = objects((folder / "curve.jsonl").read_text())
    return [{name: value for name, value in p.items() if name != "seconds"} for p in points]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    assert main(["train", "ppo", *SKILL, "--out", str(folder)]) == 0
    return folder


def test_what_ctrl_c_stops_goes_on_by_the_printed_command(
    undisturbed: Path, tmp_path: Path, done: Done
) -> None:
    out = tmp_path / "a run"
    tests = Path(one_skill.__file__).parent
    stopped = subprocess.run(
        [sys.executable, "-c", PRESSED, "train", "ppo", *SKILL, "--out", str(out)],
        env=os.environ
        | {"PYTHONPATH": f"{tests}{os.pathsep}{tests.parents[1]}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert stopped.returncode == 130, stopped.stderr
    assert "stopping after this iteration; Ctrl-C again stops at once" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert not (out / "results.json").exists()
    part, whole = curve(out), curve(undisturbed)
    assert 1 < len(part) < len(whole)
    *_, said, command = stopped.stdout.splitlines()
    assert said == f"stopped, and saved in {out}. To go on:"
    program, *arguments = shlex.split(command)
    assert program == "textenvs"
    done(*arguments)
    assert curve(out) == whole
    results = [json.loads((run / "results.json").read_text()) for run in (out, undisturbed)]
    assert results[0]["scores"] == results[1]["scores"]


def test_ctrl_c_while_cloning_is_resumed_too(
    undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, done: Done, capsys: Printed
) -> None:
    command = ["train", "ppo", *SKILL, "--out", str(tmp_path)]
    iterate = BehaviourCloning.iterate
    with monkeypatch.context() as patch:
        patch.setattr(
            BehaviourCloning,
            "iterate",
            lambda self: signal.raise_signal(signal.SIGINT) or iterate(self),
        )
        assert main(command) == 130
    assert "To go on" in capsys.readouterr().out
    assert not (tmp_path / "curve.jsonl").exists()
    done(*command, "--resume")
    assert curve(tmp_path) == curve(undisturbed)


def test_a_second_ctrl_c_stops_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pressed_twice(self: PPO, *args: object) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("went on")

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(PPO, "update", pressed_twice)
    scratch = ["--clone-episodes", "0", "--out", str(tmp_path)]
    assert main(["train", "ppo", *SKILL, *scratch]) == 130
    assert signal.getsignal(signal.SIGINT) is before


# evaluate ----------------------------------------------------------------------------------------


def test_evaluate_prints_each_metric_with_its_interval(runs: Path, done: Done) -> None:
    lines = done("evaluate", runs / "ppo", "--episodes", "20").splitlines()
    agent = load_agent(runs / "ppo" / "best")
    expected = evaluate(agent, "TextNER-v0", episodes=20)
    table = {line.split()[0]: line.split(maxsplit=1)[1].strip() for line in lines if line.strip()}
    for name, score in expected.scores.items():
        value, interval = table[name].split(maxsplit=1)
        assert f"{value} {interval}" == str(score)
    assert "20 examples, best actions" in " ".join(" ".join(lines).split())


def test_evaluate_as_json_with_predictions(runs: Path, tmp_path: Path, done: Done) -> None:
    file = tmp_path / "new" / "said.jsonl"
    common = [runs / "dqn", "--episodes", "9", "--split", "validation", "--seed", "4"]
    found = json.loads(done("evaluate", *common, "--json", "--predictions", file))
    assert (found["env"], found["split"], found["episodes"]) == ("TextNER-v0", "validation", 9)
    scores = found["scores"][found["score"]]
    assert scores["low"] <= scores["value"] <= scores["high"]
    said = objects(file.read_text())
    assert [line["index"] for line in said] == [place * 1000 // 9 for place in range(9)]
    assert np.mean([line["return"] for line in said]) == pytest.approx(
        found["scores"]["return"]["value"]
    )


def test_the_best_weights_play_unless_the_last_are_asked_for(runs: Path, done: Done) -> None:
    episodes = ["--episodes", "30", "--json"]
    for which, folder in (("best", "best"), ("last", "checkpoint")):
        chosen = done("evaluate", runs / "ppo", "--checkpoint", which, *episodes)
        itself = done("evaluate", runs / "ppo" / folder, *episodes)
        assert json.loads(chosen)["scores"] == json.loads(itself)["scores"]


def test_sampled_actions_depend_on_the_seed_alone(runs: Path, done: Done) -> None:
    command = ["evaluate", runs / "ppo", "--episodes", "8", "--sample", "--json"]
    assert done(*command) == done(*command)
    returns = {
        json.loads(done(*command, "--seed", str(seed)))["scores"]["return"]["value"]
        for seed in range(4)
    }
    assert len(returns) > 1
    assert "drawn actions" in " ".join(done(*command[:-1]).split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--split", "tets"], "did you mean 'test'?"),
        (["--episodes", "0"], "expected at least 1"),
        (["--env", "TextQA-v0"], "the agent was made for"),
        (["--env", "TextNER-v9"], "versioned environments"),
        (["--kwargs", "sise=3"], "did you mean 'size'?"),
        (["--device", "tpu-9"], "the device is 'tpu-9'"),
        (["--device", "cuda:99"], "the device is 'cuda:99', and torch finds"),
        (["--seed", "-1"], "-1"),
    ],
)
def test_what_cannot_be_evaluated_is_told_in_one_line(
    runs: Path, arguments: list[str], message: str, done: Done
) -> None:
    assert message in done("evaluate", runs / "ppo", *arguments, status=1)


@pytest.mark.parametrize("name", ["split", "seed", "episodes", "num_envs", "deterministic"])
def test_what_has_an_option_of_its_own_is_none_of_the_environments(
    runs: Path, name: str, done: Done
) -> None:
    line = done("evaluate", runs / "ppo", "--kwargs", f"{name}=1", status=2)
    assert f"--kwargs cannot have {name!r}" in line


@pytest.mark.parametrize("command", ["evaluate", "watch", "report", "predict"])
def test_a_folder_without_a_run_names_the_nearest(runs: Path, command: str, done: Done) -> None:
    line = done(command, runs / "ppp", status=1)
    assert f"there is no folder {runs / 'ppp'}: did you mean '{runs / 'ppo'}'?" in line
    assert "it holds neither best nor checkpoint" in done(command, runs, status=1)


def test_predictions_that_cannot_be_written_are_an_error(
    runs: Path, tmp_path: Path, done: Done
) -> None:
    (tmp_path / "file").write_text("")
    command = ["evaluate", runs / "ppo", "--episodes", "2", "--predictions", tmp_path / "file/x"]
    assert "Errno" in done(*command, status=1)


ALWAYS = """
import numpy as np

class Always:
    def __init__(self, action=0):
        self.action = action

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        return np.full(len(observation), self.action), None

first, second = Always(), Always(1)
"""


def test_agents_of_ones_own_are_named_by_their_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, done: Done
) -> None:
    (tmp_path / "my_agents_of_test_runs.py").write_text(ALWAYS)
    monkeypatch.syspath_prepend(tmp_path)
    where = ["--env", "one_skill:OneSkill-v0", "--kwargs", "words=2", "examples=30"]
    places = [f"my_agents_of_test_runs:{name}" for name in ("first", "Always", "second")]
    found = [json.loads(done("evaluate", place, *where, "--json")) for place in places]
    shares = [each["scores"]["share"]["value"] for each in found]
    assert shares[0] == shares[1] == pytest.approx(1 - shares[2])
    compared = objects(done("compare", places[0], places[2], *where, "--json"))
    assert compared[1]["difference"]["value"] == pytest.approx(shares[2] - shares[0])
    assert "name one with --env" in done("evaluate", places[0], status=2)
    assert "has no 'nobody'" in done("evaluate", f"{places[0][:-5]}nobody", *where, status=1)
    assert "agents of textenvs" in done("watch", places[0], *where, status=1)


# compare -----------------------------------------------------------------------------------------


def test_compare_tells_the_difference_on_the_same_examples(runs: Path, done: Done) -> None:
    command = ["compare", runs / "ppo", runs / "dqn", runs / "ppo", "--episodes", "16"]
    found = objects(done(*command, "--json"))
    assert [each["run"] for each in found] == [str(runs / name) for name in ("ppo", "dqn", "ppo")]
    values = [each["value"]["value"] for each in found]
    differences = [each["difference"] for each in found]
    assert differences[0] == differences[2] == {"value": 0, "low": 0, "high": 0}
    assert differences[1]["value"] == pytest.approx(values[1] - values[0])
    assert differences[1]["low"] <= differences[1]["value"] <= differences[1]["high"]
    assert values[0] != values[1]
    text = done(*command)
    lines = text.splitlines()
    assert lines[0].startswith("TextNER-v0, test split, 16 examples, f1")
    assert f"f1 {values[1]:.3f}" in text
    assert f"less {runs / 'ppo'}: {differences[1]['value']:.3f} [" in text
    assert f"less {runs / 'ppo'}: 0.000 [0.000, 0.000], no clear difference" in text


def test_compare_needs_two_runs_of_one_environment(
    runs: Path, untrained: Callable[[str], Path], done: Done
) -> None:
    assert "at least two runs, got 1" in done("compare", runs / "ppo", status=2)
    other = untrained("TextQASpan-v0")
    line = done("compare", runs / "ppo", other, status=1)
    assert "plays TextQASpan-v0" in line
    assert "plays TextNER-v0" in line
    assert "choose agents of one environment" in done("report", runs / "ppo", other, status=1)


# watch -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ppo", "dqn"])
def test_watch_prints_every_token_and_the_return(runs: Path, name: str, done: Done) -> None:
    shown = done("watch", runs / name, "--episodes", "2")
    assert max(map(len, shown.splitlines())) <= 80
    env = gymnasium.make("TextNER-v0", split="test").unwrapped
    result = evaluate(load_agent(runs / name / "best"), "TextNER-v0", episodes=2)
    parts = shown.split("\n\n")
    assert len(parts) == 2
    for part, index, text, score in zip(
        parts, result.examples, result.texts, result.returns, strict=True
    ):
        lines = part.splitlines()
        assert lines[0] == f"TextNER-v0, example {index}"
        steps = [line.split() for line in lines if re.match(r" *\d+ \S+ .* V [+-]\d", line)]
        assert [step[:2] for step in steps] == [
            [str(number), tag] for number, tag in enumerate(text.split(), start=1)
        ]
        assert all(("█" in " ".join(s) or "·" in " ".join(s)) == (name == "ppo") for s in steps)
        words = env.task.examples[int(index)].words
        assert " ".join(words) in " ".join(part.split())
        appended = [line.split("+", 1)[1].strip() for line in lines if line.startswith("    +")]
        assert appended == list(words[1:])
        assert any(line.startswith(f"return {score:+.3f} ") for line in lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--episodes", "0"], "--episodes is 0; expected at least 1"),
        (["--alternatives", "-1"], "alternatives is -1; expected at least 0"),
        (["--delay", "-1"], "--delay is -1.0; expected at least 0"),
    ],
)
def test_watch_refuses_impossible_numbers(
    runs: Path, arguments: list[str], message: str, done: Done
) -> None:
    assert message in done("watch", runs / "ppo", *arguments, status=1)


# report ------------------------------------------------------------------------------------------


def test_report_writes_a_page_into_the_runs_folder(runs: Path, done: Done) -> None:
    said = done("report", runs / "ppo", "--episodes", "5")
    page = runs / "ppo" / "report.html"
    assert said.startswith(f"{page}: 5 episodes, ")
    text = page.read_text("utf-8")
    assert "<title>ppo: TextNER-v0</title>" in text
    content = json.loads(text.partition('id="data">')[2].partition("</script>")[0])
    (run,) = content["runs"]
    assert len(run["episodes"]) == 5
    assert set(run["scores"]) == {"random", "majority", "heuristic", "cloned", "PPO", "expert"}
    assert [point["timesteps"] for point in run["curve"]] == [
        point["timesteps"] for point in curve(runs / "ppo")
    ]
    assert "rollout/reward" in run["metrics"]


def test_report_about_two_runs_goes_where_it_is_told(
    runs: Path, tmp_path: Path, done: Done
) -> None:
    out = tmp_path / "new" / "both.html"
    done("report", runs / "ppo", runs / "dqn", "--episodes", "3", "--out", out)
    text = out.read_text("utf-8")
    assert "<title>ppo, dqn: TextNER-v0</title>" in text
    content = json.loads(text.partition('id="data">')[2].partition("</script>")[0])
    first, second = content["runs"]
    assert [e["i"] for e in first["episodes"]] == [e["i"] for e in second["episodes"]]
    assert "p" in first["episodes"][0]
    assert "p" not in second["episodes"][0]
    assert "got 3" in done("report", *[runs / "ppo"] * 3, status=2)


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
        return objects(printed.out)

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
    answers = objects(capsys.readouterr().out)
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
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The checkpoint of an agent that has not learnt yet, but whose answers differ."""
    made: dict[str, Path] = {}

    def make(env_id: str) -> Path:
        if env_id not in made:
            made[env_id] = tmp_path_factory.mktemp("untrained")
            PPO(env_id, PPOConfig(num_envs=1)).save(made[env_id])
        return made[env_id]

    return make


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
    said = objects(file.read_text())
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


# export ------------------------------------------------------------------------------------------


def test_transformers_opens_what_was_exported(runs: Path, tmp_path: Path, done: Done) -> None:
    from transformers import AutoModelForCausalLM

    assert f"{tmp_path}: " in done("export", runs / "ppo", "--to", tmp_path)
    lm = AutoModelForCausalLM.from_pretrained(tmp_path)
    env = gymnasium.make("TextNER-v0", split="test").unwrapped
    observation, info = env.reset(options={"index": 4})
    prompt = observation[observation != env.pad_token_id]
    with torch.inference_mode():
        logits = lm(torch.from_numpy(prompt[None].astype(np.int64))).logits[0, -1]
    legal = env.action_tokens[info["action_mask"].astype(bool)]
    token = int(legal[logits[torch.from_numpy(legal.astype(np.int64))].argmax()])
    action, _ = load_agent(runs / "ppo" / "best").predict(
        observation, action_masks=info["action_mask"]
    )
    assert token == env.action_tokens[action]


def test_an_agent_by_action_values_is_no_language_model(
    runs: Path, tmp_path: Path, done: Done
) -> None:
    assert "acts by action values" in done("export", runs / "dqn", "--to", tmp_path, status=1)


def test_episodes_are_exported_as_data(runs: Path, tmp_path: Path, done: Done) -> None:
    import datasets

    command = ["export", runs / "dqn", "--episodes", "4", "--to"]
    said = done(*command, tmp_path / "new" / "episodes.safetensors", "--format", "episodes")
    assert said.endswith(": 4 episodes\n")
    agent = load_agent(runs / "dqn" / "best")
    recorded = load_episodes(tmp_path / "new" / "episodes.safetensors", agent.contract)
    said = done(*command, tmp_path / "dataset", "--format", "dataset")
    assert said.endswith(": 4 episodes\n")
    rows = datasets.load_from_disk(tmp_path / "dataset")
    expected = evaluate(agent, "TextNER-v0", episodes=4)
    assert [episode.episode_return for episode in recorded] == expected.returns.tolist()
    assert rows["return"] == expected.returns.tolist()
    tags = gymnasium.make("TextNER-v0").unwrapped.task.labels
    for actions in ([e.actions_T.tolist() for e in recorded], rows["actions"]):
        assert [" ".join(tags[a] for a in each) for each in actions] == expected.texts
    assert ".safetensors" in done(*command, tmp_path / "x.txt", "--format", "episodes", status=2)


def test_a_new_run_takes_nothing_of_an_old_one_for_its_own(
    runs: Path, tmp_path: Path, done: Done, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where it ends before it has anything of its own."""
    folder = tmp_path / "again"
    shutil.copytree(runs / "ppo", folder)

    def broken(*_: object) -> None:
        raise AgentError("no start")

    monkeypatch.setattr("agents.training_run.start_of", broken)
    done("train", "ppo", *SMALL, "--seed", "3", "--out", folder, status=1)
    left = {file.name for file in folder.iterdir()}
    assert not left & {"results.json", "curve.jsonl", "metrics.jsonl", "predictions.jsonl"}
    assert "no trained agent" in done("evaluate", folder, status=1)


def test_examples_of_different_data_are_not_compared(
    runs: Path, tmp_path: Path, done: Done
) -> None:
    agent = open_agent(runs / "ppo")
    agent.env_kwargs["data_seed"] = 5
    agent.save(tmp_path / "other")
    for command in ("compare", "report"):
        assert "different data_seed" in done(command, runs / "ppo", tmp_path / "other", status=1)


def test_an_agent_made_for_a_split_plays_the_one_that_is_asked_for(
    runs: Path, tmp_path: Path, done: Done
) -> None:
    agent = open_agent(runs / "ppo")
    agent.env_kwargs["split"] = "train"
    agent.save(tmp_path / "other")
    command = ("--episodes", "4", "--json")
    expected = json.loads(done("evaluate", runs / "ppo", *command))["scores"]
    assert json.loads(done("evaluate", tmp_path / "other", *command))["scores"] == expected


def test_json_that_is_broken_is_no_sentence(runs: Path, predicted: Predicted) -> None:
    (answer,) = predicted(runs / "ppo", ['{"words": ["Ana",]}'], status=1)
    assert "expected a JSON object" in answer["error"]
    marked, plain = predicted(runs / "ppo", ['\ufeff{"words": ["Ana"]}', '{"words": ["Ana"]}'])
    assert marked["text"] == plain["text"]


def test_answers_come_in_batches_as_small_as_wanted(runs: Path, predicted: Predicted) -> None:
    lines = ["Ana lives in Rome .", "Bob ."]
    one_by_one = predicted(runs / "ppo", lines, "--batch", "1")
    assert [a["text"] for a in one_by_one] == [a["text"] for a in predicted(runs / "ppo", lines)]
