"""The learning benchmark runs, goes on where it was, and shows what failed."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from agents import train
from benchmarks import cells, learning, suites, train_sb3
from benchmarks.learning import Settings
from benchmarks.learning_table import spread
from benchmarks.recipes import RECIPES, Recipe
from benchmarks.records import read_records, write_records
from benchmarks.suites import SUITES, Suite, SuiteName, recipes_of

SMALL = "--validation-episodes 4 --test-episodes 8"
RECIPE = Recipe(
    timesteps=64,
    clone=f"--episodes 16 --epochs 1 {SMALL}",
    shared=f"--steps 64 --num-envs 4 {SMALL}",
    algorithms={"reinforce": "", "sb3-ppo": "", "a2c": "--no-such-option 1"},
    shared_sb3=f"--n-steps 16 --num-envs 4 --batch-size 32 {SMALL}",
)


READERS = {"agents.train": train.read, "benchmarks.train_sb3": train_sb3.read}
"""The program of a training -> what reads its command line."""


@pytest.mark.slow  # a minute of trainings; make smoke runs more of them
def test_learning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(suites, "RECIPES", {"TextNER-v0": RECIPE})
    assert learning.run(Settings(out=tmp_path, seeds=1)) == 1
    printed = capfd.readouterr()
    rows = [line.split("|")[1].strip() for line in printed.out.splitlines() if "|" in line]
    sb3 = "stable-baselines3 MaskablePPO"
    ladder = ["random", "majority", "heuristic", "cloned"]
    assert rows == ["agent", "---", *ladder, "REINFORCE", sb3, "expert"]
    assert "FAILED: python -m agents.train a2c" in printed.out
    folder = tmp_path / "core" / "TextNER-v0"
    assert "no-such-option" in (folder / "a2c" / "0" / "train.log").read_text()
    assert f"{folder / 'reinforce' / '0'}: finished" in printed.err

    path = tmp_path / "core" / "records.jsonl"
    records = read_records([path])
    assert [record.agent for record in records] == ["bc", "reinforce", "sb3-ppo"]
    assert records[0].score() == records[1].score("cloned") == records[2].score("cloned")
    assert [point.timesteps for point in records[1].curve] == [0, records[1].timesteps]
    assert len(records[1].commands) == 2
    assert records[1].commit() != ""
    again = tmp_path / "again.jsonl"
    write_records(again, records)
    assert again.read_bytes() == path.read_bytes()

    with monkeypatch.context() as patch:
        patch.setattr(cells.subprocess, "run", None)
        only = Settings(out=tmp_path, seeds=1, only=("TextNER-v0/reinforce",))
        assert learning.run(only) == 0  # from the files that are there

    failing = dataclasses.replace(RECIPE, clone="--no-such-option 1")
    monkeypatch.setattr(suites, "RECIPES", {"TextNER-v0": failing})
    assert learning.run(only) == 1
    log = folder / "reinforce" / "0" / "train.log"
    assert log.read_text().startswith("its start failed")


def test_published_data_lie_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, data, message in (("real", None, "needs --data"), ("core", tmp_path, "leave out")):
        with pytest.raises(ValueError, match=message):
            recipes_of(name, data)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    recipes = recipes_of("real", tmp_path / "data")
    assert recipes == recipes_of("real", Path("data")) == recipes_of("real", Path("./data/"))
    for cell in suites.cells(SUITES["real"], tmp_path, recipes=recipes, seeds=1):
        place = cell.command[cell.command.index("--dataset") + 1]
        assert place.startswith("data/")
    assert "{split}" in recipes["TextNER-v0"].data


@pytest.mark.parametrize("name", SUITES)
def test_every_command_of_a_suite_is_one(name: SuiteName, tmp_path: Path) -> None:
    recipes = recipes_of(name, tmp_path if name == "real" else None)
    for cell in suites.cells(SUITES[name], tmp_path, seeds=1, recipes=recipes):
        _, module, *arguments = cell.arguments
        settings = READERS[module](arguments)
        assert (settings.env_id, settings.out) == (cell.env, cell.folder)
        if name == "real":
            assert settings.dataset == cell.command[cell.command.index("--dataset") + 1]


def test_what_starts_from_a_new_start_is_unfinished_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (wanted,) = suites.cells(SUITES["core"], tmp_path, ("TextNER-v0/ppo",), seeds=1)
    assert wanted.start is not None
    for cell in (wanted, wanted.start):
        cell.folder.mkdir(parents=True)
        (cell.folder / cells.COMMANDS).write_text(json.dumps(cell.commands))
    assert cells.unfinished([wanted]) == []
    wanted.start.forget()

    def interrupted(_: cells.Cell) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(cells.Cell, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cells.run_all(cells.unfinished([wanted]), 1, lambda: None)
    assert not wanted.finished


def test_records_keep_what_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer seeds leave the others recorded; a trial has a folder of its own."""
    asked = []

    def remember(
        wanted: list[cells.Cell], every: list[cells.Cell], folder: Path, _: int
    ) -> tuple[list[object], list[object]]:
        asked.append((len(wanted), {cell.seed for cell in every}, folder.name))
        return [], []

    monkeypatch.setattr(learning, "train", remember)
    (tmp_path / "core" / "TextNER-v0" / "ppo" / "6").mkdir(parents=True)
    for options in ("", "--total-timesteps 2000"):
        only = Settings(out=tmp_path, seeds=1, only=("TextNER-v0/ppo",), options=options)
        assert learning.run(only) == 0
    assert asked == [(1, set(range(7)), "core"), (1, set(range(3)), "core-trial")]


def test_unknown_cell() -> None:
    with pytest.raises(ValueError, match="no cell 'TextNER-v0/nothing'"):
        list(suites.cells(SUITES["core"], Path(), ("TextNER-v0/nothing",)))


@pytest.mark.parametrize("env", RECIPES)
def test_a_clone_comes_before_what_starts_from_it(env: str, tmp_path: Path) -> None:
    wanted = list(suites.cells(Suite(seeds=2), tmp_path, (env,)))
    assert {cell.agent for cell in wanted} == {"bc", *RECIPES[env].algorithms}
    todo = cells.unfinished(wanted[1:])
    assert [cell.agent for cell in todo].count("bc") == 2
    for cell in todo:
        assert cell.start is None or todo.index(cell.start) < todo.index(cell)


def test_a_line_that_is_no_record(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text(json.dumps({"env": "TextNER-v0", "curve": []}) + "\n")
    with pytest.raises(ValueError, match=r"line 1 is no record: .*agent"):
        read_records([path])


def test_spread_of_students_t() -> None:
    """Mean 2 and standard deviation 1: half a width of 4.303 / sqrt(3)."""
    assert spread([1.0, 2.0, 3.0]) == pytest.approx((2.0, -0.484, 4.484, 3), abs=1e-3)
    assert spread([1.0, 2.0, 3.0], 0, 4) == pytest.approx((2.0, 0, 4, 3))
    assert str(spread([0.25])) == "0.250"
