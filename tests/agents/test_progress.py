"""The learning curve on a terminal, and who gets to see which kind of progress."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import one_skill  # noqa: F401  registers its id
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from agents import PPO, PPOConfig
from agents.chart import BLANK, chart
from agents.progress import TALLEST, Leg, LiveView, ProgressBar, ProgressLines, scores_in
from agents.run_files import CURVE
from agents.run_log import progress_sinks

LEG = Leg("PPO", first=100, last=300, step=100)
SHOWN = {"rollout/reward": ".3f", "policy/entropy": ".3f"}
NUMBERS = {"rollout/reward": 0.5, "policy/entropy": 1.25}
POINTS = [(100, 0.25), (150, 0.75), (200, 0.5)]


def written(path: Path, points: Sequence[tuple[float, float]], rest: str = "") -> Path:
    lines = [json.dumps({"timesteps": steps, "value": value}) for steps, value in points]
    path.write_text("".join(line + "\n" for line in lines) + rest)
    return path


def drawn(view: LiveView, screen: io.StringIO) -> list[str]:
    """The last view, line by line, without its frame."""
    view.close()
    text = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", screen.getvalue())
    last = text[text.rindex("╭") :].splitlines()
    return [line.strip("│ \r") for line in last]


def terminal(width: int = 80) -> tuple[Console, io.StringIO]:
    screen = io.StringIO()
    return Console(
        file=screen, force_terminal=True, width=width, height=40, color_system=None
    ), screen


def signs(lines: Sequence[str]) -> int:
    return sum(ord(sign) > BLANK and ord(sign) <= BLANK + 255 for sign in "".join(lines))


# The live view ----------------------------------------------------------------------------------


def test_the_view_has_curve_numbers_and_bar(tmp_path: Path) -> None:
    console, screen = terminal()
    view = LiveView(LEG, SHOWN, written(tmp_path / CURVE, POINTS), console)
    view.record(200, NUMBERS)
    lines = drawn(view, screen)
    assert "PPO" in lines[0]
    assert lines[1] == ("score on the validation split: 0.500; best 0.750 at 150 actions")
    assert signs(lines) > 20
    axis = next(line for line in lines if re.fullmatch(r"100 +300", line))
    assert len(axis) > 50  # from where it began to where it will end
    bar = next(line for line in lines if "━" in line)
    assert bar.count("━") == 12
    assert " 50%  100/200 actions" in bar
    assert bar.endswith("left")
    assert "reward 0.500  entropy 1.250" in lines


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_view_fits_the_terminal(tmp_path: Path, width: int) -> None:
    console, screen = terminal(width)
    points = [(100, -12345.0), (200, 123.0)]
    view = LiveView(LEG, SHOWN, written(tmp_path / CURVE, points), console)
    view.record(200, NUMBERS)
    view.close()
    plain = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", screen.getvalue())
    assert max(len(line.rstrip("\r")) for line in plain.splitlines()) <= width
    assert signs(plain.splitlines()) > 10
    assert "…" not in plain


def test_the_view_grows_with_the_curve(tmp_path: Path) -> None:
    console, screen = terminal()
    path = tmp_path / CURVE
    view = LiveView(LEG, SHOWN, path, console)  # it need not be there yet
    assert "begins" in screen.getvalue()
    assert "score on" not in screen.getvalue()
    written(path, POINTS[:1])
    view.record(150, NUMBERS)
    assert "score on the validation split: 0.250" in screen.getvalue()
    written(path, POINTS)  # of the last iteration, scored after it was recorded
    assert "score on the validation split: 0.500; best 0.750" in drawn(view, screen)[1]


@pytest.mark.parametrize("rest", ['{"timesteps": 250, "val', '{"timesteps": 250, "value": NaN}\n'])
def test_a_line_that_is_not_a_score_is_left_out(tmp_path: Path, rest: str) -> None:
    """Half written, as the training writes while the view reads; or a score that is none."""
    path = written(tmp_path / CURVE, POINTS, rest)
    assert scores_in(path) == POINTS
    console, screen = terminal()
    view = LiveView(LEG, SHOWN, path, console)
    view.record(250, NUMBERS)
    assert "score on the validation split: 0.500;" in drawn(view, screen)[1]


def test_a_resumed_training_counts_from_where_it_began(tmp_path: Path) -> None:
    console, screen = terminal()
    view = LiveView(LEG._replace(step=250), SHOWN, written(tmp_path / CURVE, POINTS), console)
    assert any(" 75%  150/200 actions" in line for line in drawn(view, screen))


def test_training_draws_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path / CURVE, [(0, 0.125)])
    agent = PPO("OneSkill-v0", PPOConfig(num_envs=4, steps=32), env_kwargs={"examples": 20})
    agent.learn(64, progress_bar="live", run_dir=tmp_path)
    shown = capsys.readouterr().err
    assert "score on the validation split: 0.125" in shown
    assert f"{agent.num_timesteps}/64 actions" in shown
    assert "reward" in shown


# The chart --------------------------------------------------------------------------------------

VALUES = st.floats(-1e6, 1e6, allow_nan=False)


@given(st.lists(VALUES, min_size=1, max_size=20), st.integers(30, 100), st.integers(2, 12))
def test_a_chart_has_its_size_and_all_points(values: list[float], columns: int, rows: int) -> None:
    points = [(float(x), y) for x, y in enumerate(values)]
    lines = chart(points, columns, rows, (0, len(values)))
    assert len(lines) == rows + 2
    assert max(map(len, lines)) <= columns
    assert signs(lines) >= 1
    labels = [float(line.split("┤")[0]) for line in lines[:rows]]
    assert labels == sorted(labels, reverse=True)
    assert labels[0] >= max(values) - 0.01
    assert labels[-1] <= min(values) + 0.01


def test_a_rising_line_rises_and_a_level_one_stays(tmp_path: Path) -> None:
    rising = chart([(0, 0.0), (100, 1.0)], 60, 6, (0, 100))[:6]
    first = [next(i for i, sign in enumerate(line) if ord(sign) > BLANK) for line in rising]
    assert first == sorted(first, reverse=True)
    assert len(set(first)) == 6
    level = chart([(0, 0.0), (100, 0.0)], 60, 6, (0, 100))
    assert [signs([line]) > 0 for line in level[:6]] == [False] * 5 + [True]
    assert level[5].startswith("  0.00 ┤")  # and not -0.00


# Who sees what ----------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def kinds(
    monkeypatch: pytest.MonkeyPatch,
    progress: object,
    folder: Path | None,
    on_terminal: bool = True,
    rows: int = TALLEST,
) -> list[type]:
    """The kinds of what shows a training's progress."""
    monkeypatch.setattr(sys, "stderr", Terminal() if on_terminal else io.StringIO())
    monkeypatch.setattr("agents.run_log.get_terminal_size", lambda: os.terminal_size((80, rows)))
    sinks = progress_sinks(progress, LEG, folder, SHOWN)  # type: ignore[arg-type]
    for sink in sinks:
        sink.close()
    return [type(sink) for sink in sinks]


@pytest.mark.parametrize("progress", [True, "auto"])
def test_a_log_gets_lines(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, progress: object
) -> None:
    written(tmp_path / CURVE, POINTS)
    assert kinds(monkeypatch, progress, tmp_path, on_terminal=False) == [ProgressLines]


@pytest.mark.parametrize("progress", [True, "auto"])
def test_a_terminal_gets_the_curve_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, progress: object
) -> None:
    assert kinds(monkeypatch, progress, tmp_path) == [ProgressBar]  # nobody scores on the way
    assert kinds(monkeypatch, progress, None) == [ProgressBar]
    written(tmp_path / CURVE, POINTS)
    assert kinds(monkeypatch, progress, tmp_path) == [LiveView]
    assert kinds(monkeypatch, progress, tmp_path, rows=TALLEST - 1) == [ProgressBar]


@pytest.mark.parametrize("progress", [False, "none"])
def test_nobody_sees_anything_on_request(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, progress: object
) -> None:
    written(tmp_path / CURVE, POINTS)
    assert kinds(monkeypatch, progress, tmp_path) == []


@pytest.mark.parametrize(
    ("progress", "kind"), [("lines", ProgressLines), ("bar", ProgressBar), ("live", LiveView)]
)
@pytest.mark.parametrize("on_terminal", [True, False])
def test_what_is_asked_for_is_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, progress: str, kind: type, on_terminal: bool
) -> None:
    assert kinds(monkeypatch, progress, tmp_path, on_terminal, rows=5) == [kind]
