"""Which states of a minibatch are prefixes of one another, and so need one sequence to be read.

Shapes: N states, L tokens of an observation, B sequences, T tokens of the longest.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from agents.environment import Ints


class Sequences(NamedTuple):
    """The longest of the prefixes, and where the states end in them.

    Attributes:
        tokens_BT: int64, padded on the right.
        prompts_B: how many tokens of each are its prompt.
        rows_N: the sequence of each state.
        columns_N: the position of its last token.
    """

    tokens_BT: Ints
    prompts_B: Ints
    rows_N: Ints
    columns_N: Ints


def grouped(
    tokens_NL: npt.NDArray[np.integer], lengths_N: Ints, prompts_N: npt.NDArray[np.integer] | None
) -> Sequences:
    """Leave out every prefix that another one begins with.

    In lexicographic order what begins with a prefix stands directly behind it.

    Args:
        tokens_NL: prefixes, padded on the right.
        lengths_N: how many tokens of each are prefix, at least 1.
        prompts_N: how many of them are prompt: only prefixes with equal prompts go together. None
            where it does not matter to the states.

    >>> tokens_NL = np.array([[5, 6, 0], [5, 7, 8], [5, 0, 0], [5, 6, 0]])
    >>> found = grouped(tokens_NL, np.array([2, 3, 1, 2]), None)
    >>> found.tokens_BT.tolist(), found.rows_N.tolist(), found.columns_N.tolist()
    ([[5, 7, 8], [5, 6, 0]], [1, 0, 1, 1], [1, 2, 0, 1])
    """
    known_N = np.ones_like(lengths_N) if prompts_N is None else prompts_N.astype(np.int64)
    keys = [
        prompt.tobytes() + tokens_L[:length].tobytes()
        for tokens_L, length, prompt in zip(tokens_NL, lengths_N, known_N, strict=True)
    ]
    rows_N = np.empty(len(keys), np.int64)
    longest: list[int] = []
    for state in sorted(range(len(keys)), key=keys.__getitem__, reverse=True):
        if not longest or not keys[longest[-1]].startswith(keys[state]):
            longest.append(state)
        rows_N[state] = len(longest) - 1
    tokens_BT = tokens_NL[longest, : lengths_N.max()].astype(np.int64)
    return Sequences(tokens_BT, known_N[longest], rows_N, lengths_N - 1)
