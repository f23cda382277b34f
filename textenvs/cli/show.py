"""`textenvs show`: one environment whole."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

from textenvs.cli.environments import Environment
from textenvs.cli.episodes import Player, play
from textenvs.rendering import lay_out
from textenvs.terminal import has_colour, paint, width
from textenvs.views import Paragraph


@dataclass(frozen=True, kw_only=True)
class Settings(Environment):
    """One environment: its manual, its spaces, and real episodes."""

    episodes: int = 3
    """How many, spread over the split."""
    index: int | None = None
    """One example instead."""
    player: Player = "expert"
    """Who plays: the expert, a simple rule, or chance."""
    manual: bool = True
    """Whether to print the manual."""


def run(settings: Settings) -> int:
    """Print it."""
    env = settings.make(reward="dense")
    env.action_space.seed(0)  # random play is the same every time
    if settings.index is not None:
        env.reset(options={"index": settings.index})  # or says what is wrong with it
    task, colour = env.task, has_colour()

    def heading(text: str) -> None:
        print(f"\n{paint(text, 'bold', colour)}")

    print(paint(settings.env, "bold", colour))
    if settings.manual:
        print(inspect.getdoc(type(task)))
    heading("Spaces")
    facts = {
        "observation": f"{env.observation_space}: the prefix, padded with {env.pad_token_id}",
        "action": f"{env.action_space}, {'some legal, told by a mask' if task.constrained else 'all legal'}",  # noqa: E501
        "episode": f"at most {task.max_steps} actions",
        "reward": f"{env.score_name}, in [0, 1]",
        "examples": f"{env.num_examples:,}",
        "vocabulary": f"{task.vocab_size:,} tokens",
    }
    for name, fact in facts.items():
        print("\n".join(lay_out([Paragraph(fact, speaker=f"{name:12}")], width(), colour)))
    count = min(max(settings.episodes, 0), env.num_examples)
    indices = [position * env.num_examples // count for position in range(count)]
    if settings.index is not None:
        indices = [settings.index]
    for index in indices:
        played = play(env, index, settings.player)
        heading(f"Example {played.index}, played by {settings.player}")
        print("\n".join(lay_out(env.view(), width(), colour)))
        actions = Paragraph("  ".join(played.actions), speaker="actions")
        print("\n".join(lay_out([actions], width(), colour)))
        metrics = ", ".join(f"{name} {value:.3g}" for name, value in played.metrics.items())
        print("\n".join(lay_out([Paragraph(metrics, speaker="metrics")], width(), colour)))
    return 0
