"""The table of environment ids, and how to add one."""

from __future__ import annotations

from typing import Any

import gymnasium

from textenvs.errors import OptionError
from textenvs.tasks import Task

IDS = {
    "TextQA-v0": "qa",
    "TextQASpan-v0": "qa_span",
    "TextNER-v0": "ner",
    "TextSummarization-v0": "summarization",
    "TextDialogue-v0": "dialogue",
}
"""Each id of the suite and its task."""
REWARD_THRESHOLDS = {
    "TextQA-v0": 0.89,
    "TextQASpan-v0": 0.91,
    "TextNER-v0": 0.98,
    "TextSummarization-v0": 0.5,
    "TextDialogue-v0": 0.39,
}
"""The mean return on the test split from which each id of the suite counts as solved: what PPO
reaches on average over seeds in `benchmarks/results/core.jsonl`, rounded down to hundredths."""


def register(
    env_id: str,
    task: str | type[Task],
    *,
    reward_threshold: float | None = None,
    **options: Any,
) -> None:
    """Register a task with Gymnasium, for `gymnasium.make` and `gymnasium.make_vec`.

    Args:
        env_id: Such as ``"Reverse-v0"`` or ``"mine/Reverse-v0"``.
        task: A subclass of `Task`; or its place as ``"module:Class"``, imported when it is used.
        reward_threshold: The mean return over a split at which it counts as solved.
        **options: Defaults of its options.

    Raises:
        OptionError: ``task`` is neither, or a class that no other process finds by its name, as it
            stands inside a function.
    """
    if not isinstance(task, str):
        if not (isinstance(task, type) and issubclass(task, Task)):
            raise OptionError(
                "a task is a subclass of textenvs.Task, or its place as 'module:Class', got "
                f"{task!r}"
            )
        if "<" in task.__qualname__:
            raise OptionError(
                f"{task.__qualname__} stands inside a function, where no other process finds it: "
                "define it at the top level of a module"
            )
        task = f"{task.__module__}:{task.__qualname__}"
    gymnasium.register(
        id=env_id,
        entry_point="textenvs.env:TextEnv",
        vector_entry_point="textenvs.vector_env:TextVectorEnv",
        reward_threshold=reward_threshold,
        kwargs={"task": task, **options},
    )


def register_all() -> None:
    """Register every id of the suite; `import textenvs` does it."""
    for env_id, task in IDS.items():
        register(env_id, task, reward_threshold=REWARD_THRESHOLDS[env_id])
