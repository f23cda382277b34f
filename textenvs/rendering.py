"""Episodes as text that a person reads."""

from __future__ import annotations

from textenvs.tasks.base import Episodes


def render_text(episodes: Episodes, slot: int) -> str:
    """The prompt, the answer so far, the last action and how many are legal.

    Args:
        episodes: Where the episode stands.
        slot: Its slot.
    """
    task = episodes.task
    steps = int(episodes.steps[slot])
    lines = [
        task.prompt_text(int(episodes.indices[slot])).rstrip("\n"),
        f"> {episodes.text(slot)}",
    ]
    if steps:
        action = int(episodes.actions[slot, steps - 1])
        token = task.token_name(int(task.action_tokens[action]))
        lines.append(
            f"  step {steps}: action {action} {token!r}, score {float(episodes.score(slot)):.3f}"
        )
    else:
        lines.append("  step 0")
    if task.constrained:
        lines[-1] += f", {int(episodes.legal(slot).sum())} legal actions"
    return "\n".join(lines)
