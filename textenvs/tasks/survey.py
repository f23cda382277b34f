"""What the examples of a data set need and miss, looked at once for all its splits."""

from __future__ import annotations

from dataclasses import dataclass
from operator import is_
from typing import Any, NamedTuple
from weakref import WeakValueDictionary


class Limits(NamedTuple):
    """The room that a task's episodes need, in tokens and in actions."""

    prompt: int
    steps: int
    positions: int = 0  # of the prompt that an action can point at
    appended: int = 0  # tokens that the task itself appends


@dataclass(frozen=True, eq=False)
class Survey:
    """What all examples of a data set have shown to a task with certain options.

    Attributes:
        examples: The examples.
        limits: The room that they need.
        unsure: The ``id`` of those that may fall short of the full score.
    """

    examples: list[Any]
    limits: Limits
    unsure: frozenset[int]

    def is_of(self, examples: list[Any]) -> bool:
        """Whether these very objects were looked at."""
        return len(examples) == len(self.examples) and all(map(is_, examples, self.examples))


SURVEYS: WeakValueDictionary[tuple[type, str], Survey] = WeakValueDictionary()
"""The surveys that tasks hold, by class and all options but the split."""
