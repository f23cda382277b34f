"""TextDialogue-v0: which user it has, and how dialogues are written, whoever the user is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textenvs.tasks.base import Task
from textenvs.tasks.sources import BUILTIN
from textenvs.tokenization import Tokenizer
from textenvs.views import Paragraph, Part

USER, SYSTEM = "User:", "System:"
"""Who speaks: each turn is a line that begins with its speaker, such as ``User: Hello.``"""


def dialogue_task(options: Mapping[str, Any]) -> type[Task]:
    """The task that options ask for: a simulated user, or one recorded in a data set."""
    if is_builtin(options.get("dataset", BUILTIN)):
        from textenvs.tasks.dialogue_simulated import SimulatedDialogueTask

        return SimulatedDialogueTask
    from textenvs.tasks.dialogue_recorded import RecordedDialogueTask

    return RecordedDialogueTask


def is_builtin(dataset: Any) -> bool:
    """Whether the option says the built-in data; it may be any object."""
    return isinstance(dataset, str) and dataset == BUILTIN


def encoder_after(tokenizer: Tokenizer, before: str) -> Callable[[str], NDArray[np.int32]]:
    """Encodes texts where they follow ``before`` and a space.

    So the first word is the token that it is within a line, for tokenizers that take the space
    before a word into it, and for those that do not.

    Returns:
        A function from a text to its tokens, int32 ``(tokens,)``.
    """
    start = tokenizer.encode(before).ids.tolist()

    def encode(text: str) -> NDArray[np.int32]:
        both = tokenizer.encode(f"{before} {text}").ids
        if both[: len(start)].tolist() == start:
            return both[len(start) :]
        return tokenizer.encode(text).ids  # the two run together

    return encode


def user_turn(text: str, first: bool = False) -> str:
    """A user's turn as it stands in a dialogue, up to where the system's begins."""
    return f"{'' if first else chr(10)}{USER} {text}\n{SYSTEM}"


def turn_parts(text: str) -> list[Part]:
    """A dialogue's text as a person is shown it: what stands before the turns, and each turn."""
    before, *turns = re.split(f"(?:^|\n)({USER}|{SYSTEM})", text)
    parts: list[Part] = [Paragraph(before)] if before.strip() else []
    for speaker, said in zip(turns[::2], turns[1::2], strict=True):
        parts.append(Paragraph(said.strip(), speaker=speaker, by_agent=speaker == SYSTEM))
    return parts
