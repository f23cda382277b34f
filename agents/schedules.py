"""Numbers that change over a training, as functions of the share of it that is done."""

from __future__ import annotations

import math
from typing import Literal

Schedule = Literal["constant", "linear", "cosine"]


def scheduled(kind: Schedule, start: float, end: float, done: float) -> float:
    """The value on the way from `start` to `end`.

    >>> [scheduled("linear", 1.0, 0.0, done) for done in (0.0, 0.25, 1.0, 2.0)]
    [1.0, 0.75, 0.0, 0.0]
    >>> round(scheduled("cosine", 1.0, 0.0, 0.25), 3)
    0.854

    Args:
        kind: constant stays at `start`; cosine is that of Loshchilov & Hutter 2017, equation 5.
        start: the value at 0.
        end: the value from 1 on.
        done: share of the training that is done, at least 0.
    """
    if kind == "constant":
        return start
    done = min(done, 1.0)
    weight = 1.0 - done if kind == "linear" else (1.0 + math.cos(math.pi * done)) / 2.0
    return end + (start - end) * weight
