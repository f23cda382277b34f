"""The short scripts of examples/ run, and say what they say they do."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SHORT = {
    "train_and_look": {"timesteps": 64, "episodes": 8},
    "own_task": {"timesteps": 64, "episodes": 8},
    "own_reward": {"timesteps": 64, "episodes": 8},
    "seeds_and_intervals": {"seeds": 2, "timesteps": 64, "episodes": 8},
    "sb3_maskable_ppo": {"timesteps": 64, "num_envs": 2},
}
"""Script -> arguments that make it quick."""
SAID = {
    "train_and_look": ["PPO: F1 ", "look.html"],
    "own_task": ["clone: ", "PPO: "],
    "own_reward": ["{'rouge': 1.0, 'brevity': ", "clone: rouge ", "PPO: rouge "],
    "seeds_and_intervals": ["seed 0, clone: ", "seed 1, DQN: ", "seeds.png"],
    "sb3_maskable_ppo": ["TextNER-v0: "],
}


@pytest.mark.parametrize("name", SHORT)
def test_a_script_runs(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if name.startswith("sb3"):
        pytest.importorskip("sb3_contrib", reason="pip install 'textenvs[sb3]'")
    monkeypatch.chdir(tmp_path)
    importlib.import_module(name).main(**SHORT[name])
    out = capsys.readouterr().out
    for words in SAID[name]:
        assert words in out


@pytest.mark.parametrize("name", SHORT)
def test_a_script_is_short(name: str) -> None:
    assert len((EXAMPLES / f"{name}.py").read_text("utf-8").splitlines()) < 60
