"""Episodes as text that a person reads, with colours where the terminal has them."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from textenvs.tasks.base import Episodes
from textenvs.terminal import has_colour, paint, width
from textenvs.views import Part, columns, printable

ROOM_FOR_TEXT = 10
"""Columns below which a line does not show the end of the answer."""

NARROWEST = 10
"""Columns that text takes at the least, however narrow the terminal is."""

INDENT = 2
"""Columns before the outcome of an action on a line of its own."""


def render_text(episodes: Episodes, slot: int, reward: float, ended: bool) -> str:
    """The prompt, what was written since, the last action and what it brought.

    Args:
        episodes: Where the episode stands.
        slot: Its slot.
        reward: The reward of its last action.
        ended: Whether it has ended.
    """
    lines = [
        _header(episodes, slot, has_colour()),
        *lay_out(episodes.view(slot), width(), has_colour()),
    ]
    if episodes.steps[slot]:
        lines.append(_last(episodes, slot, reward, ended)[0])
    return "\n".join(lines)


class Narrator:
    """Prints an episode as it goes: the prompt once, a line for each action, the whole at the end.

    What others than the agent append, such as a user's turn, is printed when it comes.
    """

    def __init__(self) -> None:
        self._prompt: list[Part] = []
        self._parts_seen = 0

    def begin(self, episodes: Episodes, slot: int) -> None:
        """Print a new episode's prompt."""
        self._prompt = episodes.view(slot)
        self._parts_seen = len(self._prompt)
        print(_header(episodes, slot, has_colour()))
        _tell(self._prompt)

    def step(self, episodes: Episodes, slot: int, reward: float, ended: bool) -> None:
        """Print the last action, and what has come since the one before."""
        view = episodes.view(slot)
        line, room = _last(episodes, slot, reward, ended, align=24)
        written = [part for part in view if part.by_agent]
        if written and room - 2 >= ROOM_FOR_TEXT:
            line += f"  {paint(written[-1].latest(room - 2), 'agent', has_colour())}"
        print(line.rstrip())
        if ended:
            _tell([part for part in view if part not in self._prompt])
        else:
            _tell([part for part in view[self._parts_seen :] if not part.by_agent])
        self._parts_seen = len(view)


def _tell(parts: Sequence[Part]) -> None:
    for line in lay_out(parts, width(), has_colour()):
        print(line)
    sys.stdout.flush()


def lay_out(parts: Sequence[Part], columns_: int, colour: bool) -> list[str]:
    """The lines of a view; each part's speaker stands before its first."""
    gutter = max([1, *(columns(part.speaker) for part in parts)]) + 1
    lines = []
    for part in parts:
        for number, line in enumerate(part.lines(max(columns_ - gutter, NARROWEST))):
            speaker = "" if number else part.speaker
            text = (paint(text, "agent", colour and agent) for text, agent in line)
            before = paint(f"{speaker:{gutter}}", "faint", colour)
            lines.append((before + "".join(text)).rstrip())
    return lines


def _header(episodes: Episodes, slot: int, colour: bool) -> str:
    return paint(f"{episodes.task.name}, example {int(episodes.indices[slot])}", "bold", colour)


def _last(
    episodes: Episodes, slot: int, reward: float, ended: bool, align: int = 0
) -> tuple[str, int]:
    """The last action and what it brought, below each other if need be; and the columns left."""
    action = f"{_action(episodes, slot):{align}}"
    plain, shown = (
        _outcome(episodes, slot, reward, ended, colour) for colour in (False, has_colour())
    )
    room = width() - columns(f"{action}  {plain}")
    if room >= 0:
        return f"{action}  {shown}", room
    return f"{action.rstrip()}\n{' ' * INDENT}{shown}", width() - INDENT - columns(plain)


def _action(episodes: Episodes, slot: int) -> str:
    step, task = int(episodes.steps[slot]), episodes.task
    action = int(episodes.actions[slot, step - 1])
    name = printable(task.token_name(int(task.action_tokens[action])))
    return f"{step:4}  {name!r} ({action})"


def _outcome(episodes: Episodes, slot: int, reward: float, ended: bool, colour: bool) -> str:
    style = "green" if reward > 0 else "red" if reward < 0 else "faint"
    paid = paint(f"reward {reward:+.3f}", style, colour)
    line = f"{paid}  score {float(episodes.score(slot)):.3f}"
    if ended:
        return f"{line}  ended"
    return f"{line}  {int(episodes.legal(slot).sum())} legal" if episodes.task.constrained else line
