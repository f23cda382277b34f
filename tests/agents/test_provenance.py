"""What a run depends on stands in its folder."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import gymnasium
import pytest

import textenvs  # noqa: F401  registers its ids
from agents import BCConfig, BehaviourCloning
from agents.provenance import PROVENANCE, environment_spec, git_state, provenance
from agents.train import TrainBC
from agents.training_run import train

GIT = shutil.which("git") or ""


def git(folder: Path, *command: str) -> bytes:
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    return subprocess.run(
        [GIT, *identity, *command], cwd=folder, check=True, capture_output=True
    ).stdout


@pytest.mark.skipif(not GIT, reason="needs git")
def test_the_commit_and_what_differs_from_it(tmp_path: Path) -> None:
    file = tmp_path / "kept.py"
    file.write_text("1\n")
    assert git_state(file) is None
    git(tmp_path, "init")
    assert git_state(file) is None, "no commit keeps it"
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    clean = git_state(file)
    assert clean is not None
    assert (clean["changed"], clean["diff_sha256"]) == ([], None)
    file.write_text("2\n")
    (tmp_path / "new.py").touch()
    changed = git_state(file)
    assert changed is not None
    assert (changed["commit"], changed["changed"]) == (clean["commit"], ["kept.py", "new.py"])
    assert changed["diff_sha256"] == hashlib.sha256(git(tmp_path, "diff", "HEAD")).hexdigest()


def test_without_git(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert git_state(Path(__file__)) is None
    assert provenance()["versions"]["gymnasium"] == gymnasium.__version__


def test_an_environment_made_by_a_function() -> None:
    gymnasium.register("Made-v0", entry_point=lambda: gymnasium.make("TextNER-v0"))
    try:
        spec = environment_spec("Made-v0", {"reward": len})
    finally:
        del gymnasium.registry["Made-v0"]
    assert "lambda" in spec["entry_point"]
    assert json.loads(json.dumps(spec))["options"] == {"reward": repr(len)}


def test_a_runs_folder_tells_each_sitting(tmp_path: Path) -> None:
    short = {"validation_episodes": 2, "test_episodes": 2, "seed": 4}
    settings = TrainBC(
        env="TextNER-v0", out=tmp_path, config=BCConfig(episodes=4, epochs=1, num_envs=2), **short
    )  # type: ignore[arg-type]
    train(BehaviourCloning, settings)
    train(BehaviourCloning, TrainBC(**(vars(settings) | {"resume": True})))
    lines = [json.loads(line) for line in (tmp_path / PROVENANCE).read_text().splitlines()]
    assert len(lines) == 2
    for line in lines:
        assert line["env"]["id"] == "TextNER-v0"
        assert line["env"]["kwargs"] == {"task": "ner"}
        assert line["versions"].keys() >= {"python", "torch", "textenvs"}
        assert line["machine"]["cores"] >= 1
        assert line["command"][0] == "python"
