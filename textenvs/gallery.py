"""The command `python -m textenvs.gallery`: writes a page of real episodes of each environment."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import gymnasium
import numpy as np

from textenvs.env import TextEnv
from textenvs.registration import IDS
from textenvs.rendering import lay_out
from textenvs.views import Paragraph, Part, printable

Player: TypeAlias = Literal["expert", "heuristic", "random"]
EXAMPLES = (0, 100, 200)
"""Indices of the test split."""

WIDTH = 90
"""Columns of what is shown as it is."""

SHOWN = 0.0005
"""Rewards below are 0 in three decimals."""

HEAD = """\
# Gallery

Three episodes of each environment, from the test split of the built-in data, played by the expert.
An action is a token: `▁` stands for a space before it. Rewards are those of `reward="dense"`, shown
where they are not 0; their sum is the score. With `reward="terminal"`, the default, the score is
paid at the end.

`make gallery` writes this page.
"""


def gallery() -> str:
    """The page, in Markdown."""
    return "\n".join([HEAD, *map(_section, IDS)])


def _section(env_id: str) -> str:
    env = _make(env_id)
    task, manual = env.task, (type(env.task).__doc__ or "").partition("\n")[0]
    return f"""\
## {env_id}

{manual}

- observation: `{env.observation_space}`
- action: `{env.action_space}`; an episode has at most {task.max_steps}
- legal actions: {"some, told by a mask" if task.constrained else "all"}
- score: `{task.score_name}`

{"".join(_episode(env, index) for index in EXAMPLES).rstrip()}
"""


def _make(env_id: str) -> TextEnv:
    env = gymnasium.make(env_id, split="test", reward="dense").unwrapped
    assert isinstance(env, TextEnv)
    return env


@dataclass(frozen=True)
class Played:
    """An episode that is over.

    Attributes:
        index: of its example.
        actions: their tokens; with what each brought, where it brought something.
        metrics: of the episode, but for details.
    """

    index: int
    actions: list[str]
    metrics: dict[str, float]


def play(env: TextEnv, index: int, player: Player = "expert") -> Played:
    """Play an example to its end."""
    env.reset(options={"index": index})
    actions, done = [], False
    while not done:
        action = action_of(env, player)
        _, reward, done, _, info = env.step(action)
        token = printable(env.task.token_name(int(env.action_tokens[action])))
        actions.append(f"{token}({reward:+.3f})" if abs(reward) >= SHOWN else token)
    metrics = {name: value for name, value in info["metrics"].items() if "/" not in name}
    return Played(index, actions, metrics)


def action_of(env: TextEnv, player: Player) -> int:
    """What a player does now."""
    if player == "random":
        return int(env.action_space.sample(env.action_masks().astype(np.int8)))
    return env.expert_action() if player == "expert" else env.heuristic_action()


def _episode(env: TextEnv, index: int) -> str:
    played = play(env, index)
    return f"""\
### Example {index}

```text
{_fenced(env.view())}
```

Actions:

```text
{_fenced([Paragraph("  ".join(played.actions))])}
```

Metrics: {", ".join(f"{name} {value:.4g}" for name, value in played.metrics.items())}.

"""


def _fenced(parts: Sequence[Part]) -> str:
    return "\n".join(lay_out(parts, WIDTH, colour=False))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m textenvs.gallery", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/gallery.md"))
    path: Path = parser.parse_args(arguments).out
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(gallery(), "utf-8")
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
