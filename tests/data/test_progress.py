from __future__ import annotations

import io

import pytest

from textenvs.data.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_long_job_says_how_far_it_is_and_wipes_that_out(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, clock = Terminal(), Clock()
    monkeypatch.setattr("sys.stderr", terminal)
    with Progress("reading x", 200, clock) as progress:
        progress.at(10)
        assert terminal.getvalue() == ""
        clock.now = 1.0
        progress.at(50)
        progress.at(60)
        clock.now = 1.3
        progress.at(200)
    shown = [line.rstrip() for line in terminal.getvalue().split("\r")]
    assert shown == ["", "textenvs: reading x: 25%", "textenvs: reading x: 100%", "", ""]


@pytest.mark.parametrize(("stream", "seconds"), [(io.StringIO, 9.0), (Terminal, 0.9)])
def test_elsewhere_and_before_a_second_nothing_is_said(
    stream: type[io.StringIO], seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, clock = stream(), Clock()
    monkeypatch.setattr("sys.stderr", said)
    with Progress("x", 0, clock) as progress:
        clock.now = seconds
        progress.at(1)
    assert said.getvalue() == ""
