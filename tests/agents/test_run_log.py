"""Where a training's numbers go, and what is seen of them."""

from __future__ import annotations

import importlib.util
import io
import json
import sys
from pathlib import Path

import pytest
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents import AgentError
from agents.progress import Leg, ProgressBar, ProgressLines
from agents.run_files import keep_lines
from agents.run_log import WANDB_ID, RunLog, open_log

LEG = Leg("PPO", first=100, last=300, step=100)
SHOWN = {
    "rollout/reward": ".3f",
    "policy/entropy": ".3f",
    "value/explained_variance": ".2f",
    "time/steps_per_s": ",.0f",
}
NUMBERS = {
    "rollout/reward": 0.5,
    "policy/entropy": 1.25,
    "value/explained_variance": 0.25,
    "time/steps_per_s": 12345.0,
}


def names(log: RunLog) -> list[str]:
    return [type(sink).__name__ for sink in log.sinks]


def lines_of(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_resumed_log_goes_on_where_the_checkpoint_is(tmp_path: Path) -> None:
    with open_log(LEG, tmp_path, SHOWN, progress=False) as log:
        assert names(log) == ["JsonLines", "TensorBoard"]
        for step in (150, 200, 250):
            log.record(step, {"rollout/reward": step / 1000})
    with open_log(LEG._replace(step=200), tmp_path, SHOWN, progress=False) as log:
        log.record(240, {"rollout/reward": 0.24})
    assert lines_of(tmp_path) == [
        {"step": step, "rollout/reward": step / 1000} for step in (150, 200, 240)
    ]
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("rollout/reward")] == [150, 200, 240]


def test_without_tensorboard_there_is_metrics_jsonl(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with open_log(LEG, tmp_path, SHOWN, progress=False) as log:
        assert names(log) == ["JsonLines"]
        log.record(150, NUMBERS)
    assert lines_of(tmp_path) == [{"step": 150, **NUMBERS}]


def test_without_a_folder_no_file_is_written() -> None:
    with open_log(LEG, None, SHOWN, progress=False) as log:
        assert names(log) == []


@pytest.mark.filterwarnings("default")
def test_weights_and_biases_goes_on_in_the_same_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    for step in (150, 200):
        leg = LEG._replace(step=step - 50)
        with open_log(leg, tmp_path, SHOWN, False, "project", {"seed": 3}) as log:
            assert names(log)[-1] == "WeightsAndBiases"
            log.record(step, NUMBERS)
    run_id = (tmp_path / WANDB_ID).read_text()
    runs = list((tmp_path / "wandb").glob(f"offline-run-*-{run_id}"))
    assert len(runs) >= 1
    assert all((run / f"run-{run_id}.wandb").stat().st_size > 0 for run in runs)


@pytest.mark.filterwarnings("default")
def test_weights_and_biases_begins_a_new_run_with_a_new_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    ids = []
    for _ in range(2):
        with open_log(Leg("PPO", 0, 200, 0), tmp_path, SHOWN, False, "project") as log:
            log.record(50, NUMBERS)
        ids.append((tmp_path / WANDB_ID).read_text())
    assert ids[0] != ids[1]


def test_weights_and_biases_must_be_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(AgentError, match="pip install wandb"):
        open_log(LEG, tmp_path, SHOWN, False, "project")


@pytest.mark.parametrize(("width", "seen"), [(50, 1), (80, 2), (140, 4)])
def test_the_bar_fits_the_terminal(width: int, seen: int) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=width, color_system=None)
    bar = ProgressBar(LEG, SHOWN, console)
    bar.record(200, NUMBERS)
    bar.close()
    last = [line for line in screen.getvalue().splitlines() if "PPO" in line][-1]
    assert "50%" in last
    texts = ["reward 0.500", "entropy 1.250", "explained_variance 0.25", "steps_per_s 12,345"]
    assert [text in last for text in texts] == [number < seen for number in range(4)]
    assert "…" not in last


def test_elsewhere_there_is_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    lines = ProgressLines(LEG, SHOWN)
    lines.record(200, NUMBERS)
    assert capsys.readouterr().out == ""
    lines.record(300, NUMBERS)
    printed = capsys.readouterr().out
    assert printed.startswith("PPO 200/200  reward 0.500  entropy 1.250  ")
    assert printed.endswith("0:00 left\n")


def test_a_line_cut_off_by_a_kill_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3, "x')
    assert keep_lines(path, "step", 5) == [{"step": 1}, {"step": 2}]
    path.write_text('{"st')
    assert keep_lines(path, "step", 5) == []
    assert path.read_text() == ""
