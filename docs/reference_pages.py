"""Write docs/environments/ and docs/agents/ from the docstrings, with live spaces and episodes.

python docs/reference_pages.py
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gymnasium

import textenvs
from agents.agent import LanguageAgent
from agents.algorithms import ALGORITHMS
from textenvs.cli.episodes import play
from textenvs.env import TextEnv
from textenvs.rendering import lay_out
from textenvs.views import Paragraph, Part

DOCS = Path(__file__).parent
EXAMPLES = (0, 100, 200)
"""Indices of the test split."""
WIDTH = 90
"""Columns of what is shown as it is."""
WRITTEN = "<!-- python docs/reference_pages.py writes this page -->"


def pages() -> dict[str, str]:
    """Every page: its path in docs/ -> its text."""
    found = {f"environments/{env_id}.md": environment_page(env_id) for env_id in textenvs.IDS}
    return found | {f"agents/{name}.md": agent_page(name) for name in ALGORITHMS}


def environment_page(env_id: str) -> str:
    """An environment: its manual, its spaces, episodes of the expert."""
    env = gymnasium.make(env_id, split="test", reward="dense").unwrapped
    assert isinstance(env, TextEnv)
    task = env.task
    summary, _, manual = (inspect.getdoc(type(task)) or "").partition("\n")
    threshold = gymnasium.spec(env_id).reward_threshold
    return f"""\
{WRITTEN}

# {env_id}

{summary}

| | |
|---|---|
| observation | `{env.observation_space}`: the prefix, padded with {env.pad_token_id} |
| action | `{env.action_space}`; {"some are legal, told by a mask" if task.constrained else "all are legal"} |
| an episode | at most {task.max_steps} actions |
| reward | `{task.score_name}`, in [0, 1] |
| solved | from a mean reward of {threshold} over the test split on |
| see it | `textenvs show {env_id}`, `textenvs play {env_id}` |

{code_marked(manual).strip()}

## Episodes

Of the test split of the built-in data, played by the expert. An action is a token: `▁` stands for a
space before it. Rewards are those of `reward="dense"`, where they are not 0; their sum is the score.
With `reward="terminal"`, the default, the score is paid at the end.

{"".join(episode(env, index) for index in EXAMPLES).rstrip()}
"""  # noqa: E501


def code_marked(manual: str) -> str:
    """A docstring's double backquotes as Markdown's single ones."""
    return manual.replace("``", "`")


def episode(env: TextEnv, index: int) -> str:
    """An episode of the expert."""
    played = play(env, index)
    metrics = ", ".join(f"{name} {value:.4g}" for name, value in played.metrics.items())
    return f"""\
### Example {index}

```text
{laid_out(env.view())}
```

Actions:

```text
{laid_out([Paragraph("  ".join(played.actions))])}
```

Metrics: {metrics}.

"""


def laid_out(parts: Sequence[Part]) -> str:
    """Parts of a view as lines."""
    return "\n".join(lay_out(parts, WIDTH, colour=False))


def agent_page(name: str) -> str:
    """An agent: its equations, the command, all settings."""
    algorithm = ALGORITHMS[name]
    manual = inspect.getdoc(sys.modules[algorithm.__module__]) or ""
    rows = "\n".join(
        f"| `{setting}` | `{default}` | {meaning} |"
        for setting, default, meaning in settings_of(algorithm)
    )
    return f"""\
{WRITTEN}

# {algorithm.__name__}

{manual.strip()}

## Train it

```sh
textenvs train {name} TextNER-v0 --out runs/{name}
```

<!-- skip: trains for minutes -->
```python
from agents import {algorithm.__name__}, {algorithm.config_type.__name__}, evaluate

agent = {algorithm.__name__}("TextNER-v0", {algorithm.config_type.__name__}(), seed=0)
agent.learn({"" if name == "bc" else "total_timesteps=100_000"})
print(evaluate(agent, "TextNER-v0", split="test").score)
```

## Settings

Fields of `{algorithm.config_type.__name__}`, and options of the command (with `-` for `_`).

| setting | default | meaning |
|---|---|---|
{rows}
"""


def settings_of(algorithm: type[LanguageAgent]) -> Iterator[tuple[str, Any, str]]:
    """Name, default and meaning of each setting of an algorithm, its own first."""
    config = algorithm.config_type
    meanings: dict[str, str] = {}
    for base in reversed(config.__mro__):
        if dataclasses.is_dataclass(base):
            meanings |= attribute_docs(base)
    own = attribute_docs(config)
    fields = {field.name: field for field in dataclasses.fields(config)}
    for name in sorted(fields, key=lambda name: (name not in own, list(fields).index(name))):
        default = fields[name].default
        yield name, default if default != "" else '""', meanings.get(name, "")


def attribute_docs(cls: type) -> dict[str, str]:
    """The docstrings below a class's attributes, each in one line."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for field, after in zip(tree.body, tree.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
        ):
            text = " ".join(str(after.value.value).split())
            found[field.target.id] = text.replace("|", "\\|")
    return found


def main() -> None:
    """Write the pages."""
    for name, text in pages().items():
        path = DOCS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
