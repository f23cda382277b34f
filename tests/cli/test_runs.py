"""What the command line tells of trained agents: evaluate, compare, watch, report, export."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from agents import evaluate, load_agent
from agents.cli.runs import open_agent
from agents.recorded import load_episodes
from agents.run_files import CURVE, read_lines

Printed = pytest.CaptureFixture[str]
Done = Callable[..., str]


def json_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


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
    said = read_lines(file)
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
    compared = json_lines(done("compare", places[0], places[2], *where, "--json"))
    assert compared[1]["difference"]["value"] == pytest.approx(shares[2] - shares[0])
    assert "name one with --env" in done("evaluate", places[0], status=2)
    assert "has no 'nobody'" in done("evaluate", f"{places[0][:-5]}nobody", *where, status=1)
    assert "agents of textenvs" in done("watch", places[0], *where, status=1)


def test_an_agent_made_for_a_split_plays_the_one_that_is_asked_for(
    runs: Path, tmp_path: Path, done: Done
) -> None:
    agent = open_agent(runs / "ppo")
    agent.env_kwargs["split"] = "train"
    agent.save(tmp_path / "other")
    command = ("--episodes", "4", "--json")
    expected = json.loads(done("evaluate", runs / "ppo", *command))["scores"]
    assert json.loads(done("evaluate", tmp_path / "other", *command))["scores"] == expected


# compare -----------------------------------------------------------------------------------------


def test_compare_tells_the_difference_on_the_same_examples(runs: Path, done: Done) -> None:
    command = ["compare", runs / "ppo", runs / "dqn", runs / "ppo", "--episodes", "16"]
    found = json_lines(done(*command, "--json"))
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


def test_examples_of_different_data_are_not_compared(
    runs: Path, tmp_path: Path, done: Done
) -> None:
    agent = open_agent(runs / "ppo")
    agent.env_kwargs["data_seed"] = 5
    agent.save(tmp_path / "other")
    for command in ("compare", "report"):
        assert "different data_seed" in done(command, runs / "ppo", tmp_path / "other", status=1)


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
        point["timesteps"] for point in read_lines(runs / "ppo" / CURVE)
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
