"""`textenvs watch`: a trained agent plays, token by token."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import tyro

from agents.cli.runs import Play, RunFolder
from agents.errors import AgentError
from agents.traces import Step, Trace
from textenvs.rendering import lay_out
from textenvs.terminal import has_colour, paint, width
from textenvs.views import Paragraph, columns, printable

BAR = 10
"""Columns of a probability."""


@dataclass(frozen=True, kw_only=True)
class Settings(Play):
    """See a trained agent play, token by token.

    Each line has the token, how likely it was, what the state was worth, what the token brought,
    and what else might have been said.
    """

    run: tyro.conf.Positional[RunFolder]
    """The folder of a run or a checkpoint."""
    episodes: int = 3
    """How many, spread over the split."""
    alternatives: int = 3
    """How many of the best actions to show of each state."""
    delay: float | None = None
    """Seconds between tokens; by default 0.15 on a terminal, else none."""


def run(settings: Settings) -> int:
    """Play and print."""
    if settings.episodes < 1:
        raise AgentError(f"--episodes is {settings.episodes}; expected at least 1")
    if settings.delay is not None and settings.delay < 0:
        raise AgentError(f"--delay is {settings.delay}; expected at least 0")
    player = settings.open(settings.run)
    traces = settings.trace(player, settings.episodes, settings.alternatives)
    delay = settings.delay
    if delay is None:
        delay = 0.15 if sys.stdout.isatty() else 0.0
    for number, each in enumerate(traces):
        if number:
            print()
        tell(each, player.env_id, delay)
    return 0


def tell(told: Trace, env_id: str, delay: float) -> None:
    """Print an episode, step by step."""
    colour, room = has_colour(), width()
    print(paint(f"{env_id}, example {told.index}", "bold", colour))
    print("\n".join(lay_out([Paragraph(told.prompt)], room, colour)))
    widest = max(columns(named(step.token)) for step in told.steps)
    for number, step in enumerate(told.steps, start=1):
        print(line_of(number, step, min(widest, room // 3), room, colour), flush=True)
        if step.appended.strip():
            after = Paragraph(step.appended.strip(), speaker="    +")
            print("\n".join(lay_out([after], room, colour)))
        time.sleep(delay)
    style = "green" if told.score > 0 else "red"
    metrics = ", ".join(f"{name} {value:.3g}" for name, value in told.metrics.items())
    print("\n".join(lay_out([Paragraph(told.text, speaker=">", by_agent=True)], room, colour)))
    head = f"return {told.score:+.3f}"
    first, *others = lay_out([Paragraph(metrics, speaker=head)], room, False)
    print("\n".join([first.replace(head, paint(head, style, colour), 1), *others]))


def line_of(number: int, step: Step, widest: int, room: int, colour: bool) -> str:
    """One action in a line: token, probability, value, reward, and what else might have been."""
    name = named(step.token)
    name += " " * (widest - columns(name))
    chance = ""
    if step.probability is not None:
        filled = round(step.probability * BAR)
        chance = (
            f" {paint('█' * filled, 'blue', colour)}{'·' * (BAR - filled)} {step.probability:4.2f}"
        )
    reward = "" if abs(step.reward) < 0.0005 else f" {step.reward:+.3f}"
    value = "" if step.value is None else f"  V {step.value:+.2f}"
    line = f"{number:3} {paint(name, 'agent', colour)}{chance}{value}{reward:7}"
    used = 4 + columns(name) + (BAR + 6 if chance else 0) + 9 + 7
    others = [
        f"{named(token)} {score:.2f}" for token, score in step.alternatives if token != step.token
    ]
    shown = ""
    for other in others:
        if used + columns(f"{shown}  {other}") > room:
            break
        shown += f"  {other}"
    return (line + paint(shown, "faint", colour)).rstrip()


def named(token: str) -> str:
    """A token's name with its space as a space, in one line."""
    return printable(token).replace("\n", "⏎").replace("▁", " ").strip() or repr(token)
