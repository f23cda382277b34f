"""The table of environment ids."""

from __future__ import annotations

import gymnasium

IDS = {
    "TextQA-v0": "qa",
    "TextQASpan-v0": "qa_span",
    "TextNER-v0": "ner",
}
"""Each id and its task."""


def register_all() -> None:
    """Register every id with Gymnasium; `import textenvs` does it."""
    for env_id, task in IDS.items():
        gymnasium.register(
            id=env_id,
            entry_point="textenvs.env:TextEnv",
            vector_entry_point="textenvs.vector_env:TextVectorEnv",
            kwargs={"task": task},
        )
