"""The learning benchmark runs, goes on where it was, and shows what failed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from benchmarks import learning
from benchmarks.learning import Settings
from benchmarks.learning_table import spread
from benchmarks.recipes import RECIPES, Recipe

SMALL = "--validation-episodes 4 --test-episodes 8"


def test_learning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    recipe = Recipe(
        clone=f"--episodes 16 --epochs 1 {SMALL}",
        shared=f"--total-timesteps 64 --steps 64 --num-envs 4 {SMALL}",
        algorithms={"reinforce": "", "a2c": "--no-such-option 1"},
    )
    monkeypatch.setattr(learning, "RECIPES", {"TextNER-v0": recipe})
    assert learning.run(Settings(out=tmp_path, seeds=1)) == 1
    printed = capfd.readouterr().out
    rows = [line.split("|")[1].strip() for line in printed.splitlines() if line.startswith("| ")]
    assert rows == ["agent", "random", "majority", "heuristic", "cloned", "REINFORCE", "expert"]
    assert "FAILED: python -m agents.train a2c" in printed
    assert "no-such-option" in (tmp_path / "TextNER-v0" / "a2c" / "0" / "train.log").read_text()

    with monkeypatch.context() as patch:
        patch.setattr(learning.subprocess, "run", None)
        only = Settings(out=tmp_path, seeds=1, only=("TextNER-v0/reinforce",))
        assert learning.run(only) == 0  # from the files that are there

    failing = dataclasses.replace(recipe, clone="--no-such-option 1")
    monkeypatch.setattr(learning, "RECIPES", {"TextNER-v0": failing})
    assert learning.run(only) == 1
    log = tmp_path / "TextNER-v0" / "reinforce" / "0" / "train.log"
    assert log.read_text().startswith("its start failed")


def test_unknown_cell() -> None:
    with pytest.raises(ValueError, match="no cell 'TextNER-v0/nothing'"):
        list(learning.cells(Settings(only=("TextNER-v0/nothing",))))


@pytest.mark.parametrize("env", RECIPES)
def test_clones_come_first(env: str) -> None:
    cells = list(learning.cells(Settings(seeds=2, only=(env,))))
    assert [(cell.algorithm, cell.seed) for cell in cells[:2]] == [("bc", 0), ("bc", 1)]
    assert {cell.algorithm for cell in cells[2:]} == set(RECIPES[env].algorithms)


def test_spread_of_students_t() -> None:
    """Mean 2 and standard deviation 1: half a width of 4.303 / sqrt(3)."""
    assert spread([1.0, 2.0, 3.0]) == pytest.approx((2.0, -0.484, 4.484, 3), abs=1e-3)
    assert str(spread([0.25])) == "0.250"
